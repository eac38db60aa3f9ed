"""From the JSON of a custom resource to a frozen value, or a sentence that says what to change.

The API server has checked the schema already; what is refused here was written for another release of the custom
resource definitions, or cannot be told by a schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec

from tenuto_operator.model.durations import Duration

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON. Whoever makes one owns it; one that was received is never changed."""

T = TypeVar("T")
_PATH = re.compile(r" - at `\$\.?(.*)`$")


class SpecRefused(ValueError):
    """A spec that must not be acted on; the message names the field and says what to change. Permanent until edited."""


def decode(wanted: type[T], resource: Mapping[str, Any]) -> T:
    """Read a custom resource.

    Raises:
        SpecRefused: a field is missing, unknown or malformed.
    """
    try:
        return msgspec.convert(resource, wanted, dec_hook=_read)
    except msgspec.ValidationError as error:
        text = str(error)
        path = _PATH.search(text)
        reason = text[: path.start()] if path else text
        where = path[1] if path else "the resource"
        raise SpecRefused(f"{where}: {reason}; correct it, or install the definitions of this release") from error


def _read(wanted: type, value: object) -> object:
    if wanted is Duration and isinstance(value, str):
        return Duration.parse(value)
    raise ValueError(f"expected {wanted.__name__.lower()}, got {type(value).__name__}")
