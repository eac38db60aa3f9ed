"""Values as both dialects write them: texts, moments, failures, statuses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from tenuto_engine.core.events import Failure
from tenuto_engine.core.limits import MAX_CAUSES, MAX_MOMENT_MS
from tenuto_engine.core.status import Status
from tenuto_engine.edge.durabletask.dialects import Dialect

_NANOS = 1_000_000_000
_STATUS = {
    Status.PENDING: 6,
    Status.RUNNING: 0,
    Status.SUSPENDED: 7,
    Status.COMPLETED: 1,
    Status.FAILED: 3,
    Status.TERMINATED: 5,
    Status.STALLED: 8,
}
_RUNNING = 0


def payload(message: Any, field: str) -> bytes | None:
    """A payload's bytes: None where the text is absent, which is not the empty text."""
    return getattr(message, field).value.encode() if message.HasField(field) else None


def set_text(message: Any, field: str, value: bytes | str | None) -> None:
    """Set a wrapped text; None leaves it absent. Bytes that are no text (another codec's) are shown as they can be."""
    if value is None:
        return
    wrapped = getattr(message, field)
    wrapped.value = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    wrapped.SetInParent()


def set_moment(timestamp: Timestamp, moment_ms: int) -> None:
    """Set a protobuf Timestamp to Unix milliseconds."""
    timestamp.seconds, rest = divmod(moment_ms, 1000)
    timestamp.nanos = rest * 1_000_000


def due_ms(timestamp: Timestamp) -> int:
    """A Timestamp as Unix ms, never before the moment it names; the last one before year 10000 at most."""
    nanos = timestamp.seconds * _NANOS + timestamp.nanos
    return min(max(0, -(-nanos // 1_000_000)), MAX_MOMENT_MS)


def from_ms(timestamp: Timestamp) -> int:
    """A Timestamp as Unix ms, rounded down; 0 where it is not set."""
    return max(0, (timestamp.seconds * _NANOS + timestamp.nanos) // 1_000_000)


def failure_of(details: Any) -> Failure:
    """A TaskFailureDetails as the engine keeps it."""
    chain: list[Any] = [details]
    while chain[-1].HasField("innerFailure") and len(chain) < MAX_CAUSES:
        chain.append(chain[-1].innerFailure)
    failure: Failure | None = None
    for one in reversed(chain):
        failure = Failure(
            type=one.errorType,
            message=one.errorMessage,
            stack=one.stackTrace.value,
            cause=failure,
            non_retryable=one.isNonRetriable,
        )
    assert failure is not None
    return failure


def set_failure(details: Any, failure: Failure) -> None:
    """Write a failure with its causes."""
    current: Failure | None = failure
    while current is not None:
        details.errorType, details.errorMessage = current.type, current.message
        details.isNonRetriable = current.non_retryable
        details.SetInParent()
        if current.stack:
            details.stackTrace.value = current.stack
        current = current.cause
        if current is not None:
            details = details.innerFailure


def status_number(dialect: Dialect, status: int) -> int:
    """The number of a status; a stalled instance runs in the eyes of clients that do not know the word."""
    number = _STATUS[Status(status)]
    return _RUNNING if status == Status.STALLED and not dialect.shows_stalled else number


def statuses_of(numbers: Iterable[int]) -> frozenset[int]:
    """Our statuses for theirs; numbers that no instance of ours ever has are left out."""
    known = {number: status for status, number in _STATUS.items()}
    found: set[int] = {known[number] for number in numbers if number in known}
    if Status.RUNNING in found:
        found.add(Status.STALLED)
    return frozenset(found)
