"""What an event carries for its dialect: a partial message of the event that confirms it, behind the dialect's mark.

The start of an execution is the same message in both dialects, so a client of one may start what a worker of the other
runs. Anything else is read only by the dialect that wrote it.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from tenuto_engine.edge.durabletask.dialects import DAPR, MICROSOFT, Dialect

_MARKS = (DAPR.mark, MICROSOFT.mark)


def pack(dialect: Dialect, partial: Any) -> bytes | None:
    """The bytes to keep; None where the message is empty."""
    data: bytes = partial.SerializeToString()
    return dialect.mark + data if data else None


def unpack(dialect: Dialect, foreign: bytes | None, into: Any, *, shared: bool = False) -> None:
    """Merge what was kept into a message; `shared`: whichever dialect wrote it."""
    if foreign is None:
        return
    if foreign[:1] != dialect.mark and not (shared and foreign[:1] in _MARKS):
        return
    try:
        into.MergeFromString(foreign[1:])
    except DecodeError:
        # Written by a newer release: what it adds is lost to this one, the operation itself is not.
        into.Clear()
