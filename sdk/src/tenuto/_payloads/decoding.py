"""JSON to values of an annotation.

msgspec decodes what it can in one pass. What it refuses as a type (unions of several models, of text-like types, enums
of mixed values) is decoded as plain JSON first and then shaped by `conversion`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from tenuto._payloads.conversion import build_other, convert
from tenuto.errors import PayloadError

Decode = Callable[[bytes], Any]
_decode_plain: Decode = msgspec.json.Decoder[Any]().decode
_PLAIN = (Any, object, None, type(None))


def _build(annotation: Any) -> Decode:
    validate_json = getattr(annotation, "model_validate_json", None)
    if validate_json is not None:
        decode: Decode = validate_json
        return decode
    try:
        return msgspec.json.Decoder(annotation, dec_hook=build_other).decode
    except TypeError:
        return lambda data: convert(_decode_plain(data), annotation)


_build_once = lru_cache(maxsize=4096)(_build)


def _decoder_for(annotation: Any) -> Decode:
    try:
        return _build_once(annotation)
    except TypeError:  # An annotation that cannot be hashed, such as Annotated[int, []].
        return _build(annotation)


def from_payload(data: bytes | None, annotation: Any = Any, *, what: str = "payload") -> Any:
    """Decodes `data` as a value of `annotation`; None gives None whatever the annotation.

    Args:
        data: UTF-8 JSON, or None.
        annotation: the type to give back; Any, object and None mean plain JSON values. Of a union, the member that
            fits is chosen, more specific ones before text and plain dictionaries.
        what: how an error calls the payload, for example "result of activity 'charge'".

    Raises:
        PayloadError: the bytes are no JSON, or do not fit; the message names the type and the place inside.
    """
    if data is None:
        return None
    try:
        if annotation in _PLAIN:
            return _decode_plain(data)
        return _decoder_for(annotation)(data)
    except PayloadError as error:
        raise PayloadError(f"the {what} does not fit {describe(annotation)}: {error}") from error
    except (msgspec.MsgspecError, ValueError, TypeError, NameError) as error:
        raise PayloadError(f"the {what} does not fit {describe(annotation)}: {error}") from error


def describe(annotation: Any) -> str:
    """The name of a type as its user writes it."""
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
