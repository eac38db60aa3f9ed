"""The part of JSON Patch (RFC 6902) that is needed to add to a pod: `add`, on a copy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from tenuto_operator.model.decoding import Manifest

Patch: TypeAlias = "list[Manifest]"


def add(path: Sequence[str | int], value: object) -> Manifest:
    """Return the operation that puts a value at a path: into a list before that index, or as a member, new or not."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return {"op": "add", "path": "".join(f"/{part}" for part in escaped), "value": value}


def patched(document: Manifest, patch: Patch) -> Manifest:
    """Return a copy of a document with every operation done, as the API server would do them."""
    made = copy.deepcopy(document)
    for operation in patch:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place: Any = made
        for part in way:
            place = place[int(part) if isinstance(place, list) else part]
        _put(place, last, copy.deepcopy(operation["value"]))
    return made


def _put(place: Any, last: str, value: object) -> None:
    if isinstance(place, list):
        found = cast("list[object]", place)
        found.insert(len(found) if last == "-" else int(last), value)
    else:
        place[last] = value
