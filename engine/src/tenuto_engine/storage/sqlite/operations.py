"""The operations of the store port as statements in one open transaction: check everything, then write.

Each function answers one operation as its class in `ports.store` says. The transaction is begun and committed by
`store`; a refused operation has executed no writing statement, so the others of its group stand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, assert_never

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
from tenuto_engine.ports.records import ActivityKey, ActivityRecord, Message, NewInstance, ReminderKey, ReminderSet
from tenuto_engine.storage.records import CUSTOM_STATUS, METADATA, history_name, inbox_name
from tenuto_engine.storage.sqlite.sql import QUERIES

Taken: TypeAlias = Appended | Refused | Created | Exists


class Row(NamedTuple):
    """What `read_row` selects of an instance; `ready_at_ms` None: not marked ready."""

    key: int
    status: int
    hold: int
    execution_id: str
    commit_id: str
    history_length: int
    version: str
    start_id: str
    inbox_next: int
    control_next: int
    ready_at_ms: int | None


@dataclass(slots=True)
class Transaction:
    """One open transaction. `tokens`: lease tokens read in it, which nobody can change before it ends."""

    connection: sqlite3.Connection
    now_ms: int
    window_ms: int
    tokens: dict[tuple[int, str], str] = field(default_factory=dict[tuple[int, str], str])
    pruned: set[int] = field(default_factory=set[int])

    def one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self.connection.execute(QUERIES[query], values).fetchone()
        return row

    def run(self, query: str, *values: object) -> sqlite3.Cursor:
        return self.connection.execute(QUERIES[query], values)

    def many(self, query: str, rows: Iterable[Sequence[object]]) -> None:
        self.connection.executemany(QUERIES[query], rows)

    def row(self, shard: int, instance_id: str) -> Row | None:
        found = self.connection.execute(QUERIES["read_row"], (shard, instance_id)).fetchone()
        return None if found is None else Row._make(found)

    def owns(self, shard: int, version: str, token: str) -> bool:
        stored = self.tokens.get((shard, version))
        if stored is None:
            row = self.one("lease_token", shard, version)
            stored = self.tokens[shard, version] = "" if row is None else str(row[0])
        return stored == token != ""

    def has_seen(self, shard: int, command_id: str) -> bool:
        return self.one("has_seen", shard, command_id, self.now_ms - self.window_ms) is not None

    def remember(self, shard: int, command_id: str) -> None:
        if not command_id:
            return
        if shard not in self.pruned:
            self.pruned.add(shard)
            self.run("prune_seen", shard, self.now_ms - self.window_ms)
        self.run("remember", shard, command_id, self.now_ms)


# -- pieces that several operations share -------------------------------------------------------------------------


def _reminder_values(shard: int, version: str, key: ReminderKey) -> tuple[object, ...]:
    return shard, version, key.instance_id, key.execution_id, key.event_id, key.kind


def _activity_values(shard: int, version: str, key: ActivityKey) -> tuple[object, ...]:
    return shard, version, key.instance_id, key.execution_id, key.event_id


def _set_reminders(tx: Transaction, shard: int, version: str, reminders: Sequence[ReminderSet]) -> None:
    rows = [(*_reminder_values(shard, version, each.key), each.due_at_ms) for each in reminders]
    tx.many("set_reminder", rows)


def _set_activities(tx: Transaction, shard: int, version: str, records: Sequence[ActivityRecord]) -> None:
    rows = [
        (*_activity_values(shard, version, each.key), each.attempt, each.revision, each.look_at_ms, each.data)
        for each in records
    ]
    tx.many("set_activity", rows)


def _unlink(tx: Transaction, shard: int, instance_id: str, row: Row) -> None:
    """Remove an instance and all that names it; remember its start id, so that a late repetition stays a duplicate."""
    tx.run("delete_records", row.key)
    tx.run("delete_instance", row.key)
    tx.run("delete_reminders", shard, row.version, instance_id)
    tx.run("delete_activities", shard, row.version, instance_id)
    tx.remember(shard, row.start_id)


# -- create and append --------------------------------------------------------------------------------------------


def _refuse_create(tx: Transaction, shard: int, new: NewInstance, present: Row | None) -> Exists | None:
    start_id = new.head.start_id
    if start_id and present is not None and present.start_id == start_id:
        return Exists(True, Status(present.status), present.execution_id)
    if start_id and tx.has_seen(shard, start_id):
        return Exists(True, Status.COMPLETED if present is None else Status(present.status), "")
    if present is not None and present.status not in new.replace:
        return Exists(False, Status(present.status), present.execution_id)
    return None


def _control_next(messages: Sequence[Message]) -> int:
    return max((number + 1 for number, message in enumerate(messages) if message.control), default=0)


def create(tx: Transaction, shard: int, new: NewInstance) -> Created | Exists:
    """Answer `Create`, alone, in a commit or by delivery."""
    present = tx.row(shard, new.instance_id)
    refusal = _refuse_create(tx, shard, new, present)
    if refusal is not None:
        return refusal
    if present is not None:
        _unlink(tx, shard, new.instance_id, present)
    head, index = new.head, new.index
    inbox_next = len(new.messages)
    control_next = _control_next(new.messages)
    ready = bool(control_next if head.hold else inbox_next)
    # fmt: off
    key = tx.run(
        "insert_instance",
        shard, new.instance_id, head.status, head.hold, head.execution_id, head.commit_id, head.history_length,
        head.taken, head.inbox_low, head.version, head.start_id, inbox_next, control_next,
        tx.now_ms if ready else None, index.name, index.status, index.created_at_ms,
    ).lastrowid
    # fmt: on
    records = [(key, METADATA, new.metadata)]
    records += [(key, history_name(position), record) for position, record in enumerate(new.history)]
    records += [(key, inbox_name(number), message.body) for number, message in enumerate(new.messages)]
    tx.many("insert_record", records)
    if new.reminders:
        _set_reminders(tx, shard, head.version, new.reminders)
    return Created(ready)


def _refuse_append(tx: Transaction, shard: int, row: Row | None, message: Message) -> Appended | Refused | None:
    if message.remember and tx.has_seen(shard, message.id):
        return Appended(-1, duplicate=True)
    if row is None:
        return Refused("not_found")
    if message.execution_id and message.execution_id != row.execution_id:
        return Refused("stale_execution")
    if row.status in TERMINAL:
        return Refused("terminal")
    return None


def _close_call(tx: Transaction, operation: Append, version: str) -> Refused | None:
    """Remove the activity entry that an append closes, or say why it may not; called when nothing else can fail."""
    assert operation.closes is not None
    values = _activity_values(operation.shard, version, operation.closes)
    if operation.attempt:
        present = tx.one("activity_state", *values)
        if present is None:
            return Refused("activity_closed")
        if present[0] != operation.attempt:
            return Refused("stale_attempt")
    removed = tx.run("delete_activity", *values).rowcount
    return None if removed else Refused("activity_closed")


def _add_to_inbox(tx: Transaction, shard: int, row: Row, message: Message) -> Appended:
    number = row.inbox_next
    tx.run("insert_record", row.key, inbox_name(number), message.body)
    ready_at_ms = row.ready_at_ms
    if ready_at_ms is None and (message.control or not row.hold):
        ready_at_ms = tx.now_ms
    tx.run("update_inbox", number + 1, number + 1 if message.control else row.control_next, ready_at_ms, row.key)
    if message.remember:
        tx.remember(shard, message.id)
    return Appended(number)


def _append_to(tx: Transaction, shard: int, instance_id: str, message: Message) -> Appended | Refused:
    row = tx.row(shard, instance_id)
    refusal = _refuse_append(tx, shard, row, message)
    if refusal is not None or row is None:
        return refusal or Refused("not_found")
    return _add_to_inbox(tx, shard, row, message)


def append(tx: Transaction, operation: Append) -> Appended | Refused:
    row = tx.row(operation.shard, operation.instance_id)
    refusal = _refuse_append(tx, operation.shard, row, operation.message)
    if refusal is not None or row is None:
        return refusal or Refused("not_found")
    if operation.closes is not None:
        refusal = _close_call(tx, operation, row.version)
        if refusal is not None:
            return refusal
    return _add_to_inbox(tx, operation.shard, row, operation.message)


# -- commit -------------------------------------------------------------------------------------------------------


def _refuse_commit(tx: Transaction, row: Row, operation: Commit) -> Conflict | None:
    if row.execution_id != operation.base_execution_id:
        return Conflict("execution", row.execution_id)
    if row.commit_id != operation.base_commit_id:
        return Conflict("commit", row.commit_id)
    if row.history_length != operation.base_length:
        return Conflict("length", str(row.history_length))
    for number in operation.consumed:
        if tx.one("has_record", row.key, inbox_name(number)) is None:
            return Conflict("message", str(number))
    return None


def _write_records(tx: Transaction, key: int, operation: Commit) -> None:
    first = operation.base_length
    if operation.renew:
        tx.run("delete_history", key)
        first = 0
    if operation.consumed:
        tx.many("delete_record", [(key, inbox_name(number)) for number in operation.consumed])
    if operation.history:
        history = enumerate(operation.history, first)
        tx.many("insert_record", [(key, history_name(index), record) for index, record in history])
    tx.run("replace_record", key, METADATA, operation.metadata)
    if operation.custom_status is not None:
        tx.run("replace_record", key, CUSTOM_STATUS, operation.custom_status)


def _write_entries(tx: Transaction, operation: Commit) -> None:
    shard, former, version = operation.shard, operation.lease_version, operation.head.version
    if operation.activities_removed:
        keys = [_activity_values(shard, former, key) for key in operation.activities_removed]
        tx.many("delete_activity", keys)
    if operation.reminders_removed:
        tx.many("delete_reminder", [_reminder_values(shard, former, key) for key in operation.reminders_removed])
    if operation.activities_set:
        _set_activities(tx, shard, version, operation.activities_set)
    if operation.reminders_set:
        _set_reminders(tx, shard, version, operation.reminders_set)


def _write_outbox(tx: Transaction, operation: Commit) -> tuple[int, ...]:
    row = tx.one("read_outbox_last", operation.shard)
    last: int = 0 if row is None else row[0]
    first = max(last + 1, tx.now_ms * 1000)
    rows = [
        (operation.shard, number, send.target_shard, send.body) for number, send in enumerate(operation.outbox, first)
    ]
    tx.many("insert_outbox", rows)
    end = first + len(rows)
    tx.run("write_outbox_last", operation.shard, end - 1)
    return tuple(range(first, end))


def _settled_mark(tx: Transaction, row: Row, operation: Commit) -> int | None:
    """Return the ready mark that the commit leaves, of the row as it is after all else was written."""
    head = operation.head
    if head.status in TERMINAL:
        return None
    if head.hold is not Hold.NONE:
        control = row.control_next
        if not control or tx.one("has_record", row.key, inbox_name(control - 1)) is None:
            return None
    elif row.inbox_next == head.taken and not operation.keep_ready:
        return None
    return operation.ready_at_ms or row.ready_at_ms or tx.now_ms


def _write_head(tx: Transaction, row: Row, operation: Commit, ready_at_ms: int | None) -> None:
    head = operation.head
    # fmt: off
    tx.run(
        "update_head",
        head.status, head.hold, head.execution_id, head.commit_id, head.history_length, head.taken, head.inbox_low,
        head.version, head.start_id, ready_at_ms, row.key,
    )
    # fmt: on
    index = operation.index
    if index is not None:
        tx.run("update_index", index.name, index.status, index.created_at_ms, row.key)


def _send_within(tx: Transaction, row: Row, operation: Commit) -> tuple[int, tuple[Appended | Refused, ...]]:
    """Execute the commit's appends, then settle the mark of its own instance, which they may have moved."""
    taken = tuple(_append_to(tx, operation.shard, target, message) for target, message in operation.appends)
    inbox_next, control_next, ready_at_ms = tx.run("read_inbox_state", row.key).fetchone()
    after = row._replace(inbox_next=inbox_next, control_next=control_next, ready_at_ms=ready_at_ms)
    tx.run("update_ready", _settled_mark(tx, after, operation), row.key)
    return inbox_next, taken


