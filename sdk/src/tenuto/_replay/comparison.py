"""Recorded against attempted: the determinism check.

History's next operation must be the code's next operation: same number, same kind, and for activities, children and
events the same name. What an operation was asked with (input, payload, due time, result) is compared only by option:
a change of code may rightly change it, and a codec may give other bytes for the same value each time.
"""

from __future__ import annotations

from typing import Any, Final

from tenuto._payloads import Payloads
from tenuto._replay import actions, events
from tenuto.errors import NON_DETERMINISTIC, UNEXPECTED_ACTIVITY

RecordedOperation = (
    events.ActivityScheduled
    | events.TimerCreated
    | events.ChildCreated
    | events.EventSent
    | events.ExecutionCompleted
    | events.ExecutionFailed
)

OPERATIONS: Final = (
    events.ActivityScheduled,
    events.TimerCreated,
    events.ChildCreated,
    events.EventSent,
    events.ExecutionCompleted,
    events.ExecutionFailed,
)

_ACTION_OF: dict[type, type] = {
    events.ActivityScheduled: actions.ScheduleActivity,
    events.TimerCreated: actions.CreateTimer,
    events.ChildCreated: actions.StartChild,
    events.EventSent: actions.SendEvent,
    events.ExecutionCompleted: actions.CompleteExecution,
    events.ExecutionFailed: actions.FailExecution,
}

_KINDS: dict[type, str] = {
    events.ActivityScheduled: "activity",
    actions.ScheduleActivity: "activity",
    events.TimerCreated: "timer",
    actions.CreateTimer: "timer",
    events.ChildCreated: "child workflow",
    actions.StartChild: "child workflow",
    events.EventSent: "event to another instance",
    actions.SendEvent: "event to another instance",
    events.ExecutionCompleted: "the workflow completed",
    actions.CompleteExecution: "the workflow completes",
    events.ExecutionFailed: "the workflow failed",
    actions.FailExecution: "the workflow fails",
    actions.ContinueAsNew: "the workflow continues as new",
}

ENDINGS: Final = (
    events.ExecutionCompleted,
    events.ExecutionFailed,
    actions.CompleteExecution,
    actions.FailExecution,
    actions.ContinueAsNew,
)

# What an operation was asked with, beside its name: compared by option.
_ASKED_WITH: dict[type, tuple[str, ...]] = {
    events.ActivityScheduled: ("input",),
    events.TimerCreated: ("due_at_ms",),
    events.ChildCreated: ("input",),
    events.EventSent: ("instance_id", "payload"),
    events.ExecutionCompleted: ("result",),
}


class Difference(Exception):
    """Replay met a difference; the executor makes an error of it, with all that is known.

    Args:
        recorded: what history holds; None where it goes on without an operation.
        attempted: what the code asked for; None where it asked for nothing.
        field: what differs in an operation of the same kind and name; empty where kind, name or place differ.

    `met_at`: the event of history at which it showed.
    """

    def __init__(self, recorded: RecordedOperation | None, attempted: actions.Action | None, field: str = "") -> None:
        super().__init__()
        self.recorded = recorded
        self.attempted = attempted
        self.field = field
        self.met_at: events.Event | None = None

    @property
    def code(self) -> str:
        """`UNEXPECTED_ACTIVITY` where one activity is recorded and another is called, else `NON_DETERMINISTIC`."""
        recorded, attempted = self.recorded, self.attempted
        is_other_activity = (
            isinstance(recorded, events.ActivityScheduled)
            and isinstance(attempted, actions.ScheduleActivity)
            and recorded.event_id == attempted.event_id
            and recorded.name != attempted.name
        )
        return UNEXPECTED_ACTIVITY if is_other_activity else NON_DETERMINISTIC


def is_match(recorded: RecordedOperation, attempted: actions.Action) -> bool:
    """Whether the code asked for what history records."""
    return (
        recorded.event_id == attempted.event_id
        and _ACTION_OF[type(recorded)] is type(attempted)
        and getattr(recorded, "name", None) == getattr(attempted, "name", None)
    )


def changed_field(recorded: RecordedOperation, attempted: actions.Action, payloads: Payloads) -> str:
    """The field that a matching operation is asked for with another value of; empty where all are the same."""
    for field in _ASKED_WITH.get(type(recorded), ()):
        before, now = getattr(recorded, field), getattr(attempted, field)
        is_payload = isinstance(before, bytes) and isinstance(now, bytes)
        if not (payloads.is_same(before, now) if is_payload else before == now):
            return field
    return ""


def key_of(operation: Any) -> tuple[str, str]:
    """What makes two operations, recorded or attempted, the same but for their place: kind and name."""
    if isinstance(operation, ENDINGS):
        return "end", ""
    return _KINDS[type(operation)], getattr(operation, "name", "")


def title(operation: RecordedOperation | actions.Action) -> str:
    """Kind and name of an operation."""
    text = _KINDS[type(operation)]
    name = getattr(operation, "name", None)
    if name is not None:
        text += f" '{name}'"
    if isinstance(operation, (events.ExecutionFailed, actions.FailExecution)):
        text += f" ({operation.failure.type}: {operation.failure.message})"
    return text


def describe(operation: RecordedOperation | actions.Action) -> str:
    """One operation for people: kind, name, number, and the line that asked for it."""
    source = getattr(operation, "source", "")
    return f"{title(operation)} (operation {operation.event_id}{f', at {source}' if source else ''})"
