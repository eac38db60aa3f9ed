"""Bounds on everything accepted from outside. Each is settable where it says so, and named when it refuses.

The numbers are those of architecture section 7; they protect memory and the store, and are generous for use.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

MAX_CAUSES = 10
MAX_FAILURE_TEXT = 32 << 10
MAX_INSTANCE_ID_BYTES = 1024
MAX_NAME_BYTES = 512
MAX_REASON_BYTES = 4096
# Of why an instance stalled: a determinism report of an SDK (8,000 characters) fits, in any script. It is part of
# metadata, so every commit of the instance and every list of instances carries it.
MAX_STALL_REASON = 8_192
MAX_CODE_HASH = 64
MAX_LIST_PAGE = 1000
# Children of earlier executions that an instance keeps in its metadata.
MAX_CARRIED_CHILDREN = 1000
# Numbers a worker may give: every store and script holds them exactly.
MAX_EVENT_ID = (1 << 31) - 1
MAX_MOMENT_MS = 253_402_300_799_000  # the end of year 9999
# The terminal event must always fit, so an execution is failed this many records and bytes before its limit.
TERMINAL_ROOM_EVENTS = 16
TERMINAL_ROOM_BYTES = 1 << 20


class Limits(msgspec.Struct, frozen=True):
    """Settable bounds; bytes are of the encoded payload or record.

    `payload_bytes`: one input, result or event payload. `custom_status_bytes`: one custom status.
    `message_bytes`: one stream message. `history_events`, `history_bytes`: one execution, after which it fails by
    name. `pending_operations`: open activities, timers and children of one instance. `commit_records`,
    `commit_bytes`: one commit; a larger turn becomes an ordered series.
    """

    payload_bytes: int = 2 << 20
    custom_status_bytes: int = 64 << 10
    message_bytes: int = 64 << 20
    history_events: int = 50_000
    history_bytes: int = 64 << 20
    pending_operations: int = 50_000
    commit_records: int = 1_000
    commit_bytes: int = 4 << 20


def refuse_instance_id(instance_id: str) -> str | None:
    """Return why an instance id is refused, or None where it is fine.

    Fine is 1 to 1,024 bytes of UTF-8 without control characters; `|`, `@`, quotes, braces and spaces are allowed.
    """
    if not instance_id:
        return "the instance id is empty; give 1 to 1,024 bytes of UTF-8"
    size = len(instance_id.encode("utf-8", "surrogatepass"))
    if size > MAX_INSTANCE_ID_BYTES:
        return f"the instance id has {size:,} bytes, the limit is {MAX_INSTANCE_ID_BYTES:,}; use a shorter id"
    return _refuse_text("instance id", instance_id)


@lru_cache(maxsize=1024)
def refuse_name(what: str, name: str) -> str | None:
    """Return why the name of a workflow, activity or event is refused, or None where it is fine."""
    if not name:
        return f"the {what} is empty"
    size = len(name.encode("utf-8", "surrogatepass"))
    if size > MAX_NAME_BYTES:
        return f"the {what} has {size:,} bytes, the limit is {MAX_NAME_BYTES:,}; use a shorter name"
    return _refuse_text(what, name)


def refuse_words(what: str, text: str, limit: int) -> str | None:
    """Return why a short text is refused, or None where it is fine: at most `limit` bytes, or empty, and printable."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limit:
        return f"the {what} has {size:,} bytes, the limit is {limit:,}; use a shorter one"
    return _refuse_text(what, text)


def _refuse_text(what: str, text: str) -> str | None:
    for character in text:
        code = ord(character)
        if code < 0x20 or 0x7F <= code < 0xA0 or code in {0x2028, 0x2029}:
            return f"the {what} {text!r} holds the control character U+{code:04X}; remove it"
        if 0xD800 <= code < 0xE000:
            return f"the {what} {text!r} is not valid Unicode (lone surrogate U+{code:04X})"
    return None
