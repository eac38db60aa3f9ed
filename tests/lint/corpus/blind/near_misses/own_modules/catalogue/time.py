"""Delivery slots."""


def slot(hour: int) -> str:
    return "morning" if hour < 12 else "afternoon"
