"""Effects: what the shell must do once a commit is durable. A closed union; each is safe to happen twice."""

from __future__ import annotations

import msgspec

from tenuto_engine.core.events import ActivityScheduled, ChildCreated, EventRaised, Failure, Parent


class DispatchActivity(msgspec.Struct, frozen=True):
    """Run an activity. `history_index` is where its ActivityScheduled event stands, so that it can be found again."""

    event: ActivityScheduled
    history_index: int


class ArmTimer(msgspec.Struct, frozen=True):
    event_id: int
    due_at_ms: int


class DisarmTimer(msgspec.Struct, frozen=True):
    event_id: int


class StartChildInstance(msgspec.Struct, frozen=True):
    event: ChildCreated


class SendExternalEvent(msgspec.Struct, frozen=True):
    """Raise an event at another instance. `history_index` makes its message id unique and repeatable."""

    instance_id: str
    name: str
    payload: bytes | None
    history_index: int


class TerminateChild(msgspec.Struct, frozen=True):
    instance_id: str
    execution_id: str
    reason: str


class NotifyParent(msgspec.Struct, frozen=True):
    """Tell the parent how this child ended: `failure` None means success with `result`."""

    parent: Parent
    result: bytes | None
    failure: Failure | None


class EndExecution(msgspec.Struct, frozen=True):
    """The execution is over: its timers and activity entries go, waiters are answered, retention begins."""

    failed: bool


class BeginExecution(msgspec.Struct, frozen=True):
    """Continue-as-new: this execution is replaced by one with the given input.

    `keep_events`: unread events stay unread; `carryover`: events that the code had received and not consumed.
    """

    input: bytes | None
    keep_events: bool
    version: str
    carryover: list[EventRaised]
    foreign: bytes | None = None


Effect = (
    DispatchActivity
    | ArmTimer
    | DisarmTimer
    | StartChildInstance
    | SendExternalEvent
    | TerminateChild
    | NotifyParent
    | EndExecution
    | BeginExecution
)
