"""Operations as parameters of `execute_group`, in PostgreSQL's binary format.

Written here rather than by a library's adapters, because a group has hundreds of values: an array or a row is its
header and its parts, joined. `Packer` knows the type numbers that the server gave to the types of `code.sql`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from struct import Struct
from typing import assert_never

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
from tenuto_engine.ports.records import (
    ActivityKey,
    ActivityRecord,
    Head,
    Message,
    NewInstance,
    ReminderKey,
    ReminderSet,
)

TYPES = ("message", "reminder", "activity", "head", "new_instance", "sending", "turn", "delivery", "operation")

_BOOL, _BYTEA, _BIGINT, _TEXT = 16, 17, 20, 25
_BYTEA_ARRAY, _TEXT_ARRAY, _BIGINT_ARRAY = 1001, 1009, 1016

_size = Struct(">i").pack
_field = Struct(">Ii").pack
_bigint_field = Struct(">Iiq").pack
_bigint_item = Struct(">iq").pack
_array_head = Struct(">iiIii").pack
_bigint = Struct(">q").pack

_TRUE, _FALSE = _field(_BOOL, 1) + b"\1", _field(_BOOL, 1) + b"\0"
_NULL_BIGINT, _NULL_TEXT, _NULL_BYTEA = _field(_BIGINT, -1), _field(_TEXT, -1), _field(_BYTEA, -1)
_ZERO = _bigint_field(_BIGINT, 8, 0)

Param = bytes | None


# -- parameters ---------------------------------------------------------------------------------------------------


def bigint(value: int) -> bytes:
    return _bigint(value)


def bigints(values: Sequence[int]) -> bytes:
    return _array(_BIGINT, [_bigint_item(8, value) for value in values])


def texts(values: Sequence[str]) -> bytes:
    return _array(_TEXT, [_sized(value.encode()) for value in values])


def _sized(value: bytes) -> bytes:
    return _size(len(value)) + value


def _array(item_type: int, items: Sequence[bytes]) -> bytes:
    """An array of items that each begin with their size."""
    if not items:
        return Struct(">iiI").pack(0, 0, item_type)
    return _array_head(1, 0, item_type, len(items), 1) + b"".join(items)


# -- fields of a row: type, size, value -----------------------------------------------------------------------------


def _int(value: int) -> bytes:
    return _bigint_field(_BIGINT, 8, value)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _field(_TEXT, len(encoded)) + encoded


def _bytes(value: bytes) -> bytes:
    return _field(_BYTEA, len(value)) + value


def _ints(values: Sequence[int]) -> bytes:
    packed = bigints(values)
    return _field(_BIGINT_ARRAY, len(packed)) + packed


def _blobs(values: Sequence[bytes]) -> bytes:
    packed = _array(_BYTEA, [_sized(value) for value in values])
    return _field(_BYTEA_ARRAY, len(packed)) + packed


def _row(*fields: bytes) -> bytes:
    return _size(len(fields)) + b"".join(fields)


_EMPTY_INTS, _EMPTY_BLOBS = _ints(()), _blobs(())


class Packer:
    """Packs operations for one server.

    Args:
        types: the numbers of the types in `TYPES`, and of their arrays under `name[]`.
    """

    def __init__(self, types: Mapping[str, int]) -> None:
        self._types = types
        self._nulls = {name: _field(number, -1) for name, number in types.items()}
        self._empty = {
            name: self._rows(name.removesuffix("[]"), ()) for name in types if name.endswith("[]")
        }  # fmt: skip

    def group(self, operations: Sequence[Operation], *, window_ms: int) -> list[Param]:
        """Return the parameters of `execute_group`."""
        locks = _Locks()
        rows = [_sized(self._operation(operation, locks)) for operation in operations]
        instances = sorted(locks.instances)
        if len(operations) == len(instances) == 1 and not isinstance(operations[0], FireReminder):
            # It locks its instance first by itself, or nothing but the one row beside it.
            instances = []
        return [
            _array(self._types["operation"], rows),
            bigints([shard for shard, _, _ in locks.leases]),
            texts([version for _, version, _ in locks.leases]),
            texts([token for _, _, token in locks.leases]),
            bigints([shard for shard, _ in locks.taking]),
            bigints([source for _, source in locks.taking]),
            bigints(list(locks.sending)),
            bigints([shard for shard, _ in instances]),
            texts([instance_id for _, instance_id in instances]),
            bigint(window_ms),
        ]

    # -- composite values: a field of a type of ours, and an array of them ----------------------------------------

    def _of(self, name: str, row: bytes) -> bytes:
        return _field(self._types[name], len(row)) + row

    def _rows(self, name: str, rows: Iterable[bytes]) -> bytes:
        packed = _array(self._types[name], [_sized(row) for row in rows])
        return _field(self._types[f"{name}[]"], len(packed)) + packed

    # -- rows -----------------------------------------------------------------------------------------------------

    def _operation(self, operation: Operation, locks: _Locks) -> bytes:
        shard = operation.shard
        match operation:
            case Commit():
                lease = locks.lease(shard, operation.lease_version, operation.token)
                locks.instances.add((shard, operation.instance_id))
                locks.instances.update((shard, target) for target, _ in operation.appends)
                if operation.outbox:
                    locks.sending[shard] = None
                return self._union(
                    "commit", shard, lease=lease, version=operation.lease_version,
                    instance=operation.instance_id, turn=self._turn(operation),
                )  # fmt: skip
            case Append(_, instance_id, message, closes, attempt):
                locks.instances.add((shard, instance_id))
                return self._union(
                    "append", shard, instance=instance_id, number=attempt, message=message,
                    activities=() if closes is None else (_activity_name(closes),),
                )  # fmt: skip
            case Create():
                locks.instances.add((shard, operation.instance.instance_id))
                return self._union("create", shard, new=operation.instance)
            case FireReminder() | DropReminder():
                kind = "fire" if isinstance(operation, FireReminder) else "drop"
                locks.instances.add((shard, operation.key.instance_id))
                return self._union(
                    kind, shard, lease=locks.lease(shard, operation.lease_version, operation.token),
                    version=operation.lease_version, reminders=(_reminder_name(operation.key),),
                    message=operation.message if isinstance(operation, FireReminder) else None,
                )  # fmt: skip
            case ReplaceActivity():
                locks.instances.add((shard, operation.record.key.instance_id))
                return self._union(
                    "replace", shard, version=operation.lease_version, number=operation.expected_revision,
                    activities=(_activity(operation.record),),
                )  # fmt: skip
            case Purge():
                locks.instances.add((shard, operation.instance_id))
                return self._union(
                    "purge", shard, instance=operation.instance_id, execution=operation.execution_id,
                    reminders=[_reminder_name(key) for key in operation.reminders],
                    activities=[_activity_name(key) for key in operation.activities],
                )  # fmt: skip
            case Deliver():
                locks.taking[shard, operation.source_shard] = None
                for each in operation.deliveries:
                    target = each.instance_id if each.create is None else each.create.instance_id
                    locks.instances.add((shard, target))
                return self._union(
                    "deliver", shard, number=operation.source_shard, deliveries=operation.deliveries
                )  # fmt: skip
            case RemoveOutbox():
                return self._union("forget", shard, numbers=sorted(operation.numbers))
            case _:
                assert_never(operation)

    def _union(
        self,
        kind: str,
        shard: int,
        *,
        lease: int = 0,
        version: str = "",
        instance: str = "",
        execution: str = "",
        number: int = 0,
        message: Message | None = None,
        turn: bytes | None = None,
        new: NewInstance | None = None,
        deliveries: Sequence[Delivery] | None = None,
        reminders: Sequence[bytes] = (),
        activities: Sequence[bytes] = (),
        numbers: Sequence[int] = (),
    ) -> bytes:
        return _row(
            _text(kind),
            _int(shard),
            _int(lease) if lease else _ZERO,
            _text(version),
            _text(instance),
            _text(execution),
            _int(number) if number else _ZERO,
            self._nulls["message"] if message is None else self._of("message", _message(message)),
            self._nulls["turn"] if turn is None else self._of("turn", turn),
            self._nulls["new_instance"] if new is None else self._of("new_instance", self._new(new)),
            self._nulls["delivery[]"]
            if deliveries is None
            else self._rows("delivery", [self._delivery(each) for each in deliveries]),
            self._rows("reminder", reminders) if reminders else self._empty["reminder[]"],
            self._rows("activity", activities) if activities else self._empty["activity[]"],
            _ints(numbers) if numbers else _EMPTY_INTS,
        )

    def _turn(self, commit: Commit) -> bytes:
        empty = self._empty
        removed, following = commit.activities_removed, commit.activities_set
        dropped, reminders = commit.reminders_removed, commit.reminders_set
        outbox, index = commit.outbox, commit.index
        sendings = [
            _row(_text(target), self._of("message", _message(message))) for target, message in commit.appends
        ]  # fmt: skip
        return _row(
            _text(commit.base_execution_id),
            _text(commit.base_commit_id),
            _int(commit.base_length),
            self._of("head", _head(commit.head)),
            _bytes(commit.metadata),
            _ints(commit.consumed) if commit.consumed else _EMPTY_INTS,
            _blobs(commit.history) if commit.history else _EMPTY_BLOBS,
            _NULL_BYTEA if commit.custom_status is None else _bytes(commit.custom_status),
            self._rows("activity", map(_activity_name, removed)) if removed else empty["activity[]"],
            self._rows("activity", map(_activity, following)) if following else empty["activity[]"],
            self._rows("reminder", map(_reminder_name, dropped)) if dropped else empty["reminder[]"],
            self._rows("reminder", map(_reminder, reminders)) if reminders else empty["reminder[]"],
            _ints([each.target_shard for each in outbox]) if outbox else _EMPTY_INTS,
            _blobs([each.body for each in outbox]) if outbox else _EMPTY_BLOBS,
            self._rows("sending", sendings) if sendings else empty["sending[]"],
            _NULL_TEXT if index is None else _text(index.name),
            _NULL_BIGINT if index is None else _int(index.status),
            _NULL_BIGINT if index is None else _int(index.created_at_ms),
            _int(commit.ready_at_ms),
            _TRUE if commit.renew else _FALSE,
            _TRUE if commit.keep_ready else _FALSE,
        )

    def _new(self, new: NewInstance) -> bytes:
        return _row(
            _text(new.instance_id),
            self._of("head", _head(new.head)),
            _bytes(new.metadata),
            _text(new.index.name),
            _int(new.index.status),
            _int(new.index.created_at_ms),
            self._rows("message", map(_message, new.messages)),
            _blobs(new.history),
            self._rows("reminder", map(_reminder, new.reminders)),
            _ints(sorted(new.replace)),
        )

    def _delivery(self, delivery: Delivery) -> bytes:
        message, new = delivery.message, delivery.create
        assert (message is None) != (new is None), f"delivery {delivery.number} holds neither a message nor a create"
        return _row(
            _int(delivery.number),
            _text(delivery.instance_id),
            self._nulls["message"] if message is None else self._of("message", _message(message)),
            self._nulls["new_instance"] if new is None else self._of("new_instance", self._new(new)),
        )


class _Locks:
    """What a group locks before its first operation. `leases`: with the token that the caller believes in."""

    def __init__(self) -> None:
        self.leases: dict[tuple[int, str, str], int] = {}
        self.taking: dict[tuple[int, int], None] = {}
        self.sending: dict[int, None] = {}
        self.instances: set[tuple[int, str]] = set()

    def lease(self, shard: int, version: str, token: str) -> int:
        """Return the place of a lease in the list, from 1."""
        return self.leases.setdefault((shard, version, token), len(self.leases) + 1)


def _message(message: Message) -> bytes:
    return _row(
        _text(message.id),
        _bytes(message.body),
        _text(message.execution_id),
        _TRUE if message.control else _FALSE,
        _TRUE if message.remember else _FALSE,
    )


def _head(head: Head) -> bytes:
    return _row(
        _int(head.status),
        _int(head.hold),
        _text(head.execution_id),
        _text(head.commit_id),
        _int(head.history_length),
        _int(head.taken),
        _int(head.inbox_low),
        _text(head.version),
        _text(head.start_id),
    )


def _reminder_name(key: ReminderKey) -> bytes:
    return _row(
        _text(key.kind), _int(key.event_id), _text(key.execution_id), _text(key.instance_id), _NULL_BIGINT
    )  # fmt: skip


def _reminder(reminder: ReminderSet) -> bytes:
    key = reminder.key
    return _row(
        _text(key.kind), _int(key.event_id), _text(key.execution_id), _text(key.instance_id), _int(reminder.due_at_ms)
    )  # fmt: skip


def _activity_name(key: ActivityKey) -> bytes:
    return _row(
        _int(key.event_id), _text(key.execution_id), _text(key.instance_id),
        _NULL_BIGINT, _NULL_BIGINT, _NULL_BIGINT, _NULL_BYTEA,
    )  # fmt: skip


def _activity(record: ActivityRecord) -> bytes:
    key = record.key
    return _row(
        _int(key.event_id),
        _text(key.execution_id),
        _text(key.instance_id),
        _int(record.attempt),
        _int(record.revision),
        _int(record.look_at_ms),
        _bytes(record.data),
    )
