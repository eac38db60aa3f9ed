"""Which requests of clients are refused before anything is read or written: numbers and words outside their bounds.

Names and instance ids, which workflows choose too, are in `limits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tenuto_engine.core.limits import MAX_LIST_PAGE, refuse_words
from tenuto_engine.core.status import Status

MAX_COMMAND_ID_BYTES = 256
MAX_REQUESTED_BY_BYTES = 512
# traceparent has 55, and tracestate may have 512.
MAX_TRACE_PARENT_BYTES = 640
# The end of the year 9999: what comes later, no calendar of a client can show.
LATEST_MS = 253_402_300_799_999
_VERSION = re.compile(r"[A-Za-z0-9._+-]{0,63}")
_STATUSES = frozenset(int(status) for status in Status)


def refuse_command(command_id: str, requested_by: str = "") -> str | None:
    """Return why a command's id or its requester's name is refused, or None where both are fine; both may be empty."""
    return refuse_words("command id", command_id, MAX_COMMAND_ID_BYTES) or refuse_words(
        "requester's name", requested_by, MAX_REQUESTED_BY_BYTES
    )


def refuse_start(*, start_at_ms: int, version: str, trace_parent: str) -> str | None:
    """Return why a start's time, version or trace is refused, or None where all are fine."""
    if not 0 <= start_at_ms <= LATEST_MS:
        return f"start_at_ms is {start_at_ms}; give Unix milliseconds up to the year 9999, or 0 for now"
    if not _VERSION.fullmatch(version):
        return f"the version {version[:64]!r} is refused; it must match {_VERSION.pattern}"
    return refuse_words("trace_parent", trace_parent, MAX_TRACE_PARENT_BYTES)


def refuse_listing(*, page_size: int, statuses: Iterable[int], created_from_ms: int, created_to_ms: int) -> str | None:
    """Return why a list's page size or filter is refused, or None where it is fine."""
    if not 1 <= page_size <= MAX_LIST_PAGE:
        return f"page_size is {page_size}; give 1 to {MAX_LIST_PAGE:,}"
    unknown = sorted(set(statuses) - _STATUSES)
    if unknown:
        return f"the status {unknown[0]} is unknown; give {', '.join(f'{s:d} ({s.name})' for s in Status)}"
    for name, moment in (("created_from_ms", created_from_ms), ("created_to_ms", created_to_ms)):
        if moment < 0:
            return f"{name} is {moment}; give Unix milliseconds, or 0 for no bound"
    return None
