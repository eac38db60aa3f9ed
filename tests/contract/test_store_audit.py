"""A store opened to look at: it shows everything, changes nothing, and needs no engine to step aside."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from contract.backends import APP, KEY_PREFIX, PostgresBackend, RedisBackend, SqliteBackend
from contract.dumps import audit_of
from contract.worlds import FAR_MS, SHARDS, World, open_call, timer
from servers import PostgresServer, RedisServer
from tenuto_engine.core.status import Status
from tenuto_engine.ports.audit import Defect
from tenuto_engine.ports.errors import LayoutTooNew, StoreRefused, UnreadableRecord
from tenuto_engine.ports.operations import DropReminder
from tenuto_engine.ports.outcomes import Done
from tenuto_engine.ports.records import OutboxSend, ReminderSet
from tenuto_engine.storage.redis import audit_redis
from tenuto_engine.storage.redis.audit import _KNOWN
from tenuto_engine.storage.redis.keys import ShardKeys
from tenuto_engine.storage.sqlite import SqliteAudit
from tenuto_engine.storage.urls import open_audit


async def test_an_audit_shows_every_record(world: World) -> None:
    """Head, history, inbox, status, entries, lease, outbox, ids and visibility are there, while a store is open."""
    await world.create(start_id="s1")
    await world.append("hello", remember=True)
    due = await world.store.now_ms() + FAR_MS
    await world.commit(
        history=[b"h0", b"h1"],
        custom_status=b"busy",
        activities_set=[open_call(1)],
        reminders_set=[ReminderSet(timer(2), due)],
        outbox=[OutboxSend(1, b"sent")],
    )
    audit = audit_of(world.store)
    assert (await audit.open()).shards == SHARDS
    shard = await audit.audit_shard(0)
    entries = shard.versions[""]
    assert list(shard.instances) == ["order-1"]
    assert [key for key, _ in entries.reminders] == [timer(2)]
    assert [record.key for record in entries.activities] == [open_call(1).key]
    assert [instance_id for instance_id, _ in entries.ready] == ["order-1"]
    assert entries.lease is not None
    assert (entries.lease.owner, entries.lease.epoch, bool(entries.lease.token)) == ("me", 1, True)
    assert [(sent.target_shard, sent.body, sent.number) for sent in shard.outbox] == [(1, b"sent", shard.outbox_last)]
    assert [command_id for command_id, _ in shard.seen] == ["hello"]
    assert [entry.index for entry in shard.visible] == ["all", "name:ship", f"status:{Status.RUNNING:d}"]
    assert shard.open_counts in (None, {"": 1})
    instance = await audit.audit_instance(0, "order-1")
    assert instance is not None
    names = [name for name, _ in instance.records]
    assert names == ["customStatus", "history-000000", "history-000001", "inbox-000000"]
    assert instance.stored == await world.stored()
    assert (list(shard.defects), list(instance.defects), await audit.strays()) == ([], [], [])
    assert await audit.audit_instance(0, "order-2") is None
    if isinstance(audit, SqliteAudit):
        await audit.close()
    # The store goes on as if nobody had looked.
    assert await world.do(DropReminder(0, world.token(), "", timer(2))) == Done()


# -- SQLite -------------------------------------------------------------------------------------------------------


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Looking at a missing or foreign file says so, and leaves the folder as it was."""
    url = f"sqlite:///{tmp_path}/none.db"
    with pytest.raises(StoreRefused, match="check --state-store"):
        await open_audit(url, app=APP, key_prefix=KEY_PREFIX).open()
    assert not await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    sqlite3.connect(tmp_path / "other.db").close()
    with pytest.raises(StoreRefused, match=r"other\.db"):
        await SqliteAudit(str(tmp_path / "other.db"), app=APP, key_prefix=KEY_PREFIX).open()


async def test_another_apps_or_a_newer_file_is_refused(tmp_path: Path) -> None:
    """The layout record is compared before anything is believed."""
    backend = SqliteBackend(tmp_path)
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability="D2")
    await store.close()
    leases.close()
    with pytest.raises(StoreRefused, match="give --app"):
        await SqliteAudit(backend.path, app="another", key_prefix=KEY_PREFIX).open()
    with pytest.raises(StoreRefused, match=r"give --key-prefix \S+$"):
        await SqliteAudit(backend.path, app=APP, key_prefix="another").open()
    with sqlite3.connect(backend.path) as connection:
        connection.execute("UPDATE layout SET version = 99")
    connection.close()
    with pytest.raises(LayoutTooNew, match="layout 99"):
        await SqliteAudit(backend.path, app=APP, key_prefix=KEY_PREFIX).open()


