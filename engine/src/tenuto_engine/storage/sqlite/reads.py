"""The reads of the store port as functions of a connection; pages are bounded, records are read by computed names."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from tenuto_engine.core.status import TERMINAL, Hold, Status
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
from tenuto_engine.storage.records import CUSTOM_STATUS, history_name, inbox_name
from tenuto_engine.storage.sqlite.sql import QUERIES

# Above every moment: whenever an entry is due.
_ANY_MS = (1 << 63) - 1


def _stored(row: Sequence[Any]) -> Stored:
    status, hold, *rest, inbox_next, metadata = row
    return Stored(Head(Status(status), Hold(hold), *rest), metadata, inbox_next)


def instance(connection: sqlite3.Connection, shard: int, instance_id: str) -> Stored | None:
    row = connection.execute(QUERIES["read_instance"], (shard, instance_id)).fetchone()
    return None if row is None else _stored(row)


def custom_status(connection: sqlite3.Connection, shard: int, instance_id: str) -> bytes | None:
    row = connection.execute(QUERIES["read_record"], (shard, instance_id, CUSTOM_STATUS)).fetchone()
    return None if row is None else row[0]


def inbox(
    connection: sqlite3.Connection, shard: int, instance_id: str, *, first: int, end: int, limit: int
) -> list[InboxRecord]:
    """Read unread messages numbered in [first, end), rising, at most `limit`."""
    row = connection.execute(QUERIES["read_inbox_bounds"], (shard, instance_id)).fetchone()
    if row is None:
        return []
    key, inbox_low, inbox_next = row
    found: list[InboxRecord] = []
    # Numbers that were never given, or whose messages are certainly gone, are not asked for one by one.
    for number in range(max(first, inbox_low), min(end, inbox_next)):
        if len(found) == limit:
            break
        row = connection.execute(QUERIES["read_value"], (key, inbox_name(number))).fetchone()
        if row is not None:
            found.append(InboxRecord(number, row[0]))
    return found


def history(
    connection: sqlite3.Connection, shard: int, instance_id: str, *, first: int, count: int, max_bytes: int
) -> list[bytes]:
    """Read records [first, first + count), and stop before the one that would exceed `max_bytes`, but not the first."""
    found = connection.execute(QUERIES["read_history_bounds"], (shard, instance_id)).fetchone()
    if found is None:
        return []
    key, length = found
    records: list[bytes] = []
    for index in range(first, min(first + count, length)):
        row = connection.execute(QUERIES["read_value"], (key, history_name(index))).fetchone()
        if row is None:
            break
        max_bytes -= len(row[0])
        if max_bytes < 0 and records:
            break
        records.append(row[0])
    return records


def event(connection: sqlite3.Connection, shard: int, instance_id: str, index: int) -> bytes | None:
    """Read one history record."""
    found = history(connection, shard, instance_id, first=index, count=1, max_bytes=1)
    return found[0] if found else None


def ready(connection: sqlite3.Connection, shard: int, version: str, *, limit: int) -> list[tuple[str, int]]:
    return connection.execute(QUERIES["read_ready"], (shard, version, limit)).fetchall()


def reminders(connection: sqlite3.Connection, shard: int, version: str, *, limit: int) -> list[tuple[ReminderKey, int]]:
    rows = connection.execute(QUERIES["read_reminders"], (shard, version, limit))
    return [(ReminderKey(*key), due_at_ms) for *key, due_at_ms in rows]


def count_reminders(connection: sqlite3.Connection, shards: Sequence[int], version: str) -> int:
    counts = (connection.execute(QUERIES["count_reminders"], (shard, version)).fetchone()[0] for shard in shards)
    return sum(counts)


def versions(connection: sqlite3.Connection, shards: Sequence[int]) -> list[str]:
    """Return the versions of the instances that shards hold; passes over all of them."""
    return sorted({row[0] for shard in shards for row in connection.execute(QUERIES["read_versions"], (shard,))})


def stock(connection: sqlite3.Connection, shards: Sequence[int], version: str, due_ms: int) -> dict[int, Stock]:
    """Count what shards hold; passes over all their instances and reminders."""
    ended = msgspec.json.encode(sorted(TERMINAL)).decode()
    found: dict[int, Stock] = {}
    for shard in shards:
        (count,) = connection.execute(QUERIES["count_open"], (shard, version, ended)).fetchone()
        ready_count, oldest_ready_ms = connection.execute(QUERIES["count_ready"], (shard, version)).fetchone()
        kinds = connection.execute(QUERIES["count_reminder_kinds"], (shard, version, due_ms)).fetchall()
        found[shard] = Stock(
            open=count,
            ready=ready_count,
            oldest_ready_ms=oldest_ready_ms,
            due=sum(row[2] for row in kinds),
            oldest_due_ms=min((row[3] for row in kinds), default=0),
            reminders={row[0]: row[1] for row in kinds},
        )
    return found


def _activity(row: Sequence[Any]) -> ActivityRecord:
    event_id, execution_id, instance_id, *rest = row
    return ActivityRecord(ActivityKey(event_id, execution_id, instance_id), *rest)


def activities(
    connection: sqlite3.Connection, shard: int, version: str, *, due_ms: int | None, limit: int
) -> list[ActivityRecord]:
    due_ms = _ANY_MS if due_ms is None else due_ms
    return [_activity(row) for row in connection.execute(QUERIES["read_activities"], (shard, version, due_ms, limit))]


def activity(connection: sqlite3.Connection, shard: int, version: str, key: ActivityKey) -> ActivityRecord | None:
    values = (shard, version, key.instance_id, key.execution_id, key.event_id)
    row = connection.execute(QUERIES["read_activity"], values).fetchone()
    return None if row is None else _activity(row)


def outbox(connection: sqlite3.Connection, shard: int, *, after: int, limit: int) -> list[OutboxRecord]:
    return [OutboxRecord(*row) for row in connection.execute(QUERIES["read_outbox"], (shard, after, limit))]


def instances(connection: sqlite3.Connection, shard: int, wanted: InstanceFilter) -> list[Listed]:
    """List the instances of a shard that a filter wants, newest first; may scan the shard."""
    before_ms, before_id = wanted.before or (-1, "")
    values = {
        "shard": shard,
        "created_from_ms": wanted.created_from_ms,
        "created_to_ms": wanted.created_to_ms,
        "before_ms": before_ms,
        "before_id": before_id,
        "name": wanted.name,
        "statuses": msgspec.json.encode(sorted(wanted.statuses)).decode(),
        "id_prefix": wanted.id_prefix,
        "limit": wanted.limit,
    }
    rows = connection.execute(QUERIES["list_instances"], values)
    return [Listed(instance_id, created_at_ms, _stored(row)) for instance_id, created_at_ms, *row in rows]


def raw_records(connection: sqlite3.Connection, shard: int, instance_id: str, *, limit: int) -> list[tuple[str, bytes]]:
    return connection.execute(QUERIES["raw_records"], (shard, instance_id, limit)).fetchall()
