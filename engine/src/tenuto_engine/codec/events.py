"""Events, actions, failures: msgpack arrays, encoded once (proto/ENCODING.md).

`decode_event` is where an old encoding would be lifted to today's: tag numbers are never reused, so a retired tag gets
a struct of its own here and an upcast next to it. There is none yet.
"""

from __future__ import annotations

import msgspec

from tenuto_engine.core.actions import Action
from tenuto_engine.core.events import Event, Failure

_encoder = msgspec.msgpack.Encoder()
_event_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
_actions_decoder: msgspec.msgpack.Decoder[list[Action]] = msgspec.msgpack.Decoder(list[Action])
_failure_decoder = msgspec.msgpack.Decoder(Failure)


# What decoding can raise: malformed bytes, text that is no UTF-8, and nesting that no stack holds.
FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class UndecodableError(ValueError):
    """Bytes that are no event, action list or failure of any version this release knows."""


def encode_event(event: Event) -> bytes:
    return _encoder.encode(event)


def decode_event(data: bytes) -> Event:
    """Raises UndecodableError for bytes of a newer or foreign encoding."""
    try:
        return _event_decoder.decode(data)
    except FAULTS as error:
        raise UndecodableError(f"not a history event of encoding 1: {error}") from error


def decode_actions(data: bytes) -> list[Action]:
    """Raises UndecodableError; an empty byte string is an empty list."""
    if not data:
        return []
    try:
        return _actions_decoder.decode(data)
    except FAULTS as error:
        raise UndecodableError(f"not a list of actions of encoding 1: {error}") from error


def encode_actions(actions: list[Action]) -> bytes:
    """Actions as a worker sends them; of a dialect that has no such encoding."""
    return _encoder.encode(actions) if actions else b""


def encode_failure(failure: Failure) -> bytes:
    return _encoder.encode(failure)


def decode_failure(data: bytes) -> Failure:
    """Raises UndecodableError."""
    try:
        return _failure_decoder.decode(data)
    except FAULTS as error:
        raise UndecodableError(f"not a failure of encoding 1: {error}") from error
