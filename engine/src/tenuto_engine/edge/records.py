"""Stored records decoded for people: what `tenuto state show` prints beside the bytes."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec

from tenuto_engine.codec.events import UndecodableError, decode_event
from tenuto_engine.codec.records import decode_inbox, decode_metadata
from tenuto_engine.ports.records import Stored


def record_json(name: str, value: bytes, stored: Stored) -> str:
    """The decoded form of a record as JSON; text says why where it cannot be decoded."""
    try:
        decoded = _decoded(name, value, stored)
    except UndecodableError as error:
        decoded = {"undecodable": str(error)}
    text = json.dumps(decoded, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # A payload may hold half of a surrogate pair, which JSON can say and a protobuf string cannot.
        return json.dumps(decoded)
    return text


def _decoded(name: str, value: bytes, stored: Stored) -> Any:
    if name.startswith("history-"):
        return _event(value)
    if name.startswith("inbox-") and name[6:].isdecimal():
        body = decode_inbox(value)
        return {
            "message_id": body.id,
            "at_ms": body.at_ms,
            "execution_id": body.execution_id,
            "event": _event(body.event),
        }
    if name == "metadata":
        head = {**_plain(stored.head), "status": stored.head.status.name, "hold": stored.head.hold.name}
        return {**head, "inbox_next": stored.inbox_next, **_plain(decode_metadata(value))}
    return _plain(value)


def _event(raw: bytes) -> dict[str, Any]:
    event = decode_event(raw)
    return {"event": type(event).__name__, **_plain(event)}


def _plain(value: Any) -> Any:
    """Structs to dictionaries, payload bytes to JSON where they are JSON, else to base64."""
    if isinstance(value, msgspec.Struct):
        shown = {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        if "foreign" in shown and shown["foreign"] is None:
            del shown["foreign"]  # Only what another dialect said is worth a word.
        return shown
    if isinstance(value, bytes):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            # A payload codec's bytes, in the form in which history is exported too.
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
