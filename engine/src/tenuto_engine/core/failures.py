"""Failures cut to size: what a worker reports of an error must fit a record, however long its text or its causes."""

from __future__ import annotations

import msgspec

from tenuto_engine.core.events import Failure
from tenuto_engine.core.limits import MAX_CAUSES, MAX_FAILURE_TEXT, MAX_NAME_BYTES

# A class with more bases than this is listed in part; a retry policy names one of the nearest.
_MAX_BASES = 64


def bounded(failure: Failure) -> Failure:
    """Return the failure with its texts cut to `MAX_FAILURE_TEXT` characters and at most `MAX_CAUSES` causes.

    The message is cut at its end, the stack at its beginning, because its last frames are the nearest to the fault.
    """
    chain: list[Failure] = []
    link: Failure | None = failure
    while link is not None and len(chain) <= MAX_CAUSES:
        chain.append(link)
        link = link.cause
    if link is None and all(map(_fits, chain)):
        return failure
    made: Failure | None = None
    for link in reversed(chain):
        made = _cut(link, made)
    return made if made is not None else failure


def _fits(failure: Failure) -> bool:
    return (
        len(failure.type) <= MAX_NAME_BYTES
        and len(failure.message) <= MAX_FAILURE_TEXT
        and len(failure.stack) <= MAX_FAILURE_TEXT
        and len(failure.bases) <= _MAX_BASES
        and all(len(name) <= MAX_NAME_BYTES for name in failure.bases)
    )


def _cut(failure: Failure, cause: Failure | None) -> Failure:
    return msgspec.structs.replace(
        failure,
        type=failure.type[:MAX_NAME_BYTES],
        message=failure.message[:MAX_FAILURE_TEXT],
        stack=failure.stack[-MAX_FAILURE_TEXT:],
        cause=cause,
        bases=[name[:MAX_NAME_BYTES] for name in failure.bases[:_MAX_BASES]],
    )
