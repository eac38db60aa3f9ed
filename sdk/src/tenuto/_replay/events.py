"""History events as the worker reads them: the closed union of facts that one execution's history may hold.

The worker's own reading of proto/ENCODING.md: msgpack arrays, tag first, surplus elements ignored, missing ones
defaulted. Payloads are opaque here too; `tenuto._payloads` knows what they mean.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

PayloadBytes: TypeAlias = bytes | None


class Failure(msgspec.Struct, array_like=True, frozen=True):
    """Why something failed, with its causes.

    `type` is the qualified name of the error class, `bases` the names of the classes it derives from (so that
    a retry policy may name a base class), `cause` the failure behind this one; at most 10 deep.
    """

    type: str
    message: str
    stack: str = ""
    cause: Failure | None = None
    non_retryable: bool = False
    bases: list[str] = []


class RetryPolicy(msgspec.Struct, array_like=True, frozen=True):
    """When a failed activity is tried again; times in milliseconds, 0 means none.

    `max_attempts` counts the first try; 0 is unlimited. `jitter` in [0, 1] is the share of the delay that varies,
    by a hash of the call's identity: the same call always waits equally long.
    """

    first_interval_ms: int
    max_attempts: int
    backoff: float = 1.0
    max_interval_ms: int = 0
    total_timeout_ms: int = 0
    jitter: float = 0.0
    non_retryable: list[str] = []


class Parent(msgspec.Struct, array_like=True, frozen=True):
    """The instance that started this one as a child, and the operation by which it did."""

    instance_id: str
    execution_id: str
    event_id: int
    name: str = ""


class TurnStarted(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """Opens each turn. `at_ms` is the turn's time: what `current_utc_datetime` shows. Never before the previous one.

    `epoch` is the engine's: that of the lease under which the turn ran. `code_hash` names the workflow's code that ran
    it; empty where it is that of the turn before, or was not recorded.
    """

    at_ms: int
    patches: list[str] = []
    epoch: int = 0
    code_hash: str = ""


class ExecutionStarted(msgspec.Struct, array_like=True, frozen=True, tag=2):
    """The first fact of an execution: which workflow, with what input."""

    name: str
    instance_id: str
    execution_id: str
    input: PayloadBytes = None
    version: str = ""
    parent: Parent | None = None
    generation: int = 1
    trace_parent: str = ""
    scheduled_at_ms: int = 0


class ActivityScheduled(msgspec.Struct, array_like=True, frozen=True, tag=3):
    """The intent to run an activity; it is retried by the engine, so one call is one such event."""

    event_id: int
    name: str
    input: PayloadBytes = None
    retry: RetryPolicy | None = None
    start_to_close_ms: int = 0
    schedule_to_close_ms: int = 0
    heartbeat_ms: int = 0
    source: str = ""


class ActivityCompleted(msgspec.Struct, array_like=True, frozen=True, tag=4):
    event_id: int
    result: PayloadBytes = None
    attempt: int = 1


class ActivityFailed(msgspec.Struct, array_like=True, frozen=True, tag=5):
    event_id: int
    failure: Failure
    attempt: int = 1


class TimerCreated(msgspec.Struct, array_like=True, frozen=True, tag=6):
    event_id: int
    due_at_ms: int
    source: str = ""


class TimerFired(msgspec.Struct, array_like=True, frozen=True, tag=7):
    event_id: int


class EventRaised(msgspec.Struct, array_like=True, frozen=True, tag=8):
    """An external event that arrived. The name is as given; the SDK matches it without case."""

    name: str
    payload: PayloadBytes = None


class EventSent(msgspec.Struct, array_like=True, frozen=True, tag=9):
    event_id: int
    instance_id: str
    name: str
    payload: PayloadBytes = None
    source: str = ""


class ChildCreated(msgspec.Struct, array_like=True, frozen=True, tag=10):
    """`child_execution_id` is chosen by the parent's engine, so that trees can be followed exactly."""

    event_id: int
    name: str
    instance_id: str
    input: PayloadBytes = None
    version: str = ""
    child_execution_id: str = ""
    source: str = ""


class ChildCompleted(msgspec.Struct, array_like=True, frozen=True, tag=11):
    event_id: int
    result: PayloadBytes = None


class ChildFailed(msgspec.Struct, array_like=True, frozen=True, tag=12):
    event_id: int
    failure: Failure


class ExecutionSuspended(msgspec.Struct, array_like=True, frozen=True, tag=13):
    reason: str = ""


class ExecutionResumed(msgspec.Struct, array_like=True, frozen=True, tag=14):
    reason: str = ""


class ExecutionTerminated(msgspec.Struct, array_like=True, frozen=True, tag=15):
    """Terminal. `recursive` also terminates the open children."""

    output: PayloadBytes = None
    recursive: bool = True
    reason: str = ""
    requested_by: str = ""


class ExecutionCompleted(msgspec.Struct, array_like=True, frozen=True, tag=16):
    """Terminal, success. `event_id` is the id of the completing action."""

    event_id: int
    result: PayloadBytes = None


class ExecutionFailed(msgspec.Struct, array_like=True, frozen=True, tag=17):
    """Terminal, failure: the workflow function raised, or a limit of the engine ended it (`failure.type` names it)."""

    event_id: int
    failure: Failure


class ContinuedAsNew(msgspec.Struct, array_like=True, frozen=True, tag=18):
    """Ends this execution; never stored, because the next execution replaces the record in the same commit."""

    event_id: int
    input: PayloadBytes = None
    keep_events: bool = True
    version: str = ""
    carryover: list[EventRaised] = []


class RerunStarted(msgspec.Struct, array_like=True, frozen=True, tag=19):
    """The history before this event was copied from `source`; its open operations start again."""

    source_instance_id: str
    event_id: int
    requested_by: str = ""


class WokenUp(msgspec.Struct, array_like=True, frozen=True, tag=20):
    """Ends a delay (start_at, back-off of a failing turn). Only ever a message, never stored in history."""

    reason: str = ""


Event: TypeAlias = (
    TurnStarted
    | ExecutionStarted
    | ActivityScheduled
    | ActivityCompleted
    | ActivityFailed
    | TimerCreated
    | TimerFired
    | EventRaised
    | EventSent
    | ChildCreated
    | ChildCompleted
    | ChildFailed
    | ExecutionSuspended
    | ExecutionResumed
    | ExecutionTerminated
    | ExecutionCompleted
    | ExecutionFailed
    | ContinuedAsNew
    | RerunStarted
    | WokenUp
)

_decoder = msgspec.msgpack.Decoder(Event)


def decode_event(data: bytes) -> Event:
    """Reads one event; raises `msgspec.MsgspecError` for bytes of a newer or foreign encoding."""
    event: Event = _decoder.decode(data)
    return event
