"""Operations as EVALSHA commands: which script, which keys, which arguments, in the order that the Lua files name.

Building is on the hot path: lists are extended in place, and nothing is converted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tenuto_engine.core.status import TERMINAL, Hold, Status
from tenuto_engine.ports.operations import (
    Append,
    Commit,
    Create,
    Deliver,
    DropReminder,
    FireReminder,
    Operation,
    Purge,
    RemoveOutbox,
    ReplaceActivity,
)
from tenuto_engine.ports.records import Head, IndexEntry, Message, NewInstance
from tenuto_engine.storage.redis import scripts
from tenuto_engine.storage.redis.beliefs import Beliefs
from tenuto_engine.storage.redis.keys import (
    Keys,
    ShardKeys,
    write_activity,
    write_head,
    write_reminder,
    write_text,
)

Argument = str | bytes | int
Command = tuple[Argument, ...]


class Requests:
    """Builds the command of each operation.

    Args:
        window_ms: the de-duplication window; milliseconds.
    """

    def __init__(self, keys: Keys, beliefs: Beliefs, *, window_ms: int) -> None:
        self._keys = keys
        self._beliefs = beliefs
        self._window = str(window_ms)
        self._builders: dict[type, Callable[[Any], Command]] = {
            Append: self._append,
            Commit: self._commit,
            Create: self._create,
            FireReminder: self._fire_reminder,
            DropReminder: self._drop_reminder,
            ReplaceActivity: self._replace_activity,
            Purge: self._purge,
            Deliver: self._deliver,
            RemoveOutbox: self._remove_outbox,
        }

    def build(self, operation: Operation) -> Command:
        return self._builders[type(operation)](operation)

    def _finish(self, script: scripts.Script, keys: list[str], arguments: list[Argument]) -> Command:
        return ("EVALSHA", script.sha, len(keys), *keys, self._window, *arguments)

    # -- messages and new instances, as parts ---------------------------------------------------------------------

    def _message(
        self, shard: ShardKeys, instance_id: str, message: Message, *, version: str | None = None
    ) -> tuple[tuple[str, str], tuple[Argument, ...]]:
        if version is None:
            version = self._beliefs.version(instance_id)
        return (shard.instance(instance_id), shard.ready(version)), (
            instance_id,
            write_text(version),
            message.id,
            "1" if message.remember and message.id else "0",
            write_text(message.execution_id) if message.execution_id else "",
            "1" if message.control else "0",
            message.body,
        )

    def _new_instance(self, shard: ShardKeys, new: NewInstance) -> tuple[list[str], list[Argument]]:
        head, index = new.head, new.index
        former_version, former_name = self._beliefs.former(new.instance_id)
        keys = [
            shard.instance(new.instance_id),
            shard.ready(head.version),
            shard.all,
            shard.status(index.status),
            shard.name(index.name),
            shard.open,
            shard.reminders(head.version),
        ]
        # Only what is terminal may be replaced: a running instance has more than its record to remove.
        replaceable = "".join(f"{status:d}" for status in new.replace if status in TERMINAL)
        if replaceable:
            keys += _former_keys(shard, former_version, former_name)
        self._beliefs.note_new(new.instance_id, head.version)
        control = max((number + 1 for number, message in enumerate(new.messages) if message.control), default=0)
        is_ready = bool(new.messages) and (head.hold is Hold.NONE or control > 0)
        fields: list[Argument] = [
            "metadata", _record(head, new.metadata),
            "inbox", f"{len(new.messages)} {control}",
            "index", _index_field(index),
        ]  # fmt: skip
        for number, event in enumerate(new.history):
            fields += (f"history-{number:06d}", event)
        for number, message in enumerate(new.messages):
            fields += (f"inbox-{number:06d}", message.body)
        arguments: list[Argument] = [
            new.instance_id,
            write_text(head.version),
            write_text(head.start_id),
            replaceable,
            write_text(former_version),
            former_name,
            index.created_at_ms,
            int(is_ready),
            int(head.status not in TERMINAL),
            len(new.reminders),
            len(fields),
        ]
        for reminder in new.reminders:
            arguments += (reminder.due_at_ms, write_reminder(reminder.key))
        return keys, arguments + fields

    # -- one method per operation ---------------------------------------------------------------------------------

    def _append(self, op: Append) -> Command:
        shard = self._keys[op.shard]
        version = self._beliefs.version(op.instance_id)
        own_keys, own = self._message(shard, op.instance_id, op.message, version=version)
        keys = [shard.seen, *own_keys]
        arguments: list[Argument] = [*own]
        if op.closes is not None:
            keys += (shard.activities(version), shard.look(version))
            arguments += (write_activity(op.closes), op.attempt)
        return self._finish(scripts.APPEND, keys, arguments)

    def _create(self, op: Create) -> Command:
        shard = self._keys[op.shard]
        keys, arguments = self._new_instance(shard, op.instance)
        return self._finish(scripts.CREATE, [shard.seen, *keys], arguments)

    def _commit(self, op: Commit) -> Command:
        shard, head = self._keys[op.shard], op.head
        self._beliefs.note_commit(op.instance_id, head.version, op.lease_version)
        mode = _mode(op)
        fields = _fields(op)
        keys = [shard.lease(op.lease_version), shard.instance(op.instance_id), shard.ready(head.version)]
        arguments: list[Argument] = [
            op.token, _base(op), write_text(head.commit_id), op.instance_id, mode, op.ready_at_ms, head.taken,
            write_text(head.version), len(op.consumed), len(fields),
            len(op.activities_removed), len(op.activities_set), len(op.reminders_removed), len(op.reminders_set),
            len(op.outbox),
        ]  # fmt: skip
        removed, added = _index_moves(shard, op.old_index, op.index)
        arguments += (len(removed), len(added), len(op.appends))
        arguments += [f"inbox-{number:06d}" for number in op.consumed]
        arguments += fields
        is_moved = "v" in mode
        if is_moved:
            keys.append(shard.ready(op.lease_version))
        if op.activities_set or op.activities_removed:
            self._commit_activities(op, keys, arguments, is_moved=is_moved)
        if op.reminders_set or op.reminders_removed:
            self._commit_reminders(op, keys, arguments, is_moved=is_moved)
        if op.outbox:
            keys += (shard.outbox, shard.outbox_last)
            for sent in op.outbox:
                arguments += (sent.target_shard, sent.body)
        if op.index is not None:
            keys += removed
            keys += added
            if added:
                arguments.append(op.index.created_at_ms)
        if is_moved or op.close:
            keys.append(shard.open)
        if op.appends:
            self._commit_appends(op, keys, arguments)
        return self._finish(scripts.COMMIT, keys, arguments)

    def _commit_activities(self, op: Commit, keys: list[str], arguments: list[Argument], *, is_moved: bool) -> None:
        shard, version = self._keys[op.shard], op.head.version
        if is_moved:
            keys += (shard.activities(op.lease_version), shard.look(op.lease_version))
        keys += (shard.activities(version), shard.look(version))
        arguments += [write_activity(key) for key in op.activities_removed]
        for record in op.activities_set:
            value = b"%d %d %b" % (record.attempt, record.revision, record.data)
            arguments += (write_activity(record.key), record.look_at_ms, value)

    def _commit_reminders(self, op: Commit, keys: list[str], arguments: list[Argument], *, is_moved: bool) -> None:
        shard = self._keys[op.shard]
        if is_moved:
            keys.append(shard.reminders(op.lease_version))
        keys.append(shard.reminders(op.head.version))
        arguments += [write_reminder(key) for key in op.reminders_removed]
        for reminder in op.reminders_set:
            arguments += (reminder.due_at_ms, write_reminder(reminder.key))

    def _commit_appends(self, op: Commit, keys: list[str], arguments: list[Argument]) -> None:
        shard = self._keys[op.shard]
        keys.append(shard.seen)
        for instance_id, message in op.appends:
            version = op.head.version if instance_id == op.instance_id else None
            own_keys, own = self._message(shard, instance_id, message, version=version)
            keys += own_keys
            arguments += own

    def _fire_reminder(self, op: FireReminder) -> Command:
        shard = self._keys[op.shard]
        own_keys, own = self._message(shard, op.key.instance_id, op.message)
        keys = [shard.lease(op.lease_version), shard.reminders(op.lease_version), shard.seen, *own_keys]
        return self._finish(scripts.FIRE_REMINDER, keys, [op.token, write_reminder(op.key), *own])

    def _drop_reminder(self, op: DropReminder) -> Command:
        shard = self._keys[op.shard]
        keys = [shard.lease(op.lease_version), shard.reminders(op.lease_version)]
        return self._finish(scripts.DROP_REMINDER, keys, [op.token, write_reminder(op.key)])

    def _replace_activity(self, op: ReplaceActivity) -> Command:
        shard, record = self._keys[op.shard], op.record
        value = b"%d %d %b" % (record.attempt, record.revision, record.data)
        arguments: list[Argument] = [write_activity(record.key), op.expected_revision, record.look_at_ms, value]
        keys = [shard.activities(op.lease_version), shard.look(op.lease_version)]
        return self._finish(scripts.REPLACE_ACTIVITY, keys, arguments)

    def _purge(self, op: Purge) -> Command:
        shard = self._keys[op.shard]
        version, name = self._beliefs.former(op.instance_id)
        keys = [shard.seen, shard.instance(op.instance_id), shard.all, *_former_keys(shard, version, name)]
        keys += (shard.activities(version), shard.look(version))
        arguments: list[Argument] = [
            op.instance_id, write_text(op.execution_id), write_text(version), name, len(op.reminders),
            len(op.activities), *map(write_reminder, op.reminders), *map(write_activity, op.activities),
        ]  # fmt: skip
        return self._finish(scripts.PURGE, keys, arguments)

    def _deliver(self, op: Deliver) -> Command:
        shard = self._keys[op.shard]
        keys = [shard.seen, shard.received]
        arguments: list[Argument] = [op.source_shard, len(op.deliveries)]
        for delivery in op.deliveries:
            if delivery.create is not None:
                new_keys, new_arguments = self._new_instance(shard, delivery.create)
                keys += new_keys
                arguments += (delivery.number, "c", *new_arguments)
            elif delivery.message is not None:
                own_keys, own = self._message(shard, delivery.instance_id, delivery.message)
                keys += own_keys
                arguments += (delivery.number, "a", *own)
            else:
                raise ValueError(
                    f"delivery {delivery.number} of shard {op.source_shard} holds neither message nor create"
                )
        return self._finish(scripts.DELIVER, keys, arguments)

    def _remove_outbox(self, op: RemoveOutbox) -> Command:
        return self._finish(scripts.REMOVE_OUTBOX, [self._keys[op.shard].outbox], [*op.numbers])


def _record(head: Head, metadata: bytes) -> bytes:
    return write_head(head).encode() + metadata


def _index_field(index: IndexEntry) -> str:
    return f"{index.created_at_ms} {index.name}"


def _former_keys(shard: ShardKeys, version: str, name: str) -> list[str]:
    return [
        shard.ready(version),
        shard.reminders(version),
        shard.status(Status.COMPLETED),
        shard.status(Status.FAILED),
        shard.status(Status.TERMINATED),
        shard.name(name),
    ]


def _base(op: Commit) -> str:
    if op.base_commit_id == op.head.commit_id:
        # Such a commit can only have been applied before. No record begins like this, so the script looks closer.
        return f"{write_text(op.base_execution_id)} {write_text(op.base_commit_id)} -1 "
    return f"{write_text(op.base_execution_id)} {write_text(op.base_commit_id)} {op.base_length} "


def _mode(op: Commit) -> str:
    head = op.head
    mode = "t" if head.status in TERMINAL else ""
    if head.hold is not Hold.NONE:
        mode += "h"
    if op.renew:
        mode += "r"
    if op.keep_ready:
        mode += "k"
    if op.close:
        mode += "c"
    if head.version != op.lease_version:
        mode += "v"
    return mode


def _fields(op: Commit) -> list[Argument]:
    """The record's fields to write, `metadata` first: the first write is then never an empty one."""
    fields: list[Argument] = ["metadata", _record(op.head, op.metadata)]
    index = 0 if op.renew else op.base_length
    for event in op.history:
        fields += (f"history-{index:06d}", event)
        index += 1
    if op.custom_status is not None:
        fields += ("customStatus", op.custom_status)
    if op.index is not None:
        fields += ("index", _index_field(op.index))
    return fields


def _index_moves(
    shard: ShardKeys, old: IndexEntry | None, new: IndexEntry | None
) -> tuple[Sequence[str], Sequence[str]]:
    """The index keys that lose and that gain the instance."""
    if new is None:
        return (), ()
    gained = {shard.all, shard.status(new.status), shard.name(new.name)}
    if old is None:
        # Where it stood is not said: it is removed from wherever it may.
        lost = {shard.status(status) for status in Status}
    else:
        lost = {shard.status(old.status), shard.name(old.name)}
    return sorted(lost - gained), sorted(gained)
