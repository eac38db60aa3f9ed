"""Whether an object of the cluster still is what was applied: only then there is nothing to do.

An object holds more than was applied (defaults, status, what others manage), so it is asked whether it *covers* what is
wanted. A field that is no longer wanted cannot be seen so: the annotation with the hash of what was applied tells.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from tenuto_operator.model.decoding import Manifest
from tenuto_operator.model.reading import as_list, as_mapping

_QUANTITY = re.compile(r"([+-]?[0-9.]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?")
_SCALE = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def is_current(observed: Manifest, wanted: Manifest) -> bool:
    """Whether applying a sealed manifest would change nothing. Who owns the object is not asked here."""
    metadata = {key: value for key, value in wanted["metadata"].items() if key != "ownerReferences"}
    return covers(observed, {**wanted, "metadata": metadata})


def covers(observed: Any, wanted: Any) -> bool:
    """Whether a value holds all that is wanted, in the way that the API server writes it."""
    if isinstance(wanted, dict):
        known = as_mapping(observed)
        return isinstance(observed, dict) and all(
            covers(known[key], value) if key in known else _is_nothing(value)
            for key, value in as_mapping(wanted).items()
        )
    if isinstance(wanted, list):
        return isinstance(observed, list) and _covers_list(as_list(observed), as_list(wanted))
    return bool(observed == wanted) or _is_same_quantity(observed, wanted)


def _covers_list(observed: list[Any], wanted: list[Any]) -> bool:
    """Lists of named things are merged by name, so others may have added to them; all other lists are whole."""
    if wanted and all(isinstance(each, dict) and "name" in each for each in (*observed, *wanted)):
        named = {each["name"]: each for each in observed}
        return all(each["name"] in named and covers(named[each["name"]], each) for each in wanted)
    return len(observed) == len(wanted) and all(map(covers, observed, wanted))


def _is_nothing(value: Any) -> bool:
    """Values that the API server leaves out when it writes an object."""
    return value is None or value in ("", False) or value in ([], {})


def _is_same_quantity(observed: object, wanted: object) -> bool:
    """`0.5` is written back as `500m`, and a number as text."""
    one, other = _quantity(observed), _quantity(wanted)
    return one is not None and one == other


def _quantity(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    found = _QUANTITY.fullmatch(str(value))
    if not found:
        return None
    unit = found[2] or ""
    try:
        if unit[:1] in {"e", "E"} and unit not in _SCALE:
            return Decimal(f"{found[1]}{unit}")
        return Decimal(found[1]) * _SCALE[unit]
    except InvalidOperation:
        return None