async def test_rows_that_belong_to_nothing_are_shown(tmp_path: Path) -> None:
    """Records without an instance, and rows of shards that there are not, are strays."""
    backend = SqliteBackend(tmp_path)
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability="D2")
    await store.close()
    leases.close()
    with sqlite3.connect(backend.path) as connection:
        connection.execute("INSERT INTO records VALUES (77, 'metadata', x'00')")
        connection.execute("INSERT INTO outbox VALUES (9, 1, 0, x'00')")
    connection.close()
    audit = SqliteAudit(backend.path, app=APP, key_prefix=KEY_PREFIX)
    await audit.open()
    assert await audit.strays() == [
        Defect("outbox of shard 9", "the store has 4 shards"),
        Defect("record metadata of row 77", "belongs to no instance"),
    ]
    await audit.close()


# -- Redis --------------------------------------------------------------------------------------------------------


def test_every_key_of_a_shard_is_known_to_the_audit() -> None:
    """A kind of key that an audit did not know would be shown as a stray in every healthy store."""
    keys = ShardKeys("base:")
    names = [getattr(keys, name) for name in ShardKeys.__slots__ if name != "base"]
    methods = {name for name in vars(ShardKeys) if not name.startswith("_")} - set(ShardKeys.__slots__)
    made = [getattr(keys, name) for name in sorted(methods)]
    names += [make(Status.RUNNING) if make.__name__ == "status" else make("v1") for make in made]
    assert [name for name in names if not _KNOWN.fullmatch(name.removeprefix("base:"))] == []


async def test_keys_that_belong_to_nothing_are_shown(redis_server: RedisServer) -> None:
    """Unknown names, shards that there are not, half of a call and a record that is none are all told."""
    backend = RedisBackend(redis_server.url)
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability="D1")
    base = f"{backend.key_prefix}:{{{APP}/0}}:"
    with redis_server.client() as client:
        client.set(f"{base}surprise", "x")
        client.set(f"{backend.key_prefix}:{{{APP}/9}}:outbox-last", "1")
        client.zadd(f"{base}activities-look:", {"1 e1 order-1": 5})
        client.zadd(f"{base}reminders:", {"nonsense": 5})
        client.hset(f"{base}instance:order-1", "history-000000", "x")
        client.hset(f"{base}instance:order-2", mapping={"metadata": "x", "inbox": "0 0", "index": "1 ship"})
    audit = audit_redis(backend.url, app=APP, key_prefix=backend.key_prefix)
    await audit.open()
    assert [each.where for each in await audit.strays()] == [f"{backend.key_prefix}:{{{APP}/9}}:outbox-last"]
    shard = await audit.audit_shard(0)
    assert [each.where.removeprefix(base) for each in shard.defects] == ["activities-look:", "reminders:", "surprise"]
    for name in ("order-1", "order-2"):
        with pytest.raises(UnreadableRecord):
            await audit.audit_instance(0, name)
    await audit.close()
    await store.close()
    leases.close()


async def test_a_redis_without_the_app_is_refused_and_stays_empty(redis_server: RedisServer) -> None:
    """Looking at a store that was never opened says so, and writes no layout record."""
    backend = RedisBackend(redis_server.url)
    audit = audit_redis(backend.url, app=APP, key_prefix=backend.key_prefix)
    with pytest.raises(StoreRefused, match="there is no store"):
        await audit.open()
    await audit.close()
    with redis_server.client() as client:
        assert client.keys(f"{backend.key_prefix}*") == []
        client.set(f"{backend.key_prefix}:{{{APP}/0}}:outbox-last", "1")
    audit = audit_redis(backend.url, app=APP, key_prefix=backend.key_prefix)
    with pytest.raises(StoreRefused, match="is lost, but keys of its shards are there"):
        await audit.open()
    await audit.close()


# -- PostgreSQL ---------------------------------------------------------------------------------------------------


async def test_rows_of_a_schema_that_belong_to_nothing_are_shown(postgres_server: PostgresServer) -> None:
    """Records and marks without an instance, and rows of shards that there are not, are told; a missing store too."""
    backend = PostgresBackend(postgres_server.url)
    audit = open_audit(backend.url, app=APP, key_prefix=backend.key_prefix)
    with pytest.raises(StoreRefused, match="there is no store"):
        await audit.open()
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability="D2")
    await store.close()
    leases.close()
    with postgres_server.client() as client:
        client.execute(f'SET search_path = "{backend.key_prefix}:{APP}"'.encode())
        client.execute("INSERT INTO records VALUES (77, 'metadata', '')")
        client.execute("INSERT INTO outbox VALUES (9, 1, 0, '')")
        client.execute("INSERT INTO ready VALUES (1, '', 'nobody', 5)")
        assert (await audit.open()).shards == SHARDS
        assert await audit.strays() == [
            Defect("outbox of shard 9", "the store has 4 shards"),
            Defect("record metadata of row 77", "belongs to no instance"),
        ]
        shard = await audit.audit_shard(1)
        assert [each.where for each in shard.defects] == ["ready:"]
        client.execute("UPDATE layout SET needs = 99")
        with pytest.raises(LayoutTooNew, match="verify it with"):
            await audit.open()
    await audit.close()
