"""What a store holds, read beside or instead of an engine: the record at a crash, and what is left over."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psycopg
import redis

from tenuto_engine.codec.events import decode_event
from tenuto_engine.codec.records import decode_inbox, decode_metadata
from tenuto_engine.core.events import ActivityCompleted, ActivityFailed, Event
from tenuto_engine.ports.records import InstanceFilter
from tenuto_engine.storage.urls import default_durability, open_stores

SHARDS = 4
APP = "default"
PREFIX = "tenuto"
_ALL = 1_000_000
# What stays when every instance is gone: counters, leases, members, and ids of the de-duplication window.
_LASTING = ("layout", "members", "lease:", "seen", "outbox-last", "received", "index:open")


@dataclass
class Recorded:
    """One instance as a store holds it."""

    instance_id: str
    execution_id: str
    generation: int
    history: list[bytes]
    inbox: list[Event] = field(default_factory=list[Event])

    @property
    def closed_calls(self) -> set[int]:
        """The activity calls whose result is recorded or waits in the inbox."""
        events = [*map(decode_event, self.history), *self.inbox]
        return {e.event_id for e in events if isinstance(e, ActivityCompleted | ActivityFailed)}


async def read_all(url: str) -> dict[str, Recorded]:
    """Every instance of a store that no engine has open, by id."""
    store, leases, *_ = open_stores(url, app=APP, key_prefix=PREFIX)
    found: dict[str, Recorded] = {}
    try:
        await store.open(shards=SHARDS, durability=default_durability(url))
        for shard in range(SHARDS):
            for listed in await store.list_instances(shard, InstanceFilter(limit=_ALL)):
                head, name = listed.stored.head, listed.instance_id
                history = await store.read_history(shard, name, first=0, count=head.history_length, max_bytes=1 << 30)
                inbox = await store.read_inbox(shard, name, first=0, end=listed.stored.inbox_next, limit=_ALL)
                found[name] = Recorded(
                    name,
                    head.execution_id,
                    decode_metadata(listed.stored.metadata).generation,
                    list(history),
                    [decode_event(decode_inbox(record.body).event) for record in inbox],
                )
    finally:
        leases.close()
        await store.close()
    return found


def left_over(url: str, *, purged: bool) -> list[str]:
    """Names of what should be gone once every instance has ended; with `purged`, once every instance is erased."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return _left_in_file(parts.path[1:], purged=purged)
    if parts.scheme == "postgresql":
        return _left_in_schema(url, purged=purged)
    with redis.Redis.from_url(url) as client:
        return _left_in_redis(client, purged=purged)


def _questions(*, purged: bool, ready: str) -> dict[str, str]:
    questions = {
        "activity": "SELECT instance || ' ' || event_id FROM activities",
        "reminder": f"SELECT kind || ' ' || instance FROM reminders WHERE kind <> 'retention' OR {purged:d} = 1",
        "outbox": "SELECT number FROM outbox",
        "ready": ready,
    }
    if purged:
        questions["instance"] = "SELECT instance FROM instances"
        questions["record"] = "SELECT name FROM records"
    return questions


def _left_in_schema(url: str, *, purged: bool) -> list[str]:
    questions = _questions(purged=purged, ready="SELECT instance FROM ready")
    with psycopg.connect(url) as connection:
        connection.execute(f'SET search_path = "{PREFIX}:{APP}"'.encode())
        return [f"{what} {row[0]}" for what, text in questions.items() for row in connection.execute(text.encode())]


def _left_in_file(path: str, *, purged: bool) -> list[str]:
    questions = _questions(purged=purged, ready="SELECT instance FROM instances WHERE ready_at_ms IS NOT NULL")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [f"{what} {row[0]}" for what, text in questions.items() for row in connection.execute(text)]


def _left_in_redis(client: redis.Redis, *, purged: bool) -> list[str]:
    left: list[str] = []
    for key in client.scan_iter(f"{PREFIX}:*", count=1000):
        name = key.decode().partition("}:")[2]
        if name.startswith(_LASTING):
            continue
        if purged or name.startswith(("activities", "outbox", "ready")):
            left.append(name)
        elif name.startswith("reminders"):
            left += [f"{name} {member!r}" for member in client.zrange(key, 0, -1) if "retention" not in repr(member)]
    return left
