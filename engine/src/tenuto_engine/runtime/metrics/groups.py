"""What the store executed: operations by result, records by kind, bytes, reminders, durations.

A group is tallied in plain numbers first and counted once per label set: a group holds up to 256 operations, and they
are alike. Only what the store confirmed counts as written; a repeated operation wrote nothing the second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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
    Rejected,
    Unconfirmed,
)
from tenuto_engine.ports.records import NewInstance, ReminderKey, ReminderSet
from tenuto_engine.runtime.metrics.catalog import Catalog

SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

OPERATIONS: dict[type, str] = {
    Create: "create",
    Append: "inbox_push",
    Commit: "commit",
    FireReminder: "timer",
    DropReminder: "timer",
    ReplaceActivity: "activity",
    Purge: "purge",
    Deliver: "outbox_deliver",
    RemoveOutbox: "outbox_remove",
}
RESULTS: dict[type, str] = {
    Created: "ok",
    Exists: "conflict",
    Appended: "ok",
    Committed: "ok",
    Fenced: "fenced",
    Conflict: "conflict",
    Refused: "refused",
    Done: "ok",
    Delivered: "ok",
    Unconfirmed: "timeout",
    Rejected: "error",
}
_MAY_BE_DUPLICATES = frozenset({Exists, Appended, Committed})
# What a reminder is for, by the word that the store keeps it under.
REMINDER_KINDS = {"timer": "timer", "start": "schedule", "wake": "retry", "retention": "retention"}


def reminder_kind(key: ReminderKey) -> str:
    """The label of a reminder: few words, whatever a store may hold."""
    return REMINDER_KINDS.get(key.kind, "other")


class _Written:
    """Records of one group, by kind, and their bytes."""

    __slots__ = ("activity", "custom_status", "history", "inbox", "metadata", "outbox", "registered", "size")

    def __init__(self) -> None:
        self.activity = self.custom_status = self.history = self.inbox = self.metadata = self.outbox = self.size = 0
        self.registered: dict[str, int] = {}

    def register(self, reminders: Sequence[ReminderSet]) -> None:
        for reminder in reminders:
            kind = reminder_kind(reminder.key)
            self.registered[kind] = self.registered.get(kind, 0) + 1

    def take_new(self, new: NewInstance) -> None:
        self.metadata += 1
        self.inbox += len(new.messages)
        self.history += len(new.history)
        self.size += len(new.metadata) + sum(len(m.body) for m in new.messages) + sum(map(len, new.history))
        if new.reminders:
            self.register(new.reminders)


def _create(operation: Create, _outcome: Created, written: _Written) -> None:
    written.take_new(operation.instance)


def _append(operation: Append, _outcome: Appended, written: _Written) -> None:
    written.inbox += 1
    written.size += len(operation.message.body)


def _fire(operation: FireReminder, _outcome: Appended, written: _Written) -> None:
    written.inbox += 1
    written.size += len(operation.message.body)


def _replace(operation: ReplaceActivity, _outcome: Done, written: _Written) -> None:
    written.activity += 1
    written.size += len(operation.record.data)


def _deliver(operation: Deliver, outcome: Delivered, written: _Written) -> None:
    for delivery, result in zip(operation.deliveries, outcome.outcomes, strict=True):
        if isinstance(result, Created) and delivery.create is not None:
            written.take_new(delivery.create)
        elif isinstance(result, Appended) and not result.duplicate and delivery.message is not None:
            written.inbox += 1
            written.size += len(delivery.message.body)


def _commit(operation: Commit, outcome: Committed, written: _Written) -> None:
    history = operation.history
    written.metadata += 1
    written.history += len(history)
    size = len(operation.metadata) + sum(map(len, history))
    if operation.custom_status is not None:
        written.custom_status += 1
        size += len(operation.custom_status)
    if operation.activities_set:
        written.activity += len(operation.activities_set)
        size += sum(len(record.data) for record in operation.activities_set)
    if operation.outbox:
        written.outbox += len(operation.outbox)
        size += sum(len(send.body) for send in operation.outbox)
    for (_, message), result in zip(operation.appends, outcome.appended, strict=False):
        if isinstance(result, Appended) and not result.duplicate:
            written.inbox += 1
            size += len(message.body)
    if operation.reminders_set:
        written.register(operation.reminders_set)
    written.size += size


# By the type of the operation and of the outcome; what is not here has written no record.
_WRITERS: dict[tuple[type, type], Callable[[Any, Any, _Written], None]] = {
    (Create, Created): _create,
    (Append, Appended): _append,
    (FireReminder, Appended): _fire,
    (ReplaceActivity, Done): _replace,
    (Deliver, Delivered): _deliver,
    (Commit, Committed): _commit,
}
_Key = tuple[type, type, bool]


class GroupMetrics:
    """Counts groups of operations as they are answered."""

    def __init__(self, catalog: Catalog) -> None:
        counters, histograms = catalog.counters, catalog.histograms
        self.writes = counters("tenuto_state_write_total", "Store operations that write, by result", "op", "result")
        self.seconds = histograms(
            "tenuto_state_write_duration_seconds",
            "From sending a write to its answer; operations of one group share it",
            "op",
            buckets=SECONDS,
        )
        self.bytes = catalog.counter(
            "tenuto_state_write_bytes_total", "Bytes of the records written, as they are handed to the store"
        )
        self.records = counters("tenuto_state_records_total", "Records written, by kind", "kind")
        self.size = catalog.histogram(
            "tenuto_state_group_operations",
            "Operations that travelled together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
        )
        self.fenced = catalog.counter(
            "tenuto_fenced_writes_total", "Writes refused because another owner holds, or held, the shard"
        )
        self.registered = counters(
            "tenuto_reminder_registered_total", "Reminders written, by what they are for", "kind"
        )
        self.reminder_writes = counters(
            "tenuto_reminder_write_total",
            "Reminders set, cancelled before they were due, and fired, by the store's answer",
            "op",
            "result",
        )

    def done(
        self, operations: Sequence[Operation], outcomes: Sequence[Outcome], *, seconds: float, trace_id: str = ""
    ) -> None:
        """Count one group. `trace_id`: a trace that one of its operations belongs to."""
        self.size.observe(len(operations))
        tally: dict[_Key, int] = {}
        written = _Written()
        for operation, outcome in zip(operations, outcomes, strict=True):
            operation_type, outcome_type = type(operation), type(outcome)
            repeated = outcome_type in _MAY_BE_DUPLICATES and getattr(outcome, "duplicate") is True  # noqa: B009
            key: _Key = (operation_type, outcome_type, repeated)
            tally[key] = tally.get(key, 0) + 1
            if not repeated:
                writer = _WRITERS.get((operation_type, outcome_type))
                if writer is not None:
                    writer(operation, outcome, written)
            if operation_type is Commit:
                self._commit_reminders(operation, key)
        self._count_operations(tally, seconds, trace_id)
        self._count_records(written)

    def _commit_reminders(self, operation: Any, key: _Key) -> None:
        result = _result(key)
        if operation.reminders_set and result != "ok":  # those written are counted with the records
            self.reminder_writes["set", result].inc(len(operation.reminders_set))
        if operation.reminders_removed:
            # Endings name wake-ups that may never have been set, to be sure; timers are named where they are open.
            timers = sum(reminder.kind == "timer" for reminder in operation.reminders_removed)
            if timers:
                self.reminder_writes["cancel", result].inc(timers)

    def _count_operations(self, tally: dict[_Key, int], seconds: float, trace_id: str) -> None:
        for key, times in tally.items():
            operation, result = OPERATIONS[key[0]], _result(key)
            self.writes[operation, result].inc(times)
            self.seconds[operation].observe(seconds, trace_id, times)
            if key[1] is Fenced:
                self.fenced.inc(times)
            if key[0] is FireReminder:
                self.reminder_writes["fire", result].inc(times)

    def _count_records(self, written: _Written) -> None:
        records = self.records
        for kind, number in (
            ("history", written.history),
            ("metadata", written.metadata),
            ("inbox", written.inbox),
            ("activity", written.activity),
            ("custom_status", written.custom_status),
            ("outbox", written.outbox),
        ):
            if number:
                records[kind].inc(number)
        if written.size:
            self.bytes.inc(written.size)
        for kind, number in written.registered.items():
            self.registered[kind].inc(number)
            records["reminder"].inc(number)
            self.reminder_writes["set", "ok"].inc(number)


def _result(key: _Key) -> str:
    return "duplicate" if key[2] else RESULTS[key[1]]
