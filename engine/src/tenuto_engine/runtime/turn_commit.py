"""From a turn's effects to the one commit that makes them durable. Plain functions: no store, no clock, no await."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tenuto_engine.codec.events import encode_event
from tenuto_engine.codec.records import ActivityBody, Envelope, MetadataBody, encode_record
from tenuto_engine.core import effects as f
from tenuto_engine.core.events import (
    ChildCompleted,
    ChildFailed,
    Event,
    EventRaised,
    ExecutionStarted,
    ExecutionTerminated,
    Parent,
)
from tenuto_engine.core.limits import Limits
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.state import InstanceState, derived_id
from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.ports.operations import Commit
from tenuto_engine.ports.records import (
    NEVER_MS,
    ActivityKey,
    ActivityRecord,
    Head,
    IndexEntry,
    Message,
    OutboxSend,
    ReminderKey,
    ReminderSet,
)
from tenuto_engine.runtime.births import START_REMINDER, message_of
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance

TIMER_REMINDER = "timer"
WAKE_REMINDER = "wake"
RETENTION_REMINDER = "retention"
# How long the owner leaves a call that it offered to the others, before it offers it again.
OFFER_AGAIN_MS = 3_000


def any_call(_name: str) -> bool:
    """This engine claims whatever its workflows call."""
    return True


class Outbound(msgspec.Struct):
    """What the effects of one commit write beside history.

    `bodies` are the activity entries, decoded. `ending` is the terminal event that the commit stores, if it does.
    """

    activities_set: list[ActivityRecord] = []
    bodies: list[tuple[ActivityBody, bytes | None]] = []
    activities_removed: list[ActivityKey] = []
    reminders_set: list[ReminderSet] = []
    reminders_removed: list[ReminderKey] = []
    outbox: list[OutboxSend] = []
    appends: list[tuple[str, Message]] = []
    ended: f.EndExecution | None = None
    ending: Event | None = None
    renewed: f.BeginExecution | None = None


def translate(
    effects: Sequence[f.Effect],
    instance: LiveInstance,
    context: Context,
    *,
    may_claim: Callable[[str], bool] = any_call,
) -> Outbound:
    """Turn effects into records, in their order; an ending takes the execution's timers and activities with it.

    `may_claim`: asked once for each activity call, by name, whether this engine runs it; else it is for others too.
    """
    out = Outbound()
    state = instance.state
    trace_parent = state.trace_parent
    if instance.turn is not None:
        trace_parent = context.tracing.derived(trace_parent, instance.turn.commit_id)
    children: set[str] | None = None
    for effect in effects:
        match effect:
            case f.DispatchActivity():
                claims = may_claim(effect.event.name)
                _activity(out, effect, state, context, claims=claims, trace_parent=trace_parent)
            case f.ArmTimer():
                out.reminders_set.append(ReminderSet(_timer_key(state, effect.event_id), effect.due_at_ms))
            case f.DisarmTimer():
                out.reminders_removed.append(_timer_key(state, effect.event_id))
            case f.StartChildInstance():
                _child(out, effect, state, context, trace_parent=trace_parent)
            case f.SendExternalEvent():
                event = EventRaised(effect.name, effect.payload)
                message_id = f"{state.execution_id}/{effect.history_index}"
                if children is None:
                    children = {child.instance_id for child in state.open_children()}
                _send(
                    out,
                    instance,
                    context,
                    target=effect.instance_id,
                    event=event,
                    message_id=message_id,
                    to_child=effect.instance_id in children,
                )
            case f.TerminateChild():
                # Not for one execution: a child that has continued as new ends as well. Its start id tells it from an
                # instance that has taken its id since.
                reason = effect.reason or f"terminated with '{state.instance_id}'"
                terminated = ExecutionTerminated(None, True, reason, start_id=child_start_id(effect.execution_id))
                message_id = f"{state.execution_id}/end/{effect.execution_id}"
                _send(
                    out,
                    instance,
                    context,
                    target=effect.instance_id,
                    event=terminated,
                    message_id=message_id,
                    control=True,
                    to_child=True,
                )
            case f.NotifyParent():
                _notify(out, instance, context, effect)
            case f.EndExecution():
                out.ended = effect
            case f.BeginExecution():
                out.renewed = effect
    if out.reminders_removed and out.reminders_set:
        # A timer created and cancelled in one turn: the store removes first, so it would stay armed.
        gone = set(out.reminders_removed)
        out.reminders_set = [reminder for reminder in out.reminders_set if reminder.key not in gone]
    if out.ended is not None or out.renewed is not None:
        _close(out, instance)
    return out


def child_start_id(execution_id: str) -> str:
    """The start id of a child, by the execution it was started as; it keeps it when it continues as new."""
    return f"{execution_id}/start"


def _timer_key(state: InstanceState, event_id: int) -> ReminderKey:
    return ReminderKey(TIMER_REMINDER, event_id, state.execution_id, state.instance_id)


def _activity(
    out: Outbound,
    effect: f.DispatchActivity,
    state: InstanceState,
    context: Context,
    *,
    claims: bool,
    trace_parent: str,
) -> None:
    event, now_ms = effect.event, context.clock.now_ms()
    body = ActivityBody(
        event.name,
        effect.history_index,
        now_ms,
        context.engine_id if claims else "",
        now_ms,
        1 if claims else 0,
        event.retry,
        event.start_to_close_ms,
        event.schedule_to_close_ms,
        event.heartbeat_ms,
        state.name,
        trace_parent=trace_parent,
        foreign=event.foreign,
    )
    look_at = now_ms + event.schedule_to_close_ms if event.schedule_to_close_ms else NEVER_MS
    if not claims:
        look_at = min(look_at, now_ms + OFFER_AGAIN_MS)
    key = ActivityKey(event.event_id, state.execution_id, state.instance_id)
    out.activities_set.append(ActivityRecord(key, 1, 1, look_at, encode_record(body)))
    out.bodies.append((body, event.input))


def _child(
    out: Outbound, effect: f.StartChildInstance, state: InstanceState, context: Context, *, trace_parent: str
) -> None:
    """Children go by the outbox, in their own shard too: a taken id must be answered even if this engine dies now."""
    event = effect.event
    parent = Parent(state.instance_id, state.execution_id, event.event_id, state.name)
    started = ExecutionStarted(
        event.name,
        event.instance_id,
        event.child_execution_id,
        event.input,
        event.version,
        parent,
        1,
        trace_parent,
        foreign=event.foreign,
    )
    envelope = Envelope(
        event.instance_id,
        child_start_id(event.child_execution_id),
        "",
        encode_event(started),
        start=True,
        at_ms=context.clock.now_ms(),
    )
    out.outbox.append(OutboxSend(shard_of(event.instance_id, context.settings.shards), encode_record(envelope)))


def _notify(out: Outbound, instance: LiveInstance, context: Context, effect: f.NotifyParent) -> None:
    parent = effect.parent
    event: Event = (
        ChildFailed(parent.event_id, effect.failure)
        if effect.failure is not None
        else ChildCompleted(parent.event_id, effect.result)
    )
    message_id = f"{instance.state.execution_id}/result"
    _send(
        out,
        instance,
        context,
        target=parent.instance_id,
        event=event,
        message_id=message_id,
        execution_id=parent.execution_id,
    )


def _send(
    out: Outbound,
    instance: LiveInstance,
    context: Context,
    *,
    target: str,
    event: Event,
    message_id: str,
    execution_id: str = "",
    control: bool = False,
    to_child: bool = False,
) -> None:
    """Append to an instance of this shard in the commit itself, else send by the outbox.

    `to_child`: by the outbox in any case, as the child's start, which it must not overtake.
    """
    raw, now_ms = encode_event(event), context.clock.now_ms()
    shard = shard_of(target, context.settings.shards)
    if shard == instance.shard.number and target != instance.id and not to_child:
        message = message_of(raw, message_id=message_id, at_ms=now_ms, execution_id=execution_id, control=control)
        out.appends.append((target, message))
        return
    envelope = Envelope(target, message_id, execution_id, raw, control=control, at_ms=now_ms)
    out.outbox.append(OutboxSend(shard, encode_record(envelope)))


def _close(out: Outbound, instance: LiveInstance) -> None:
    """An execution that ends or is replaced leaves no timer and no activity entry; new ones are not even written."""
    state = instance.state
    out.activities_set.clear()
    out.bodies.clear()
    out.reminders_set.clear()
    out.activities_removed = [ActivityKey(i, state.execution_id, state.instance_id) for i in state.activities]
    out.reminders_removed.extend(_timer_key(state, i) for i in state.timers)
    for kind in (WAKE_REMINDER, START_REMINDER):
        out.reminders_removed.append(ReminderKey(kind, 0, state.execution_id, state.instance_id))


def parts_of(pairs: list[tuple[Event, bytes]], limits: Limits, *, together: int) -> list[list[tuple[Event, bytes]]]:
    """Cut a turn's records into parts that fit one commit each; nearly always one.

    The first `together` records stay in the first part, whatever their size (`mail_order` bounds it): it removes their
    messages, so a part that came later would be lost with an engine that died in between.
    """
    if len(pairs) <= limits.commit_records and sum(len(raw) for _, raw in pairs) <= limits.commit_bytes:
        return [pairs]
    parts: list[list[tuple[Event, bytes]]] = [[]]
    size = 0
    for number, pair in enumerate(pairs):
        is_full = parts[-1] and (len(parts[-1]) >= limits.commit_records or size + len(pair[1]) > limits.commit_bytes)
        if is_full and number >= together:
            parts.append([])
            size = 0
        parts[-1].append(pair)
        size += len(pair[1])
    return parts


def build_commit(
    instance: LiveInstance,
    out: Outbound,
    context: Context,
    *,
    commit_id: str,
    history: Sequence[bytes],
    consumed: Sequence[int],
    custom_status: bytes | None,
    open_turn: bool,
) -> Commit:
    """The fenced commit of a turn, or of one part of it (`open_turn`: more parts follow).

    `instance.state` is already what the commit will make it; `instance.base_*` what the store holds now.
    """
    state, now_ms = instance.state, context.clock.now_ms()
    base_execution_id, base_length = state.execution_id, state.length - len(history)
    appends = out.appends
    if out.renewed is not None:
        state, renewals = renew(instance, out.renewed, now_ms)
        appends = [*out.appends, *renewals]
        history, length, size = (), 0, 0
    else:
        length, size = state.length, state.size_bytes
    terminal = state.status in TERMINAL
    if terminal:
        out.reminders_set.append(_retention(state, now_ms, context))
    taken = instance.taken + len(consumed)
    body = _metadata(instance, state, now_ms=now_ms, size_bytes=size, open_turn=open_turn)
    head = Head(
        state.status,
        state.hold,
        state.execution_id,
        commit_id,
        length,
        taken,
        instance.inbox_low,
        state.version,
        instance.start_id,
    )
    moved = instance.indexed is not state.status
    name, created = body.name, body.created_at_ms
    return Commit(
        shard=instance.shard.number,
        token=instance.shard.lease.token,
        lease_version=instance.shard.lease.version,
        instance_id=instance.id,
        base_execution_id=base_execution_id,
        base_commit_id=instance.base_commit_id,
        base_length=base_length,
        head=head,
        metadata=encode_record(body),
        consumed=consumed,
        history=history,
        custom_status=custom_status,
        activities_set=out.activities_set,
        activities_removed=out.activities_removed,
        reminders_set=out.reminders_set,
        reminders_removed=out.reminders_removed,
        outbox=out.outbox,
        appends=appends,
        old_index=IndexEntry(name, instance.indexed, created) if moved else None,
        index=IndexEntry(name, state.status, created) if moved else None,
        ready_at_ms=now_ms,
        renew=out.renewed is not None,
        keep_ready=open_turn,
        close=terminal,
    )


def _metadata(
    instance: LiveInstance, state: InstanceState, *, now_ms: int, size_bytes: int, open_turn: bool
) -> MetadataBody:
    """What the metadata record keeps beside its head, as the commit will leave it."""
    return MetadataBody(
        state.name or instance.body.name,
        state.generation,
        instance.body.created_at_ms,
        now_ms,
        now_ms if state.status in TERMINAL else 0,
        size_bytes,
        state.last_turn_at_ms,
        state.parent,
        state.carried,
        open_turn,
        instance.failures,
        state.reason,
        state.trace_parent,
        instance.body.rerun_of,
        instance.body.scheduled_at_ms,
    )


def _retention(state: InstanceState, now_ms: int, context: Context) -> ReminderSet:
    settings = context.settings
    keep = settings.retain_completed_seconds if state.status is Status.COMPLETED else settings.retain_failed_seconds
    keep_ms = int(max(keep, settings.dedup_window_seconds) * 1000)
    return ReminderSet(ReminderKey(RETENTION_REMINDER, 0, state.execution_id, state.instance_id), now_ms + keep_ms)


def renew(
    instance: LiveInstance, effect: f.BeginExecution, now_ms: int
) -> tuple[InstanceState, list[tuple[str, Message]]]:
    """The state of the next execution, and the messages that begin it: its start, then the events carried over."""
    old = instance.state
    execution_id = derived_id(old.execution_id, "next", old.length)
    state = InstanceState(
        instance_id=old.instance_id,
        execution_id=execution_id,
        name=old.name,
        version=effect.version,
        parent=old.parent,
        generation=old.generation + 1,
        trace_parent=old.trace_parent,
        status=Status.RUNNING,
        last_turn_at_ms=old.last_turn_at_ms,
        carried=old.children_to_carry(),
    )
    started = ExecutionStarted(
        old.name,
        old.instance_id,
        execution_id,
        effect.input,
        effect.version,
        old.parent,
        state.generation,
        old.trace_parent,
        foreign=effect.foreign,
    )
    start_id = f"{execution_id}/start"
    messages = [
        (
            old.instance_id,
            message_of(encode_event(started), message_id=start_id, at_ms=now_ms, execution_id=execution_id),
        )
    ]
    for position, event in enumerate(effect.carryover):
        message_id = f"{execution_id}/carried/{position}"
        carried = message_of(encode_event(event), message_id=message_id, at_ms=now_ms, carried=True)
        messages.append((old.instance_id, carried))
    return state, messages
