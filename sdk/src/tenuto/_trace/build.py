"""Makes a `Trace` from what an engine says of one instance: its state, its history and its stored records.

The three are read one after the other, so a running instance may move on between them; where that shows, the trace
says so instead of mixing executions silently.
Source: reference lesson, "Trace Replay Execution"; architecture section 9.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from tenuto._replay import events
from tenuto._trace.content import content, moment_text, subject
from tenuto._trace.keys import state_keys
from tenuto._trace.model import Span, Trace, TraceEvent, Verdict
from tenuto._trace.nexts import next_steps
from tenuto._trace.steps import Index, replay_steps
from tenuto._wire.history import HistoryEvent, UnknownEvent, WorkflowHistory
from tenuto._wire.instances import WorkflowState, WorkflowStatus
from tenuto._wire.records import StateRecords

_HEADLINES = {
    WorkflowStatus.PENDING: "It is accepted and durable; its first turn is not recorded yet.",
    WorkflowStatus.RUNNING: "A replay skips what history holds, and goes on where history ends.",
    WorkflowStatus.SUSPENDED: "It is paused: what arrives is kept, and a replay happens when it is resumed.",
    WorkflowStatus.STALLED: "It cannot progress without help; nothing of its history is lost.",
    WorkflowStatus.COMPLETED: "It has completed: the steps show what a replay would do, and none happens any more.",
    WorkflowStatus.FAILED: "It has failed: the steps show what a replay would do, and none happens any more.",
    WorkflowStatus.TERMINATED: "It was terminated: the steps show what a replay would do, and none happens any more.",
}


def build_trace(state: WorkflowState, history: WorkflowHistory, records: StateRecords) -> Trace:
    """Explain one instance.

    Args:
        state: the instance, read with payloads.
        history: its present execution's history.
        records: its stored records; they may be cut after history, then unread messages may be missing, and a note
            says so.
    """
    index = Index(history)
    status = state.runtime_status
    return Trace(
        instance_id=state.instance_id,
        name=state.name,
        status=status.name,
        headline=_HEADLINES.get(status, "Its status is not known to this release."),
        facts=_facts(state, records),
        notes=_notes(state, history, records),
        events=tuple(_event(item, index) for item in history),
        steps=replay_steps(history, index, ended=status.is_terminal),
        spans=_spans(index),
        nexts=next_steps(state, index, records),
        store_key=records.store_key,
        keys=state_keys(records, [(item.key, len(msgspec.msgpack.encode(item.event))) for item in history]),
        problem=state.status_reason if "\n" in state.status_reason else "",
    )


def _event(item: HistoryEvent, index: Index) -> TraceEvent:
    return TraceEvent(
        key=item.key,
        index=item.index,
        turn=item.turn,
        at="" if item.at is None else moment_text(item.at),
        type=item.type,
        event_id=item.event_id,
        subject=subject(item, index.names),
        content=content(item.event),
    )


def _spans(index: Index) -> tuple[Span, ...]:
    found: list[Span] = []
    for number, (item, event) in index.operations.items():
        answer = index.results.get(number)
        if item.at is None or isinstance(event, events.EventSent):
            continue
        verdict = Verdict.OPEN
        if answer is not None:
            is_failure = isinstance(answer[1], (events.ActivityFailed, events.ChildFailed))
            verdict = Verdict.RAISES if is_failure else Verdict.SKIPPED
        end_at = None if answer is None else answer[0].at
        found.append(
            Span(
                number, index.names.get(number, "timer"), verdict, _ms(item.at), None if end_at is None else _ms(end_at)
            )
        )
    return tuple(found)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _facts(state: WorkflowState, records: StateRecords) -> tuple[tuple[str, str], ...]:
    reason = next(iter(state.status_reason.splitlines()), "")
    status = state.runtime_status.name + (f" ({reason})" if reason else "")
    found = [
        ("Workflow", state.name + (f", version {state.version}" if state.version else "")),
        ("Status", status),
        ("Execution", f"{state.execution_id} (generation {state.generation})"),
        ("Started", moment_text(state.created_at)),
        ("Last change", moment_text(state.last_updated_at)),
        ("History", f"{state.history_length:,} events, {state.history_bytes:,} bytes"),
        ("Store key", records.store_key),
        ("Shard", str(records.shard)),
    ]
    optional = (
        ("Parent", state.parent_instance_id),
        ("Rerun of", state.rerun_of),
        ("Input", state.serialized_input),
        ("Custom status", state.serialized_custom_status),
        ("Output", state.serialized_output),
        ("Failure", str(state.failure_details) if state.failure_details else None),
    )
    return tuple(found + [(label, value) for label, value in optional if value])


def _notes(state: WorkflowState, history: WorkflowHistory, records: StateRecords) -> tuple[str, ...]:
    found: list[str] = []
    if history.execution_id and history.execution_id != state.execution_id:
        found.append("The instance began a new execution while this trace was read; read it again.")
    elif len(history) != state.history_length:
        found.append(
            f"The instance moved on while this trace was read: history has {len(history)} events, "
            f"its state said {state.history_length}."
        )
    if state.generation > 1:
        found.append(
            f"This is generation {state.generation}: continue-as-new ended the earlier executions, whose records were "
            "replaced by this one's in one commit. A replay knows this execution only."
        )
    if state.rerun_of:
        found.append(f"This is a rerun of {state.rerun_of}: its history begins with a copy of that one's.")
    if any(isinstance(item.event, UnknownEvent) for item in history):
        found.append("Some events were written by a newer engine; use the `tenuto` command of that release.")
    if records.is_truncated:
        found.append("The engine showed only part of the records; unread messages may be missing below.")
    return tuple(found)
