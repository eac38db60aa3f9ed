"""Reads of the Redis store: by computed names and in pages, never a whole hash whose size nobody bounded.

They go over links of their own, so that a large read does not hold up a commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.records import (
    ActivityKey,
    ActivityRecord,
    Hint,
    InboxRecord,
    OutboxRecord,
    ReminderKey,
    Stock,
    Stored,
)
from tenuto_engine.storage.hints import MOST_HINTS
from tenuto_engine.storage.records import history_name
from tenuto_engine.storage.redis import scripts
from tenuto_engine.storage.redis.beliefs import Beliefs
from tenuto_engine.storage.redis.keys import (
    Keys,
    read_activity,
    read_activity_key,
    read_metadata,
    read_reminder,
    read_text,
    write_activity,
    write_text,
)
from tenuto_engine.storage.redis.nodes import Reading

# Records asked for in one command: small ones are few round trips, large ones do not hold the server up for long.
_PAGE = 500
# A list of hints that nobody pushes to for so long is of an activity that nobody calls any more.
_HINT_SECONDS = 300
# Reminders whose kind one script looks at: about a millisecond of the server's time.
_KINDS_PAGE = 5_000
_KINDS_AT_ONCE = 64


class RedisReads:
    """The reading half of the store. Raises StoreUnavailable where the port says so."""

    def __init__(self, keys: Keys, links: Reading, beliefs: Beliefs) -> None:
        self._keys = keys
        self._beliefs = beliefs
        self._links = links

    def key_of(self, shard: int, instance_id: str) -> str:
        return self._keys[shard].instance(instance_id)

    async def now_ms(self) -> int:
        ((seconds, micros),) = await self._links.ask(("TIME",))
        return int(seconds) * 1000 + int(micros) // 1000

    async def read_instance(self, shard: int, instance_id: str) -> Stored | None:
        (reply,) = await self._links.ask(("HMGET", self.key_of(shard, instance_id), "metadata", "inbox"))
        return self._learn(instance_id, _read_stored(reply))

    async def read_instances(self, shard: int, instance_ids: Sequence[str]) -> list[Stored | None]:
        if not instance_ids:
            return []
        commands = [("HMGET", self.key_of(shard, i), "metadata", "inbox") for i in instance_ids]
        replies = await self._links.ask(*commands)
        return [self._learn(i, _read_stored(reply)) for i, reply in zip(instance_ids, replies, strict=True)]

    async def read_custom_status(self, shard: int, instance_id: str) -> bytes | None:
        (reply,) = await self._links.ask(("HGET", self.key_of(shard, instance_id), "customStatus"))
        return reply if isinstance(reply, bytes) else None

    async def read_inbox(self, shard: int, instance_id: str, *, first: int, end: int, limit: int) -> list[InboxRecord]:
        key = self.key_of(shard, instance_id)
        records: list[InboxRecord] = []
        while first < end and len(records) < limit:
            numbers = range(first, min(end, first + _PAGE))
            (bodies,) = await self._links.ask(("HMGET", key, *[f"inbox-{number:06d}" for number in numbers]))
            records += [InboxRecord(n, body) for n, body in zip(numbers, bodies, strict=True) if body is not None]
            first = numbers.stop
        return records[:limit]

    async def read_history(
        self, shard: int, instance_id: str, *, first: int, count: int, max_bytes: int
    ) -> list[bytes]:
        key = self.key_of(shard, instance_id)
        events: list[bytes] = []
        end = first + count
        while first < end:
            page_end = min(end, first + _PAGE)
            is_first = int(not events)
            command = ("EVAL", scripts.READ_HISTORY.source, 1, key, first, page_end, max_bytes, is_first)
            page: list[bytes] = (await self._links.ask(command))[0]
            events += page
            if len(page) < page_end - first:
                break
            max_bytes -= sum(map(len, page))
            first = page_end
        return events

    async def read_ready(self, shard: int, version: str, *, limit: int) -> list[tuple[str, int]]:
        (reply,) = await self._links.ask(_first_of(self._keys[shard].ready(version), limit))
        return _read_marks(reply)

    async def read_ready_many(
        self, shards: Sequence[int], version: str, *, limit: int
    ) -> dict[int, list[tuple[str, int]]]:
        if not shards:
            return {}
        replies = await self._links.ask(*[_first_of(self._keys[shard].ready(version), limit) for shard in shards])
        return {shard: _read_marks(reply) for shard, reply in zip(shards, replies, strict=True) if reply}

    async def read_reminders(self, shard: int, version: str, *, limit: int) -> list[tuple[ReminderKey, int]]:
        (reply,) = await self._links.ask(_first_of(self._keys[shard].reminders(version), limit))
        return [(read_reminder(reply[i]), int(float(reply[i + 1]))) for i in range(0, len(reply), 2)]

    async def count_reminders(self, shards: Sequence[int], version: str) -> int:
        if not shards:
            return 0
        replies: list[int] = await self._links.ask(*[("ZCARD", self._keys[s].reminders(version)) for s in shards])
        return sum(replies)

    async def read_versions(self, shards: Sequence[int]) -> list[str]:
        if not shards:
            return []
        replies: list[list[bytes]] = await self._links.ask(*[("HKEYS", self._keys[shard].open) for shard in shards])
        return sorted({read_text(version.decode()) for reply in replies for version in reply})

    async def count_stock(self, shards: Sequence[int], version: str, *, due_ms: int) -> dict[int, Stock]:
        if not shards:
            return {}
        commands: list[tuple[str | int, ...]] = []
        for shard in shards:
            keys = self._keys[shard]
            ready, reminders = keys.ready(version), keys.reminders(version)
            commands += [
                ("HGET", keys.open, write_text(version)),
                ("ZCARD", ready),
                _first_of(ready, 1),
                ("ZCOUNT", reminders, "-inf", due_ms),
                _first_of(reminders, 1),
                ("ZCARD", reminders),
            ]
        replies = await self._links.ask(*commands)
        totals = {shard: replies[6 * position + 5] for position, shard in enumerate(shards)}
        kinds = await self._count_kinds(version, totals)
        found: dict[int, Stock] = {}
        for position, shard in enumerate(shards):
            count, ready_count, oldest_ready, due, oldest_due = replies[6 * position : 6 * position + 5]
            found[shard] = Stock(
                open=int(count or 0),
                ready=ready_count,
                oldest_ready_ms=int(float(oldest_ready[1])) if oldest_ready else 0,
                due=due,
                oldest_due_ms=int(float(oldest_due[1])) if oldest_due else 0,
                reminders=kinds[shard],
            )
        return found

    async def _count_kinds(self, version: str, totals: Mapping[int, int]) -> dict[int, dict[str, int]]:
        """Count the reminders of each shard by kind, in pages; `totals` says how many there are."""
        pages = [(shard, first) for shard, total in totals.items() for first in range(0, total, _KINDS_PAGE)]
        counts: dict[int, dict[str, int]] = {shard: {} for shard in totals}
        for start in range(0, len(pages), _KINDS_AT_ONCE):
            asked = pages[start : start + _KINDS_AT_ONCE]
            source = scripts.COUNT_KINDS.source
            commands = [
                ("EVAL", source, 1, self._keys[shard].reminders(version), first, first + _KINDS_PAGE - 1)
                for shard, first in asked
            ]
            for (shard, _), reply in zip(asked, await self._links.ask(*commands), strict=True):
                for kind, number in zip(reply[::2], reply[1::2], strict=True):
                    counts[shard][kind.decode()] = counts[shard].get(kind.decode(), 0) + number
        return counts

    async def read_activities(
        self, shard: int, version: str, *, due_ms: int | None, limit: int
    ) -> list[ActivityRecord]:
        keys = self._keys[shard]
        end = "+inf" if due_ms is None else due_ms
        (due,) = await self._links.ask(
            ("ZRANGEBYSCORE", keys.look(version), "-inf", end, "WITHSCORES", "LIMIT", 0, limit)
        )
        members: list[bytes] = due[::2]
        if not members:
            return []
        (values,) = await self._links.ask(("HMGET", keys.activities(version), *members))
        looks: list[bytes] = due[1::2]
        return [
            read_activity(member, value, int(float(look)))
            for member, value, look in zip(members, values, looks, strict=True)
            if value is not None
        ]

    async def read_calls(self, version: str, calls: Sequence[tuple[int, ActivityKey]]) -> list[ActivityRecord | None]:
        commands: list[tuple[str, ...]] = []
        members = [write_activity(key) for _, key in calls]
        for (shard, _), member in zip(calls, members, strict=True):
            keys = self._keys[shard]
            commands.append(("HGET", keys.activities(version), member))
            commands.append(("ZSCORE", keys.look(version), member))
        replies = await self._links.ask(*commands) if commands else []
        return [
            None if value is None or look is None else read_activity(member.encode(), value, int(float(look)))
            for member, value, look in zip(members, replies[::2], replies[1::2], strict=True)
        ]

    async def read_events(self, events: Sequence[tuple[int, str, int]]) -> list[bytes | None]:
        if not events:
            return []
        return await self._links.ask(
            *[("HGET", self.key_of(shard, instance_id), history_name(index)) for shard, instance_id, index in events]
        )

    async def push_hints(self, version: str, hints: Sequence[Hint]) -> None:
        by_name: dict[str, list[str]] = {}
        for hint in hints:
            by_name.setdefault(hint.name, []).append(write_activity(hint.key))
        commands: list[tuple[str | int, ...]] = []
        for name, members in by_name.items():
            key = self._keys.spill(version, name)
            commands += [("RPUSH", key, *members[i : i + _PAGE]) for i in range(0, len(members), _PAGE)]
            commands += [("LTRIM", key, 0, MOST_HINTS - 1), ("EXPIRE", key, _HINT_SECONDS)]
        if commands:
            await self._links.ask(*commands)

    async def take_hints(self, version: str, names: Sequence[str], *, limit: int) -> list[Hint]:
        if not names:
            return []
        keys = [self._keys.spill(version, name) for name in names]
        (lists,) = await self._links.ask(("EVAL", scripts.TAKE_HINTS.source, len(keys), *keys, limit))
        return [
            Hint(name, read_activity_key(member)) for name, taken in zip(names, lists, strict=True) for member in taken
        ]

    async def read_outbox(self, shard: int, *, after: int, limit: int) -> list[OutboxRecord]:
        (members,) = await self._links.ask(
            ("ZRANGEBYSCORE", self._keys[shard].outbox, f"({after}", "+inf", "LIMIT", 0, limit)
        )
        records: list[OutboxRecord] = []
        for member in members:
            number, target, body = member.split(b" ", 2)
            records.append(OutboxRecord(int(number), int(target), body))
        return records

    async def raw_records(self, shard: int, instance_id: str, *, limit: int) -> list[tuple[str, bytes]]:
        key = self.key_of(shard, instance_id)
        stored = await self.read_instance(shard, instance_id)
        if stored is None:
            return []
        names = ["customStatus"]
        names += [f"history-{index:06d}" for index in range(min(limit, stored.head.history_length))]
        low = stored.head.inbox_low
        pairs = await self._read_named(key, names, limit)
        if len(pairs) < limit:
            inbox = await self.read_inbox(
                shard, instance_id, first=low, end=stored.inbox_next, limit=limit - len(pairs)
            )
            pairs += [(f"inbox-{record.number:06d}", record.body) for record in inbox]
        if len(pairs) < limit:
            pairs.append(("metadata", stored.metadata))
        return pairs

    def _learn(self, instance_id: str, stored: Stored | None) -> Stored | None:
        if stored is not None:
            self._beliefs.note_version(instance_id, stored.head.version)
        return stored

    async def _read_named(self, key: str, names: Sequence[str], limit: int) -> list[tuple[str, bytes]]:
        pairs: list[tuple[str, bytes]] = []
        for first in range(0, len(names), _PAGE):
            page = names[first : first + _PAGE]
            (values,) = await self._links.ask(("HMGET", key, *page))
            pairs += [(name, value) for name, value in zip(page, values, strict=True) if value is not None]
            if len(pairs) >= limit:
                break
        return pairs[:limit]


def _first_of(key: str, limit: int) -> tuple[str | int, ...]:
    return ("ZRANGE", key, 0, limit - 1, "WITHSCORES")


def _read_marks(reply: list[bytes]) -> list[tuple[str, int]]:
    return [(reply[i].decode(), int(float(reply[i + 1]))) for i in range(0, len(reply), 2)]


def _read_stored(reply: list[Any]) -> Stored | None:
    if reply[0] is None or reply[1] is None:
        return None
    try:
        head, metadata = read_metadata(reply[0])
        return Stored(head, metadata, int(reply[1].partition(b" ")[0]))
    except ValueError as error:
        raise StoreUnavailable(f"a metadata record is not one of ours: {reply[0][:80]!r}") from error
