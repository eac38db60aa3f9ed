"""How an instance begins: the complete record that a start, a child's start or a rerun writes."""

from __future__ import annotations

from collections.abc import Sequence

from tenuto_engine.codec.events import encode_event
from tenuto_engine.codec.records import InboxBody, MetadataBody, encode_record
from tenuto_engine.core.events import Event, ExecutionStarted
from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.records import Head, IndexEntry, Message, NewInstance, ReminderKey, ReminderSet

START_REMINDER = "start"


def message_of(
    event_raw: bytes,
    *,
    message_id: str,
    at_ms: int,
    execution_id: str = "",
    control: bool = False,
    carried: bool = False,
    remember: bool = False,
) -> Message:
    """An inbox message around an encoded event. `remember`: a client's command, whose id is kept for the window."""
    body = encode_record(InboxBody(message_id, at_ms, execution_id, event_raw, carried))
    return Message(id=message_id, body=body, execution_id=execution_id, control=control, remember=remember)


def new_instance(
    started: ExecutionStarted,
    *,
    start_id: str,
    now_ms: int,
    replace: frozenset[Status] = frozenset(),
    messages: Sequence[tuple[Event, str]] = (),
    history: Sequence[bytes] = (),
    rerun_of: str = "",
    started_raw: bytes | None = None,
) -> NewInstance:
    """The record of a new instance.

    Without `history` it begins with `started` in its inbox; with `history` (a rerun) the start is part of that, and
    `messages` (event, id) follow. A start in the future is held until its reminder fires.
    """
    pairs = list(messages)
    inbox = [message_of(encode_event(event), message_id=message_id, at_ms=now_ms) for event, message_id in pairs]
    if not history:
        raw = started_raw if started_raw is not None else encode_event(started)
        inbox.insert(0, message_of(raw, message_id=start_id, at_ms=now_ms))
    delayed = started.scheduled_at_ms > now_ms
    key = ReminderKey(START_REMINDER, 0, started.execution_id, started.instance_id)
    body = MetadataBody(
        name=started.name,
        generation=started.generation,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        parent=started.parent,
        history_bytes=sum(map(len, history)),
        trace_parent=started.trace_parent,
        rerun_of=rerun_of,
        scheduled_at_ms=started.scheduled_at_ms,
    )
    head = Head(
        status=Status.PENDING,
        hold=Hold.DELAYED if delayed else Hold.NONE,
        execution_id=started.execution_id,
        commit_id="",
        history_length=len(history),
        taken=0,
        inbox_low=0,
        version=started.version,
        start_id=start_id,
    )
    return NewInstance(
        instance_id=started.instance_id,
        head=head,
        metadata=encode_record(body),
        index=IndexEntry(started.name, Status.PENDING, now_ms),
        messages=inbox,
        history=history,
        reminders=[ReminderSet(key, started.scheduled_at_ms)] if delayed else (),
        replace=replace,
    )
