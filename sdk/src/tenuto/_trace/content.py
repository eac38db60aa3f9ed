"""What one recorded event says, in the words of a person: pure text."""

from __future__ import annotations

from collections.abc import Sized
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tenuto._replay import events
from tenuto._replay.failures import to_details
from tenuto._wire.history import UnknownEvent
from tenuto._wire.instances import payload_text

if TYPE_CHECKING:
    from tenuto._wire.history import HistoryEvent

# An engine's default bound of one commit; a larger turn is an ordered series of them.
_COMMIT_RECORDS: Final = 1_000

Results = (
    events.ActivityCompleted | events.ActivityFailed | events.TimerFired | events.ChildCompleted | events.ChildFailed
)
Operations = events.ActivityScheduled | events.TimerCreated | events.ChildCreated | events.EventSent


def value_text(data: bytes | None) -> str:
    """Return a payload as text; None where there is none."""
    return "None" if data is None else payload_text(data)


def failure_text(failure: events.Failure) -> str:
    """Return a failure and its causes in one line."""
    return str(to_details(failure))


def time_text(unix_ms: int) -> str:
    """Return Unix milliseconds as a UTC moment, to the millisecond."""
    return moment_text(datetime.fromtimestamp(unix_ms / 1000, UTC))


def moment_text(at: datetime) -> str:
    """Return a moment in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00") + "Z"


def operation_code(event: Operations) -> str:
    """Return the call that the workflow function makes to ask for an operation."""
    match event:
        case events.ActivityScheduled():
            return f"call_activity({event.name})"
        case events.TimerCreated():
            return f"create_timer(due {time_text(event.due_at_ms)})"
        case events.ChildCreated():
            return f"call_child_workflow({event.name}, instance_id={event.instance_id!r})"
        case events.EventSent():
            return f"raise_event({event.instance_id!r}, {event.name!r})"


def operation_noun(event: Operations) -> str:
    """Return what an operation is called in a sentence."""
    match event:
        case events.ActivityScheduled():
            return f"activity {event.name}"
        case events.TimerCreated():
            return f"the timer due {time_text(event.due_at_ms)}"
        case events.ChildCreated():
            return f"child workflow {event.name} ({event.instance_id})"
        case events.EventSent():
            return f"event {event.name!r} to {event.instance_id!r}"


def subject(item: HistoryEvent, names: dict[int, str]) -> str:
    """Return what an event is about: the operation's name, the workflow, the event's name; may be empty."""
    event = item.event
    match event:
        case events.ExecutionStarted() | events.ActivityScheduled() | events.ChildCreated():
            return event.name
        case events.EventRaised() | events.EventSent():
            return event.name
        case events.ActivityCompleted() | events.ActivityFailed() | events.ChildCompleted() | events.ChildFailed():
            return names.get(event.event_id, "")
        case events.TimerCreated() | events.TimerFired():
            return "timer"
        case _:
            return ""


def content(event: events.Event | UnknownEvent) -> str:
    """Return what an event carries, in one line: input, result, failure, due time, reason."""
    match event:
        case events.TurnStarted():
            patches = f"patches taken: {', '.join(event.patches)}" if event.patches else ""
            code = f"code {event.code_hash}" if event.code_hash else ""
            return ", ".join(filter(None, (code, patches)))
        case events.ExecutionStarted() | events.ActivityScheduled():
            return f"input {value_text(event.input)}"
        case events.ChildCreated():
            return f"instance {event.instance_id}, input {value_text(event.input)}"
        case events.ActivityCompleted():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"result {value_text(event.result)}{again}"
        case events.ActivityFailed():
            return f"failure {failure_text(event.failure)} (attempt {event.attempt})"
        case events.ChildFailed() | events.ExecutionFailed():
            return f"failure {failure_text(event.failure)}"
        case events.ChildCompleted() | events.ExecutionCompleted():
            return f"result {value_text(event.result)}"
        case events.TimerCreated():
            return f"due {time_text(event.due_at_ms)}"
        case events.EventRaised():
            return f"payload {value_text(event.payload)}"
        case events.EventSent():
            return f"to {event.instance_id}, payload {value_text(event.payload)}"
        case _:
            return _rare_content(event)


def _rare_content(event: events.Event | UnknownEvent) -> str:
    match event:
        case events.ExecutionSuspended() | events.ExecutionResumed() | events.WokenUp():
            return f"reason: {event.reason}" if event.reason else ""
        case events.ExecutionTerminated():
            by = f", by {event.requested_by}" if event.requested_by else ""
            return f"output {value_text(event.output)}{by}" + (f", reason: {event.reason}" if event.reason else "")
        case events.ContinuedAsNew():
            return f"next input {value_text(event.input)}"
        case events.RerunStarted():
            return f"copied from {event.source_instance_id}, operation {event.event_id} runs again"
        case UnknownEvent():
            return f"an event of type {event.tag}, written by a newer engine"
        case _:
            return ""


def turn_note(rows: Sized) -> str:
    """Return how a turn of so many records was written."""
    return "one commit" if len(rows) <= _COMMIT_RECORDS else "an ordered series of commits"
