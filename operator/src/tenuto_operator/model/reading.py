"""Reading JSON of which nothing is known: what is absent, null or of another type is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tenuto_operator.model.decoding import Manifest


def member(document: Mapping[str, Any], *path: str) -> Any:
    """Return what stands at a path; None: nothing does."""
    found: Any = document
    for part in path:
        if not isinstance(found, Mapping):
            return None
        found = as_mapping(found).get(part)
    return found


def as_mapping(value: Any) -> Manifest:
    """Return a value if it is an object."""
    return cast("Manifest", value) if isinstance(value, dict) else {}


def members(document: Mapping[str, Any], *path: str) -> list[Manifest]:
    """Return the list of objects at a path; members of other types are left out."""
    return [as_mapping(each) for each in as_list(member(document, *path)) if isinstance(each, dict)]


def as_list(value: Any) -> list[Any]:
    """Return a value if it is a list."""
    return [*value] if isinstance(value, list) else []
