"""Values to JSON.

Beside what JSON has: dataclasses, pydantic models, attrs and msgspec classes, TypedDicts, named tuples, enums (by
value), datetimes, dates, times and durations (ISO 8601), Decimal and UUID (as text), bytes (base64), sets, deques,
paths, `SimpleNamespace`, subclasses of str, int and float. NB: JSON has no NaN and no infinity; they become null.
"""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any, Protocol, cast, runtime_checkable

import msgspec

from tenuto.errors import PayloadError


@runtime_checkable
class _PydanticModel(Protocol):
    """What pydantic models have; asked by shape, so that pydantic stays optional."""

    def model_dump_json(self) -> str: ...


@runtime_checkable
class _PathLike(Protocol):
    def __fspath__(self) -> str | bytes: ...


def _encode_other(value: object) -> object:
    """Gives msgspec something it knows in place of what it does not."""
    match value:
        case _PydanticModel():
            return msgspec.Raw(value.model_dump_json().encode())
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case float():
            return float(value)
        case deque():
            return list(cast("deque[object]", value))
        case SimpleNamespace():
            return vars(value)
        case _PathLike():
            return value.__fspath__()
        case _:
            raise NotImplementedError(type(value))


_encoder = msgspec.json.Encoder(enc_hook=_encode_other)


def to_payload(value: Any, *, what: str = "value") -> bytes | None:
    """Encodes `value` as UTF-8 JSON; None stays None.

    Args:
        value: any value of the types that the module lists, nested as you like.
        what: how an error calls the value, for example "input of activity 'charge'".

    Raises:
        PayloadError: a type has no encoding, a text is not valid Unicode, or the value contains itself.
    """
    if value is None:
        return None
    try:
        return _encoder.encode(value)
    except NotImplementedError as error:
        kind = error.args[0]
        advice = "pass a dataclass, a pydantic model or plain values"
        if hasattr(kind, "__await__"):
            advice = "was a yield or await forgotten? Pass what it results in"
        raise PayloadError(
            f"the {what} holds a value of type {kind.__qualname__}, which has no JSON form; {advice}"
        ) from None
    except RecursionError:
        raise PayloadError(f"the {what} ({type(value).__qualname__}) contains itself or is nested too deeply") from None
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise PayloadError(f"the {what} ({type(value).__qualname__}) cannot be encoded as JSON: {error}") from error
