"""The memory store: the port's methods over one `MemoryState`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tenuto_engine.core.status import TERMINAL
from tenuto_engine.ports.errors import DurabilityRefused, ShardsDiffer
from tenuto_engine.ports.operations import Operation
from tenuto_engine.ports.outcomes import Outcome
from tenuto_engine.ports.records import (
    ActivityKey,
    ActivityRecord,
    Hint,
    InboxRecord,
    InstanceFilter,
    Listed,
    OutboxRecord,
    ReminderKey,
    Stock,
    Stored,
)
from tenuto_engine.ports.store import StoreInfo
from tenuto_engine.storage.memory.operations import execute
from tenuto_engine.storage.memory.state import Instance, MemoryState, Shard
from tenuto_engine.storage.records import CUSTOM_STATUS, METADATA, history_name, inbox_name, instance_key


class MemoryStore:
    """One app's state in this process.

    Args:
        state: what to open; a new, empty one by default. Give the same to a second store to open it again.
        exclusive: what `StoreInfo.exclusive` says: whether leases may be taken by force. False where several engines
            run on one state.
        app, key_prefix: shown in `key_of`.
    """

    def __init__(
        self, *, state: MemoryState | None = None, exclusive: bool = True, app: str = "app", key_prefix: str = "tenuto"
    ) -> None:
        self.state = MemoryState() if state is None else state
        self._exclusive = exclusive
        self._app = app
        self._key_prefix = key_prefix

    async def open(self, *, shards: int, durability: str) -> StoreInfo:
        if durability != "D0":
            raise DurabilityRefused(
                f"durability {durability} was asked for, but a store in memory keeps nothing when its process ends; "
                "set --durability D0, or choose another store with --state-store"
            )
        if self.state.shard_count not in (None, shards):
            raise ShardsDiffer(
                f"this store was made with {self.state.shard_count} shards and cannot be opened with {shards}; "
                f"set --shards {self.state.shard_count}"
            )
        self.state.shard_count = shards
        return StoreInfo("memory", "D0", verified=True, exclusive=self._exclusive)

    async def close(self) -> None:
        """Forget nothing: the state belongs to whoever made it."""

    def incarnation(self) -> str:
        """Always the same: what is in memory lives as long as this process."""
        return "memory"

    async def recheck(self) -> None:
        """What is in memory is looked after by nobody else."""

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        state = self.state
        now_ms = state.clock()
        return [execute(state, operation, now_ms) for operation in operations]

    async def now_ms(self) -> int:
        return self.state.clock()

    def _instance(self, shard: int, instance_id: str) -> Instance | None:
        return self.state.shards[shard].instances.get(instance_id)

    async def read_instance(self, shard: int, instance_id: str) -> Stored | None:
        instance = self._instance(shard, instance_id)
        return None if instance is None else _stored(instance)

    async def read_instances(self, shard: int, instance_ids: Sequence[str]) -> list[Stored | None]:
        return [await self.read_instance(shard, instance_id) for instance_id in instance_ids]

    async def read_custom_status(self, shard: int, instance_id: str) -> bytes | None:
        instance = self._instance(shard, instance_id)
        return None if instance is None else instance.custom_status

    async def read_inbox(self, shard: int, instance_id: str, *, first: int, end: int, limit: int) -> list[InboxRecord]:
        instance = self._instance(shard, instance_id)
        if instance is None:
            return []
        # The inbox is filled in rising order of number, and a dict keeps that order.
        unread = (InboxRecord(number, body) for number, body in instance.inbox.items() if first <= number < end)
        return [record for record, _ in zip(unread, range(limit), strict=False)]

    async def read_history(
        self, shard: int, instance_id: str, *, first: int, count: int, max_bytes: int
    ) -> list[bytes]:
        instance = self._instance(shard, instance_id)
        if instance is None:
            return []
        records: list[bytes] = []
        for record in instance.history[first : first + count]:
            max_bytes -= len(record)
            if max_bytes < 0 and records:
                break
            records.append(record)
        return records

    async def read_ready(self, shard: int, version: str, *, limit: int) -> list[tuple[str, int]]:
        return self.state.shards[shard].entries[version].ready.first(limit)

    async def read_ready_many(
        self, shards: Sequence[int], version: str, *, limit: int
    ) -> dict[int, list[tuple[str, int]]]:
        found: dict[int, list[tuple[str, int]]] = {}
        for shard in shards:
            marks = self.state.shards[shard].entries[version].ready.first(limit)
            if marks:
                found[shard] = marks
        return found

    async def read_reminders(self, shard: int, version: str, *, limit: int) -> list[tuple[ReminderKey, int]]:
        return self.state.shards[shard].entries[version].reminders.first(limit)

    async def count_reminders(self, shards: Sequence[int], version: str) -> int:
        return sum(len(self.state.shards[shard].entries[version].reminders) for shard in shards)

    async def read_versions(self, shards: Sequence[int]) -> list[str]:
        held = (self.state.shards[shard].instances.values() for shard in shards)
        return sorted({instance.head.version for instances in held for instance in instances})

    async def count_stock(self, shards: Sequence[int], version: str, *, due_ms: int) -> dict[int, Stock]:
        return {shard: _stock(self.state.shards[shard], version, due_ms) for shard in shards}

    async def read_activities(
        self, shard: int, version: str, *, due_ms: int | None, limit: int
    ) -> list[ActivityRecord]:
        entries = self.state.shards[shard].entries[version]
        return [
            entries.activities[key]
            for key, look_at_ms in entries.looks.first(limit)
            if due_ms is None or look_at_ms <= due_ms
        ]

    async def read_calls(self, version: str, calls: Sequence[tuple[int, ActivityKey]]) -> list[ActivityRecord | None]:
        return [self.state.shards[shard].entries[version].activities.get(key) for shard, key in calls]

    async def read_events(self, events: Sequence[tuple[int, str, int]]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for shard, instance_id, index in events:
            instance = self._instance(shard, instance_id)
            is_there = instance is not None and index < len(instance.history)
            found.append(instance.history[index] if instance is not None and is_there else None)
        return found

    async def push_hints(self, version: str, hints: Sequence[Hint]) -> None:
        self.state.hints.push(version, hints)

    async def take_hints(self, version: str, names: Sequence[str], *, limit: int) -> list[Hint]:
        return self.state.hints.take(version, names, limit)

    async def read_outbox(self, shard: int, *, after: int, limit: int) -> list[OutboxRecord]:
        # Numbers only rise, so the order of insertion is theirs.
        unsent = (record for number, record in self.state.shards[shard].outbox.items() if number > after)
        return [record for record, _ in zip(unsent, range(limit), strict=False)]

    async def list_instances(self, shard: int, wanted: InstanceFilter) -> list[Listed]:
        held = self.state.shards[shard]
        listed: list[Listed] = []
        for created_at_ms, instance_id in held.created.newest(first_ms=wanted.created_from_ms, before=wanted.before):
            instance = held.instances[instance_id]
            if _is_wanted(instance, instance_id, wanted):
                listed.append(Listed(instance_id, created_at_ms, _stored(instance)))
                if len(listed) == wanted.limit:
                    break
        return listed

    async def raw_records(self, shard: int, instance_id: str, *, limit: int) -> list[tuple[str, bytes]]:
        instance = self._instance(shard, instance_id)
        if instance is None:
            return []
        records = [(METADATA, instance.metadata)]
        if instance.custom_status is not None:
            records.append((CUSTOM_STATUS, instance.custom_status))
        records += [(history_name(index), record) for index, record in enumerate(instance.history)]
        records += [(inbox_name(number), body) for number, body in instance.inbox.items()]
        return sorted(records)[:limit]

    def key_of(self, shard: int, instance_id: str) -> str:
        return instance_key(self._key_prefix, self._app, shard, instance_id)


def _stock(held: Shard, version: str, due_ms: int) -> Stock:
    entries = held.entries[version]
    ready, reminders = entries.ready.first(1), entries.reminders.first(len(entries.reminders))
    heads = [instance.head for instance in held.instances.values() if instance.head.version == version]
    return Stock(
        open=sum(head.status not in TERMINAL for head in heads),
        ready=len(entries.ready),
        oldest_ready_ms=ready[0][1] if ready else 0,
        due=sum(at_ms <= due_ms for _, at_ms in reminders),
        oldest_due_ms=reminders[0][1] if reminders else 0,
        reminders=dict(Counter(key.kind for key, _ in reminders)),
    )


def _stored(instance: Instance) -> Stored:
    return Stored(instance.head, instance.metadata, instance.inbox_next)


def _is_wanted(instance: Instance, instance_id: str, wanted: InstanceFilter) -> bool:
    index = instance.index
    return (
        (not wanted.name or index.name == wanted.name)
        and (not wanted.statuses or index.status in wanted.statuses)
        and (not wanted.created_to_ms or index.created_at_ms < wanted.created_to_ms)
        and instance_id.startswith(wanted.id_prefix)
    )
