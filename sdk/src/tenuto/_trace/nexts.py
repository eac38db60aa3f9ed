"""What runs next, and which records make sure of it."""

from __future__ import annotations

import re
from typing import Any, cast

from tenuto._replay import events
from tenuto._trace.content import Operations, time_text
from tenuto._trace.keys import decoded, inbox_records
from tenuto._trace.model import NextStep
from tenuto._trace.steps import Index
from tenuto._wire.history import HistoryEvent
from tenuto._wire.instances import WorkflowState, WorkflowStatus
from tenuto._wire.records import StateRecord, StateRecords

_WAITING_CALL = re.compile(r"\(activity '(.+)'\)")


def next_steps(state: WorkflowState, index: Index, records: StateRecords) -> tuple[NextStep, ...]:
    """Return what happens from here on, most urgent first; never empty."""
    status = state.runtime_status
    if status.is_terminal:
        text = f"Nothing: the instance is {status.name.lower()}, and stays readable until it is purged."
        return (NextStep(text, ("metadata",)),)
    unread = inbox_records(records)
    found = _hold(state)
    found += [_unread(record, index, status) for record in unread]
    answered = {number for record in unread if (number := _event_of(record).get("event_id")) is not None}
    for item, event in index.open_operations():
        if event.event_id not in answered:
            found.append(_open(item, event, state))
    has_activity = any(isinstance(event, events.ActivityScheduled) for _item, event in index.open_operations())
    if not found:
        found.append(_idle(state))
    elif not unread and not has_activity and status is WorkflowStatus.RUNNING:
        # A wait for an external event leaves no record, so it can only be named as a possibility.
        found.append(
            NextStep(f"An external event wakes it too: `tenuto workflow raise-event {state.instance_id} NAME`.")
        )
    return tuple(found)


def _hold(state: WorkflowState) -> list[NextStep]:
    resume = f"`tenuto workflow resume {state.instance_id}`"
    if state.runtime_status is WorkflowStatus.SUSPENDED:
        return [NextStep(f"No turn until it is resumed: {resume}.", ("metadata",))]
    if state.runtime_status is WorkflowStatus.STALLED:
        why = (state.status_reason or "no reason recorded").splitlines()[0]
        return [NextStep(f"No turn until its cause is mended ({why}); then {resume}.", ("metadata",))]
    if state.status_reason.startswith("waiting_for"):
        named = _WAITING_CALL.search(state.status_reason)
        what = f"the workflow '{state.name}'" if named is None else f"the activity '{named[1]}'"
        return [NextStep(f"It waits for a worker that registers {what} and is free: start the app.", ("metadata",))]
    return []


def _unread(record: StateRecord, index: Index, status: WorkflowStatus) -> NextStep:
    event = _event_of(record)
    what = str(event.get("event") or "a message")
    number = event.get("event_id")
    about = ""
    if isinstance(number, int):
        about = f" of operation {number}" + (f" ({index.names[number]})" if number in index.names else "")
    elif event.get("name"):
        about = f" {event['name']!r}"
    is_held = status in (WorkflowStatus.SUSPENDED, WorkflowStatus.STALLED)
    when = "When it goes on, a turn" if is_held else "The next turn"
    effect = "the function starts" if what == "ExecutionStarted" else "the replayed code goes on from there"
    text = f"{when} takes {what}{about}, which is stored and unread: {effect}, and what it asks for then is executed."
    return NextStep(text, (record.key,))


def _event_of(record: StateRecord) -> dict[str, Any]:
    found: object = decoded(record).get("event")
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _open(item: HistoryEvent, event: Operations, state: WorkflowState) -> NextStep:
    match event:
        case events.ActivityScheduled():
            key = f"({state.instance_id}, {state.execution_id}, {event.event_id})"
            text = (
                f"{event.name} (operation {event.event_id}) executes: it is scheduled without a recorded result, so it "
                f"is running now, or is delivered again after a crash, with the same idempotency key {key}."
            )
        case events.TimerCreated():
            text = (
                f"The timer (operation {event.event_id}) fires at {time_text(event.due_at_ms)}, "
                "unless the code cancelled it: a reminder in the store wakes the instance, whoever is alive then."
            )
        case events.ChildCreated():
            text = (
                f"Child workflow {event.name} (operation {event.event_id}) runs as {event.instance_id}: "
                f"see `tenuto trace {event.instance_id}`. Its result comes to this inbox."
            )
        case events.EventSent():
            text = f"Event {event.name!r} is on its way to {event.instance_id!r}."
    return NextStep(text, (item.key,))


def _idle(state: WorkflowState) -> NextStep:
    if state.runtime_status is WorkflowStatus.PENDING:
        return NextStep(
            "Its first turn runs as soon as a worker takes it, or at the moment it was delayed to.", ("metadata",)
        )
    return NextStep(
        "Nothing by itself: no operation is open and nothing is unread. The code waits for an external event "
        f"(`tenuto workflow raise-event {state.instance_id} NAME`), or its next turn is being recorded.",
        ("metadata",),
    )
