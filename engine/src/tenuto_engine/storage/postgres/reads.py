"""Reads of the PostgreSQL store: one statement each, over links of their own, so that they do not hold up a commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.records import (
    ActivityKey,
    ActivityRecord,
    Head,
    InboxRecord,
    InstanceFilter,
    Listed,
    OutboxRecord,
    ReminderKey,
    Stock,
    Stored,
)
from tenuto_engine.storage.postgres.exchange import Row
from tenuto_engine.storage.postgres.link import LinkPool
from tenuto_engine.storage.postgres.session import Target
from tenuto_engine.storage.postgres.wire import bigint, bigints, texts
from tenuto_engine.storage.records import CUSTOM_STATUS, instance_key

# Above every moment: whenever an entry is due.
_ANY_MS = (1 << 63) - 1


class PostgresReads:
    """The reading half of the store. Raises StoreUnavailable where the port says so."""

    def __init__(self, target: Target, links: LinkPool) -> None:
        self._target = target
        self._links = links

    def key_of(self, shard: int, instance_id: str) -> str:
        return instance_key(self._target.key_prefix, self._target.app, shard, instance_id)

    async def now_ms(self) -> int:
        ((now_ms,),) = await self._links.ask("now_ms")
        return int(now_ms)

    async def read_instance(self, shard: int, instance_id: str) -> Stored | None:
        (stored,) = await self.read_instances(shard, [instance_id])
        return stored

    async def read_instances(self, shard: int, instance_ids: Sequence[str]) -> list[Stored | None]:
        if not instance_ids:
            return []
        rows = await self._links.ask("read_instances", bigint(shard), texts(instance_ids))
        found = {row[0]: read_stored(row[1:]) for row in rows}
        return [found.get(instance_id) for instance_id in instance_ids]

    async def read_custom_status(self, shard: int, instance_id: str) -> bytes | None:
        rows = await self._links.ask("read_record", bigint(shard), instance_id.encode(), CUSTOM_STATUS.encode())
        return rows[0][0] if rows else None

    async def read_inbox(self, shard: int, instance_id: str, *, first: int, end: int, limit: int) -> list[InboxRecord]:
        rows = await self._links.ask(
            "read_inbox", bigint(shard), instance_id.encode(), bigint(first), bigint(end), bigint(limit)
        )
        return [InboxRecord(*row) for row in rows]

    async def read_history(
        self, shard: int, instance_id: str, *, first: int, count: int, max_bytes: int
    ) -> list[bytes]:
        rows = await self._links.ask(
            "read_history", bigint(shard), instance_id.encode(), bigint(first), bigint(first + count), bigint(max_bytes)
        )
        # Up to the first missing: a record behind a gap stands at a place that is not its own.
        return [value for place, (index, value) in enumerate(rows, first) if index == place]

    async def read_ready(self, shard: int, version: str, *, limit: int) -> list[tuple[str, int]]:
        return (await self.read_ready_many([shard], version, limit=limit)).get(shard, [])

    async def read_ready_many(
        self, shards: Sequence[int], version: str, *, limit: int
    ) -> dict[int, list[tuple[str, int]]]:
        found: dict[int, list[tuple[str, int]]] = {}
        if shards:
            for shard, *mark in await self._links.ask("read_ready", bigints(shards), version.encode(), bigint(limit)):
                found.setdefault(shard, []).append((mark[0], mark[1]))
        return found

    async def read_reminders(self, shard: int, version: str, *, limit: int) -> list[tuple[ReminderKey, int]]:
        rows = await self._links.ask("read_reminders", bigint(shard), version.encode(), bigint(limit))
        return [(ReminderKey(*key), due_at_ms) for *key, due_at_ms in rows]

    async def count_reminders(self, shards: Sequence[int], version: str) -> int:
        ((count,),) = await self._links.ask("count_reminders", bigints(shards), version.encode())
        return int(count)

    async def read_versions(self, shards: Sequence[int]) -> list[str]:
        return sorted([version for (version,) in await self._links.ask("read_versions", bigints(shards))])

    async def count_stock(self, shards: Sequence[int], version: str, *, due_ms: int) -> dict[int, Stock]:
        of, name = bigints(shards), version.encode()
        opened = {shard: count for shard, count in await self._links.ask("count_open", of, name)}  # noqa: C416 - typed
        ready = {shard: (count, oldest) for shard, count, oldest in await self._links.ask("count_ready", of, name)}
        kinds: dict[int, list[Row]] = {}
        for row in await self._links.ask("count_reminder_kinds", of, name, bigint(due_ms)):
            kinds.setdefault(row[0], []).append(row)
        return {
            shard: Stock(
                opened.get(shard, 0),
                *ready.get(shard, (0, 0)),
                due=sum(row[3] for row in kinds.get(shard, ())),
                oldest_due_ms=min((row[4] for row in kinds.get(shard, ())), default=0),
                reminders={row[1]: row[2] for row in kinds.get(shard, ())},
            )
            for shard in shards
        }

    async def read_activities(
        self, shard: int, version: str, *, due_ms: int | None, limit: int
    ) -> list[ActivityRecord]:
        due_ms = _ANY_MS if due_ms is None else due_ms
        rows = await self._links.ask(
            "read_activities", bigint(shard), version.encode(), bigint(due_ms), bigint(limit)
        )  # fmt: skip
        return [_activity(row) for row in rows]

    async def read_calls(self, version: str, calls: Sequence[tuple[int, ActivityKey]]) -> list[ActivityRecord | None]:
        found: list[ActivityRecord | None] = [None] * len(calls)
        if calls:
            keys = [key for _, key in calls]
            rows = await self._links.ask(
                "read_calls", version.encode(), bigints([shard for shard, _ in calls]), *keys_of(keys)
            )
            for place, *row in rows:
                found[place - 1] = _activity(row)
        return found

    async def read_events(self, events: Sequence[tuple[int, str, int]]) -> list[bytes | None]:
        found: list[bytes | None] = [None] * len(events)
        if events:
            shards, instances, indexes = zip(*events, strict=True)
            rows = await self._links.ask("read_events", bigints(shards), texts(instances), bigints(indexes))
            for place, value in rows:
                found[place - 1] = value
        return found

    async def read_outbox(self, shard: int, *, after: int, limit: int) -> list[OutboxRecord]:
        rows = await self._links.ask("read_outbox", bigint(shard), bigint(after), bigint(limit))
        return [OutboxRecord(*row) for row in rows]

    async def list_instances(self, shard: int, wanted: InstanceFilter) -> list[Listed]:
        before_ms, before_id = wanted.before or (-1, "")
        rows = await self._links.ask(
            "list_instances",
            bigint(shard),
            bigint(wanted.created_from_ms),
            bigint(wanted.created_to_ms),
            wanted.name.encode(),
            bigints(sorted(wanted.statuses)),
            wanted.id_prefix.encode(),
            bigint(before_ms),
            before_id.encode(),
            bigint(wanted.limit),
        )
        return [Listed(instance_id, created_at_ms, read_stored(row)) for created_at_ms, instance_id, *row in rows]

    async def raw_records(self, shard: int, instance_id: str, *, limit: int) -> list[tuple[str, bytes]]:
        rows = await self._links.ask("raw_records", bigint(shard), instance_id.encode(), bigint(limit))
        return [(name, value) for name, value in rows]


def read_stored(row: Sequence[Any]) -> Stored:
    status, hold, *rest, inbox_next, metadata = row
    return Stored(Head(Status(status), Hold(hold), *rest), metadata, inbox_next)


def keys_of(keys: Sequence[ActivityKey]) -> tuple[bytes, bytes, bytes]:
    """Keys of calls as three arrays: instances, executions, event ids."""
    return (
        texts([key.instance_id for key in keys]),
        texts([key.execution_id for key in keys]),
        bigints([key.event_id for key in keys]),
    )


def _activity(row: Sequence[Any]) -> ActivityRecord:
    event_id, execution_id, instance_id, *rest = row
    return ActivityRecord(ActivityKey(event_id, execution_id, instance_id), *rest)
