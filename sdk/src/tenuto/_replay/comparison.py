"""Recorded against attempted: the determinism check.

History's next operation must be the code's next operation: same number, same kind, and for activities, children and
events the same name. Inputs are not compared: they may hold what legitimately varies, such as encrypted text.
"""

from __future__ import annotations

from tenuto._replay import actions, events
from tenuto.errors import NON_DETERMINISTIC, UNEXPECTED_ACTIVITY, NonDeterminismError

RecordedOperation = (
    events.ActivityScheduled
    | events.TimerCreated
    | events.ChildCreated
    | events.EventSent
    | events.ExecutionCompleted
    | events.ExecutionFailed
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


def is_match(recorded: RecordedOperation, attempted: actions.Action) -> bool:
    """Whether the code asked for what history records."""
    return (
        recorded.event_id == attempted.event_id
        and _ACTION_OF[type(recorded)] is type(attempted)
        and getattr(recorded, "name", None) == getattr(attempted, "name", None)
    )


def mismatch(recorded: RecordedOperation, attempted: actions.Action | None, instance_id: str) -> NonDeterminismError:
    """The error for a recorded operation that the code does not ask for at this point; None: it asks for nothing."""
    is_other_activity = (
        isinstance(recorded, events.ActivityScheduled)
        and isinstance(attempted, actions.ScheduleActivity)
        and recorded.event_id == attempted.event_id
    )
    return NonDeterminismError(
        UNEXPECTED_ACTIVITY if is_other_activity else NON_DETERMINISTIC,
        recorded=describe(recorded),
        attempted="nothing at this point" if attempted is None else describe(attempted),
        instance_id=instance_id,
        event_id=recorded.event_id,
    )


def surplus(attempted: actions.Action, instance_id: str) -> NonDeterminismError:
    """The error for an operation that the code asks for and history does not have."""
    return NonDeterminismError(
        NON_DETERMINISTIC,
        recorded="nothing at this point: history goes on without it",
        attempted=describe(attempted),
        instance_id=instance_id,
        event_id=attempted.event_id,
    )


def describe(operation: RecordedOperation | actions.Action) -> str:
    """One operation for people: kind, name, number, and the line that asked for it."""
    text = _KINDS[type(operation)]
    name = getattr(operation, "name", None)
    if name is not None:
        text += f" '{name}'"
    if isinstance(operation, (events.ExecutionFailed, actions.FailExecution)):
        text += f" ({operation.failure.type}: {operation.failure.message})"
    source = getattr(operation, "source", "")
    return f"{text} (operation {operation.event_id}{f', at {source}' if source else ''})"
