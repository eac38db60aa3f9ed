"""History events: the closed union of facts that one execution's history may hold.

An event is encoded once, as a msgpack array whose first element is the tag below (proto/ENCODING.md). Tags are
never reused. A field may be added at the end with a default; anything else is a new tag, and `codec` upcasts the
old one. Payloads (`input`, `result`, ...) are opaque bytes: the engine never parses or re-encodes them, and None
is different from empty.

`foreign`: what a client or worker of another dialect of the wire said beside, in that dialect's own encoding. Only the
edge that wrote it reads it; the engine carries it from an action to its event, and from there to what the event starts.
"""

from __future__ import annotations

import msgspec

PayloadBytes = bytes | None


class Failure(msgspec.Struct, array_like=True, frozen=True, omit_defaults=False):
    """Why something failed, with its causes.

    `type` is the qualified name of the error class, `bases` the names of the classes it derives from (so that
    a retry policy may name a base class), `cause` the failure behind this one; at most `limits.MAX_CAUSES` deep.
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

    `epoch` is that of the lease under which the turn ran; 0 where it was recorded before epochs were. `code_hash` names
    the workflow's code, as its worker does; empty where it is that of the turn before, or was not told.
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
    foreign: bytes | None = None


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
    foreign: bytes | None = None


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
    foreign: bytes | None = None


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
    foreign: bytes | None = None


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
    """Terminal. `recursive` also terminates the open children.

    `start_id`: it means only the instance that this start began, in whichever execution it is by now; empty for any.
    """

    output: PayloadBytes = None
    recursive: bool = True
    reason: str = ""
    requested_by: str = ""
    start_id: str = ""


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
    foreign: bytes | None = None


class RerunStarted(msgspec.Struct, array_like=True, frozen=True, tag=19):
    """The history before this event was copied from `source`; its open operations start again."""

    source_instance_id: str
    event_id: int
    requested_by: str = ""


class WokenUp(msgspec.Struct, array_like=True, frozen=True, tag=20):
    """Ends a delay (start_at, back-off of a failing turn). Only ever a message, never stored in history."""

    reason: str = ""


Event = (
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
