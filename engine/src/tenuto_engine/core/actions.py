"""Actions: what replayed workflow code asks for, in the order it asked.

The SDK encodes them as a msgpack array of tagged arrays (proto/ENCODING.md); `event_id` is the SDK's counter.
`source` is "file:line" of the user's statement, recorded for error messages; it may be empty.
`foreign`: see `core.events`.
"""

from __future__ import annotations

import msgspec

from tenuto_engine.core.events import EventRaised, Failure, PayloadBytes, RetryPolicy


class ScheduleActivity(msgspec.Struct, array_like=True, frozen=True, tag=1):
    event_id: int
    name: str
    input: PayloadBytes = None
    retry: RetryPolicy | None = None
    start_to_close_ms: int = 0
    schedule_to_close_ms: int = 0
    heartbeat_ms: int = 0
    source: str = ""
    foreign: bytes | None = None


class CreateTimer(msgspec.Struct, array_like=True, frozen=True, tag=2):
    event_id: int
    due_at_ms: int
    source: str = ""
    foreign: bytes | None = None


class CancelTimer(msgspec.Struct, array_like=True, frozen=True, tag=3):
    """Drops an open timer (the loser of a race); leaves no record, and the timer never fires."""

    event_id: int


class StartChild(msgspec.Struct, array_like=True, frozen=True, tag=4):
    event_id: int
    name: str
    instance_id: str
    input: PayloadBytes = None
    version: str = ""
    source: str = ""
    foreign: bytes | None = None


class SendEvent(msgspec.Struct, array_like=True, frozen=True, tag=5):
    event_id: int
    instance_id: str
    name: str
    payload: PayloadBytes = None
    source: str = ""


class CompleteExecution(msgspec.Struct, array_like=True, frozen=True, tag=6):
    event_id: int
    result: PayloadBytes = None


class FailExecution(msgspec.Struct, array_like=True, frozen=True, tag=7):
    event_id: int
    failure: Failure


class ContinueAsNew(msgspec.Struct, array_like=True, frozen=True, tag=8):
    """`carryover`: events received and not consumed, oldest first, which the next execution receives before all others.

    `keep_events`: whether messages unread by this turn stay for the next execution; the SDK leaves `carryover` empty
    where they are not kept.
    """

    event_id: int
    input: PayloadBytes = None
    keep_events: bool = True
    version: str = ""
    carryover: list[EventRaised] = []
    foreign: bytes | None = None


Action = (
    ScheduleActivity
    | CreateTimer
    | CancelTimer
    | StartChild
    | SendEvent
    | CompleteExecution
    | FailExecution
    | ContinueAsNew
)
