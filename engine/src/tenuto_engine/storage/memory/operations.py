"""The operations of the store port over one shard in memory: check everything, then write.

Each function answers one operation as its class in `ports.store` says, sentence by sentence. Nothing here awaits, so
an operation is atomic by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, assert_never

from tenuto_engine.core.status import TERMINAL, Hold, Status
from tenuto_engine.ports.operations import (
    Append,
    Commit,
    Create,
    Deliver,
    Delivery,
    DropReminder,
    FireReminder,
    Operation,
    Purge,
    RemoveOutbox,
    ReplaceActivity,
)
from tenuto_engine.ports.outcomes import (
    Appended,
    Committed,
    Conflict,
    Created,
    Delivered,
    Done,
    Exists,
    Fenced,
    Outcome,
    Refused,
)
from tenuto_engine.ports.records import ActivityKey, Message, NewInstance, OutboxRecord, ReminderKey
from tenuto_engine.storage.memory.state import Entries, Instance, MemoryState, Shard

Taken: TypeAlias = Appended | Refused | Created | Exists


# -- pieces that several operations share -------------------------------------------------------------------------


def _add_to_inbox(instance: Instance, message: Message) -> int:
    number = instance.inbox_next
    instance.inbox[number] = message.body
    instance.inbox_next = number + 1
    if message.control:
        instance.control_next = number + 1
    return number


def _set_reminder(entries: Entries, instance: Instance, key: ReminderKey, due_at_ms: int) -> None:
    entries.reminders.set(key, due_at_ms)
    instance.reminders.add(key)


def _remove_reminder(shard: Shard, entries: Entries, key: ReminderKey) -> None:
    entries.reminders.remove(key)
    instance = shard.instances.get(key.instance_id)
    if instance is not None:
        instance.reminders.discard(key)


def _remove_activity(entries: Entries, instance: Instance, key: ActivityKey) -> None:
    if entries.activities.pop(key, None) is not None:
        entries.looks.remove(key)
    instance.activities.discard(key)


def _unlink(shard: Shard, instance_id: str, now_ms: int) -> None:
    """Remove an instance and all that names it; remember its start id, so that a late repetition stays a duplicate."""
    instance = shard.instances.pop(instance_id)
    entries = shard.entries[instance.head.version]
    for key in instance.reminders:
        entries.reminders.remove(key)
    for activity in tuple(instance.activities):
        _remove_activity(entries, instance, activity)
    entries.ready.remove(instance_id)
    shard.created.remove(instance.index.created_at_ms, instance_id)
    shard.seen.remember(instance.head.start_id, now_ms)


# -- create and append --------------------------------------------------------------------------------------------


def _refuse_create(shard: Shard, new: NewInstance, now_ms: int) -> Exists | None:
    present = shard.instances.get(new.instance_id)
    start_id = new.head.start_id
    if start_id and present is not None and present.head.start_id == start_id:
        return Exists(True, present.head.status, present.head.execution_id)
    if start_id and shard.seen.has(start_id, now_ms):
        return Exists(True, Status.COMPLETED if present is None else present.head.status, "")
    if present is not None and present.head.status not in new.replace:
        return Exists(False, present.head.status, present.head.execution_id)
    return None


def create(shard: Shard, new: NewInstance, now_ms: int) -> Created | Exists:
    """Answer `Create`, alone, in a commit or by delivery."""
    refusal = _refuse_create(shard, new, now_ms)
    if refusal is not None:
        return refusal
    if new.instance_id in shard.instances:
        _unlink(shard, new.instance_id, now_ms)
    instance = Instance(new.head, new.metadata, new.index, list(new.history))
    shard.instances[new.instance_id] = instance
    shard.created.add(new.index.created_at_ms, new.instance_id)
    for message in new.messages:
        _add_to_inbox(instance, message)
    entries = shard.entries[new.head.version]
    for reminder in new.reminders:
        _set_reminder(entries, instance, reminder.key, reminder.due_at_ms)
    ready = bool(instance.control_next if new.head.hold else instance.inbox_next)
    if ready:
        entries.ready.set(new.instance_id, now_ms)
    return Created(ready)


def append(
    shard: Shard,
    instance_id: str,
    message: Message,
    now_ms: int,
    *,
    closes: ActivityKey | None = None,
    attempt: int = 0,
) -> Appended | Refused:
    """Answer `Append`, alone, in a commit, by delivery or for a reminder."""
    if message.remember and shard.seen.has(message.id, now_ms):
        return Appended(-1, duplicate=True)
    instance = shard.instances.get(instance_id)
    if instance is None:
        return Refused("not_found")
    head = instance.head
    if message.execution_id and message.execution_id != head.execution_id:
        return Refused("stale_execution")
    if head.status in TERMINAL:
        return Refused("terminal")
    entries = shard.entries[head.version]
    if closes is not None:
        open_call = entries.activities.get(closes)
        if open_call is None:
            return Refused("activity_closed")
        if attempt not in (0, open_call.attempt):
            return Refused("stale_attempt")
        _remove_activity(entries, instance, closes)
    number = _add_to_inbox(instance, message)
    if message.remember:
        shard.seen.remember(message.id, now_ms)
    if (message.control or not head.hold) and instance_id not in entries.ready:
        entries.ready.set(instance_id, now_ms)
    return Appended(number)


# -- commit -------------------------------------------------------------------------------------------------------


def _refuse_commit(instance: Instance, operation: Commit) -> Conflict | None:
    head = instance.head
    if head.execution_id != operation.base_execution_id:
        return Conflict("execution", head.execution_id)
    if head.commit_id != operation.base_commit_id:
        return Conflict("commit", head.commit_id)
    if head.history_length != operation.base_length:
        return Conflict("length", str(head.history_length))
    for number in operation.consumed:
        if number not in instance.inbox:
            return Conflict("message", str(number))
    return None


def _write_record(shard: Shard, instance: Instance, operation: Commit) -> None:
    if operation.renew:
        instance.history = list(operation.history)
    else:
        instance.history.extend(operation.history)
    for number in operation.consumed:
        del instance.inbox[number]
    instance.head = operation.head
    instance.metadata = operation.metadata
    if operation.custom_status is not None:
        instance.custom_status = operation.custom_status
    if operation.index is not None:
        shard.created.remove(instance.index.created_at_ms, operation.instance_id)
        instance.index = operation.index
        shard.created.add(instance.index.created_at_ms, operation.instance_id)


def _write_entries(shard: Shard, instance: Instance, operation: Commit) -> None:
    former = shard.entries[operation.lease_version]
    for activity in operation.activities_removed:
        _remove_activity(former, instance, activity)
    for key in operation.reminders_removed:
        _remove_reminder(shard, former, key)
    entries = shard.entries[operation.head.version]
    for record in operation.activities_set:
        entries.activities[record.key] = record
        entries.looks.set(record.key, record.look_at_ms)
        instance.activities.add(record.key)
    for reminder in operation.reminders_set:
        _set_reminder(entries, instance, reminder.key, reminder.due_at_ms)


def _write_outbox(shard: Shard, operation: Commit, now_ms: int) -> tuple[int, ...]:
    numbers: list[int] = []
    for send in operation.outbox:
        number = max(shard.outbox_last + 1, now_ms * 1000)
        shard.outbox_last = number
        shard.outbox[number] = OutboxRecord(number, send.target_shard, send.body)
        numbers.append(number)
    return tuple(numbers)


def _may_be_ready(instance: Instance, operation: Commit) -> bool:
    head = operation.head
    if head.status in TERMINAL:
        return False
    if head.hold is not Hold.NONE:
        return instance.control_next - 1 in instance.inbox
    return operation.keep_ready or instance.inbox_next != head.taken


def _settle_ready(shard: Shard, instance: Instance, operation: Commit, now_ms: int) -> None:
    instance_id = operation.instance_id
    if operation.lease_version != operation.head.version:
        shard.entries[operation.lease_version].ready.remove(instance_id)
    ready = shard.entries[operation.head.version].ready
    if not _may_be_ready(instance, operation):
        ready.remove(instance_id)
    elif operation.ready_at_ms or instance_id not in ready:
        ready.set(instance_id, operation.ready_at_ms or now_ms)


def commit(state: MemoryState, shard: Shard, operation: Commit, now_ms: int) -> Committed | Fenced | Conflict:
    """Answer `Commit`: compare all, write all, then settle the ready mark."""
    if not state.owns(operation.shard, operation.lease_version, operation.token):
        return Fenced()
    instance = shard.instances.get(operation.instance_id)
    if instance is None:
        return Conflict("missing")
    if instance.head.commit_id == operation.head.commit_id:
        return Committed(instance.inbox_next, duplicate=True)
    conflict = _refuse_commit(instance, operation)
    if conflict is not None:
        return conflict
    _write_record(shard, instance, operation)
    _write_entries(shard, instance, operation)
    numbers = _write_outbox(shard, operation, now_ms) if operation.outbox else ()
    appended = tuple(append(shard, target, message, now_ms) for target, message in operation.appends)
    _settle_ready(shard, instance, operation, now_ms)
    return Committed(instance.inbox_next, numbers, appended)


# -- reminders, activities, purge ---------------------------------------------------------------------------------


def fire_reminder(
    state: MemoryState, shard: Shard, operation: FireReminder, now_ms: int
) -> Appended | Refused | Fenced:
    """Answer `FireReminder`: the reminder goes, whether or not its message is taken."""
    if not state.owns(operation.shard, operation.lease_version, operation.token):
        return Fenced()
    entries = shard.entries[operation.lease_version]
    due_at_ms = entries.reminders.score(operation.key)
    if due_at_ms is None:
        return Refused("gone")
    if due_at_ms > now_ms:
        return Refused("early")
    _remove_reminder(shard, entries, operation.key)
    taken = append(shard, operation.key.instance_id, operation.message, now_ms)
    return Refused(taken.reason, dropped=True) if isinstance(taken, Refused) else taken


def drop_reminder(state: MemoryState, shard: Shard, operation: DropReminder) -> Done | Fenced:
    if not state.owns(operation.shard, operation.lease_version, operation.token):
        return Fenced()
    _remove_reminder(shard, shard.entries[operation.lease_version], operation.key)
    return Done()


def replace_activity(shard: Shard, operation: ReplaceActivity) -> Done | Refused:
    entries = shard.entries[operation.lease_version]
    key = operation.record.key
    present = entries.activities.get(key)
    if present is None:
        return Refused("activity_closed")
    if present.revision != operation.expected_revision:
        return Refused("stale_attempt")
    entries.activities[key] = operation.record
    entries.looks.set(key, operation.record.look_at_ms)
    return Done()


def purge(shard: Shard, operation: Purge, now_ms: int) -> Done | Refused:
    """Answer `Purge`."""
    instance = shard.instances.get(operation.instance_id)
    if instance is None:
        return Refused("not_found")
    if instance.head.execution_id != operation.execution_id:
        return Refused("stale_execution")
    if instance.head.status not in TERMINAL:
        return Refused("not_terminal")
    entries = shard.entries[instance.head.version]
    for key in operation.reminders:
        _remove_reminder(shard, entries, key)
    for activity in operation.activities:
        _remove_activity(entries, instance, activity)
    _unlink(shard, operation.instance_id, now_ms)
    return Done()


# -- between shards -----------------------------------------------------------------------------------------------


def _ignored(shard: Shard, delivery: Delivery, now_ms: int) -> Taken:
    if delivery.create is not None:
        refusal = _refuse_create(shard, delivery.create, now_ms)
        if refusal is not None and not refusal.duplicate:
            return refusal
    return Appended(-1, duplicate=True)


def _take(shard: Shard, delivery: Delivery, now_ms: int) -> Taken:
    if delivery.create is not None:
        return create(shard, delivery.create, now_ms)
    assert delivery.message is not None, f"delivery {delivery.number} holds neither a message nor a create"
    return append(shard, delivery.instance_id, delivery.message, now_ms)


def deliver(shard: Shard, operation: Deliver, now_ms: int) -> Delivered:
    highest = shard.taken_from.get(operation.source_shard, 0)
    outcomes: list[Taken] = []
    for delivery in operation.deliveries:
        if delivery.number <= highest:
            outcomes.append(_ignored(shard, delivery, now_ms))
        else:
            outcomes.append(_take(shard, delivery, now_ms))
            highest = delivery.number
    if highest:
        shard.taken_from[operation.source_shard] = highest
    return Delivered(tuple(outcomes))


def remove_outbox(shard: Shard, numbers: Iterable[int]) -> Done:
    for number in numbers:
        shard.outbox.pop(number, None)
    return Done()


def execute(state: MemoryState, operation: Operation, now_ms: int) -> Outcome:
    """Execute one operation and answer it; one that is refused has changed nothing."""
    shard = state.shards[operation.shard]
    match operation:
        case Commit():
            return commit(state, shard, operation, now_ms)
        case Append(_, instance_id, message, closes, attempt):
            return append(shard, instance_id, message, now_ms, closes=closes, attempt=attempt)
        case Create():
            return create(shard, operation.instance, now_ms)
        case FireReminder():
            return fire_reminder(state, shard, operation, now_ms)
        case DropReminder():
            return drop_reminder(state, shard, operation)
        case ReplaceActivity():
            return replace_activity(shard, operation)
        case Purge():
            return purge(shard, operation, now_ms)
        case Deliver():
            return deliver(shard, operation, now_ms)
        case RemoveOutbox():
            return remove_outbox(shard, operation.numbers)
        case _:
            assert_never(operation)
