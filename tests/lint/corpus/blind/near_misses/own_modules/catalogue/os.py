"""Areas that a parcel passes through."""


def environ(area: str) -> list:
    return [area, f"around {area}"]