def commit(tx: Transaction, operation: Commit) -> Committed | Fenced | Conflict:
    """Answer `Commit`: compare all, write all, then settle the ready mark."""
    if not tx.owns(operation.shard, operation.lease_version, operation.token):
        return Fenced()
    row = tx.row(operation.shard, operation.instance_id)
    if row is None:
        return Conflict("missing")
    if row.commit_id == operation.head.commit_id:
        return Committed(row.inbox_next, duplicate=True)
    conflict = _refuse_commit(tx, row, operation)
    if conflict is not None:
        return conflict
    if operation.lease_version != operation.head.version:
        row = row._replace(ready_at_ms=None)
    _write_records(tx, row.key, operation)
    _write_entries(tx, operation)
    numbers = _write_outbox(tx, operation) if operation.outbox else ()
    if not operation.appends:
        _write_head(tx, row, operation, _settled_mark(tx, row, operation))
        return Committed(row.inbox_next, numbers)
    _write_head(tx, row, operation, row.ready_at_ms)
    inbox_next, taken = _send_within(tx, row, operation)
    return Committed(inbox_next, numbers, taken)


# -- reminders, activities, purge ---------------------------------------------------------------------------------


def fire_reminder(tx: Transaction, operation: FireReminder) -> Appended | Refused | Fenced:
    if not tx.owns(operation.shard, operation.lease_version, operation.token):
        return Fenced()
    values = _reminder_values(operation.shard, operation.lease_version, operation.key)
    due = tx.one("reminder_due", *values)
    if due is None:
        return Refused("gone")
    if due[0] > tx.now_ms:
        return Refused("early")
    tx.run("delete_reminder", *values)
    taken = _append_to(tx, operation.shard, operation.key.instance_id, operation.message)
    return Refused(taken.reason, dropped=True) if isinstance(taken, Refused) else taken


