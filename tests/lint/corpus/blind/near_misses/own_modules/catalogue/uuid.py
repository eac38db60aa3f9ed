"""Names of catalogue entries."""


def uuid4(key: str) -> str:
    return f"entry-{key}"