def drop_reminder(tx: Transaction, operation: DropReminder) -> Done | Fenced:
    if not tx.owns(operation.shard, operation.lease_version, operation.token):
        return Fenced()
    tx.run("delete_reminder", *_reminder_values(operation.shard, operation.lease_version, operation.key))
    return Done()


def replace_activity(tx: Transaction, operation: ReplaceActivity) -> Done | Refused:
    version, record = operation.lease_version, operation.record
    present = tx.one("activity_state", *_activity_values(operation.shard, version, record.key))
    if present is None:
        return Refused("activity_closed")
    if present[1] != operation.expected_revision:
        return Refused("stale_attempt")
    _set_activities(tx, operation.shard, version, (record,))
    return Done()


def purge(tx: Transaction, operation: Purge) -> Done | Refused:
    """Answer `Purge`."""
    shard = operation.shard
    row = tx.row(shard, operation.instance_id)
    if row is None:
        return Refused("not_found")
    if row.execution_id != operation.execution_id:
        return Refused("stale_execution")
    if row.status not in TERMINAL:
        return Refused("not_terminal")
    tx.many("delete_reminder", [_reminder_values(shard, row.version, key) for key in operation.reminders])
    tx.many("delete_activity", [_activity_values(shard, row.version, key) for key in operation.activities])
    _unlink(tx, shard, operation.instance_id, row)
    return Done()


# -- between shards -----------------------------------------------------------------------------------------------


def _ignored(tx: Transaction, shard: int, delivery: Delivery) -> Taken:
    new = delivery.create
    if new is not None:
        refusal = _refuse_create(tx, shard, new, tx.row(shard, new.instance_id))
        if refusal is not None and not refusal.duplicate:
            return refusal
    return Appended(-1, duplicate=True)


def _take(tx: Transaction, shard: int, delivery: Delivery) -> Taken:
    if delivery.create is not None:
        return create(tx, shard, delivery.create)
    assert delivery.message is not None, f"delivery {delivery.number} holds neither a message nor a create"
    return _append_to(tx, shard, delivery.instance_id, delivery.message)


def deliver(tx: Transaction, operation: Deliver) -> Delivered:
    """Answer `Deliver`: in order, each number once."""
    row = tx.one("read_taken_from", operation.shard, operation.source_shard)
    highest: int = 0 if row is None else row[0]
    before = highest
    outcomes: list[Taken] = []
    for delivery in operation.deliveries:
        if delivery.number <= highest:
            outcomes.append(_ignored(tx, operation.shard, delivery))
        else:
            outcomes.append(_take(tx, operation.shard, delivery))
            highest = delivery.number
    if highest != before:
        tx.run("write_taken_from", operation.shard, operation.source_shard, highest)
    return Delivered(tuple(outcomes))


def remove_outbox(tx: Transaction, operation: RemoveOutbox) -> Done:
    tx.many("delete_outbox", [(operation.shard, number) for number in operation.numbers])
    return Done()


def execute(tx: Transaction, operation: Operation) -> Outcome:
    """Execute one operation and answer it; one that is refused has changed nothing."""
    match operation:
        case Commit():
            return commit(tx, operation)
        case Append():
            return append(tx, operation)
        case Create():
            return create(tx, operation.shard, operation.instance)
        case FireReminder():
            return fire_reminder(tx, operation)
        case DropReminder():
            return drop_reminder(tx, operation)
        case ReplaceActivity():
            return replace_activity(tx, operation)
        case Purge():
            return purge(tx, operation)
        case Deliver():
            return deliver(tx, operation)
        case RemoveOutbox():
            return remove_outbox(tx, operation)
        case _:
            assert_never(operation)
