"""Which PostgreSQL servers and schemas are accepted: durability, layout, shard count; checked on every connection."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import psycopg
import pytest
from msgspec.structs import replace

from contract.backends import APP, PostgresBackend
from contract.worlds import FAR_MS, SHARDS, message, new_instance
from servers import PostgresServer
from tenuto_engine.ports.errors import DurabilityRefused, LayoutTooNew, ShardsDiffer, StoreRefused, StoreUnavailable
from tenuto_engine.ports.leases import Lease
from tenuto_engine.ports.operations import Append, Create
from tenuto_engine.ports.outcomes import Appended, Created, Rejected
from tenuto_engine.ports.store import StoreInfo
from tenuto_engine.storage.postgres import PostgresLeaseStore, PostgresStore, layout
from tenuto_engine.storage.postgres.session import Target, quoted, settings_of, target_of
from tenuto_engine.storage.postgres.sql import Migration, read_migrations

NewPostgres = Callable[..., PostgresServer]


def prefix() -> str:
    """A key prefix of its own: an empty schema."""
    return f"t-{uuid4().hex}"


@asynccontextmanager
async def closing(
    url: str, *, app: str = APP, key_prefix: str = "tenuto", may_hide: bool = False
) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url, app=app, key_prefix=key_prefix, durability_unverified=may_hide)
    try:
        yield store
    finally:
        await store.close()


async def opened(url: str, *, shards: int = SHARDS, durability: str = "D2", key_prefix: str = "tenuto") -> StoreInfo:
    """Open a store, close it, answer what it said."""
    async with closing(url, key_prefix=key_prefix) as store:
        return await store.open(shards=shards, durability=durability)


# -- durability ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "durability", "named"),
    [
        ({"fsync": "off"}, "D1", "fsync"),
        ({"fsync": "off"}, "D2", "fsync"),
        ({"full_page_writes": "off"}, "D2", "full_page_writes"),
        ({"fsync": "off"}, "D3", "fsync"),
        ({"wal_writer_delay": "2s"}, "D1", "wal_writer_delay is 2000 ms"),
        ({}, "D3", "synchronous_standby_names"),
        ({}, "D9", "D9"),
    ],
)
async def test_a_server_that_does_not_deliver_the_tier_is_refused_by_name(
    new_postgres: NewPostgres, settings: dict[str, str], durability: str, named: str
) -> None:
    """The refusal names the setting to change; nothing was made."""
    server = new_postgres(**settings)
    with pytest.raises(DurabilityRefused, match=named):
        await opened(server.url, durability=durability)
    with server.client() as client:
        assert client.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tenuto%'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("durability", "server_wide", "expected"),
    [
        ("D0", "on", "off"),
        ("D1", "on", "off"),
        ("D2", "on", "on"),
        ("D2", "off", "local"),
        ("D2", "remote_apply", "remote_apply"),
    ],
)
async def test_a_session_waits_for_what_the_tier_needs(
    new_postgres: NewPostgres, durability: str, server_wide: str, expected: str
) -> None:
    """The server's default is raised or lowered for this engine's sessions alone; leases always wait for the disk."""
    server = new_postgres(synchronous_commit=server_wide)
    async with closing(server.url) as store:
        assert (await store.open(shards=SHARDS, durability=durability)).verified
        connection = store._writers[0]._connection
        assert connection is not None
        cursor = await connection.execute("SHOW synchronous_commit")
        assert await cursor.fetchone() == (expected,)
    leases = PostgresLeaseStore(server.url, app=APP, key_prefix="tenuto")
    assert leases.members() == []
    assert leases._connection is not None
    (waits,) = leases._connection.execute("SHOW synchronous_commit").fetchone() or ("",)
    assert waits != "off"
    leases.close()


async def test_settings_are_checked_again_on_every_connection(new_postgres: NewPostgres) -> None:
    """A server that comes back without fsync is not written to, and says why, until it is put right."""
    server = new_postgres()
    async with closing(server.url) as store:
        await store.open(shards=SHARDS, durability="D2")
        assert await store.execute([Create(0, new_instance())]) == [Created(ready=False)]
        server.stop()
        server.settings["fsync"] = "off"
        await asyncio.to_thread(server.start)
        await store.execute([Append(0, "order-1", message())])  # may be the one that sees the connection gone
        (outcome,) = await store.execute([Append(0, "order-1", message())])
        assert isinstance(outcome, Rejected)
        assert "fsync" in outcome.error
        server.stop()
        server.settings["fsync"] = "on"
        await asyncio.to_thread(server.start)
        assert await store.execute([Append(0, "order-1", message())]) == [Appended(0)]


# -- who may use a schema -----------------------------------------------------------------------------------------


async def test_a_wrong_database_and_a_missing_server_are_unavailable_not_refused(
    postgres_server: PostgresServer,
) -> None:
    """Both may be put right without a change to the engine, so the engine may try again."""
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await opened(postgres_server.url_of("nowhere"))
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await opened("postgresql://tenuto@/postgres?host=/nowhere")


def test_a_malformed_url_is_refused_without_its_password() -> None:
    """What libpq cannot read is refused when the stores are made."""
    with pytest.raises(StoreRefused, match="postgresql://") as refusal:
        PostgresStore("postgresql://me:secret@host/db?what=1", app=APP, key_prefix="tenuto")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(("app", "key_prefix"), [("Shop", "tenuto"), ("shop", 'a"b'), ("", "tenuto")])
def test_a_name_that_would_break_the_schema_is_refused(app: str, key_prefix: str) -> None:
    """App and key prefix go into the schema's name as they are."""
    with pytest.raises(ValueError, match="refused"):
        PostgresStore("postgresql://host/db", app=app, key_prefix=key_prefix)


async def test_apps_with_long_and_similar_names_share_a_database(postgres_server: PostgresServer) -> None:
    """A name longer than the server's names hold is cut, and told apart by its hash."""
    names = ["a" * 119 + end for end in "xy"]
    key_prefix = prefix()
    for name in names:
        async with closing(postgres_server.url, app=name, key_prefix=key_prefix) as store:
            await store.open(shards=SHARDS, durability="D2")
            assert await store.read_instance(0, "order-1") is None
            assert await store.execute([Create(0, new_instance())]) == [Created(ready=False)]


async def test_a_role_that_may_not_make_a_schema_is_told_what_it_lacks(postgres_server: PostgresServer) -> None:
    """The refusal names the privilege; with it, the engine starts."""
    role = f"poor_{uuid4().hex}"
    url = postgres_server.url.replace("tenuto@", f"{role}@")
    with postgres_server.client() as client:
        client.execute(f"CREATE ROLE {role} LOGIN".encode())
        with pytest.raises(StoreRefused, match="GRANT CREATE ON DATABASE"):
            await opened(url, key_prefix=prefix())
        client.execute(f"GRANT CREATE ON DATABASE postgres TO {role}".encode())
        await opened(url, key_prefix=prefix())


async def test_the_layout_is_compared_ever_after(postgres_server: PostgresServer) -> None:
    """Another shard count, a schema that needs a newer release, and another app's schema are refused."""
    key_prefix = prefix()
    url = postgres_server.url
    await opened(url, shards=8, key_prefix=key_prefix)
    await opened(url, shards=8, key_prefix=key_prefix)
    with pytest.raises(ShardsDiffer, match="--shards 8"):
        await opened(url, shards=16, key_prefix=key_prefix)
    with postgres_server.client() as client:
        client.execute(f'SET search_path = "{key_prefix}:{APP}"'.encode())
        # A newer release has begun its upgrade: what it did first leaves this one alone.
        client.execute("UPDATE layout SET version = 99")
        await opened(url, shards=8, key_prefix=key_prefix)
        client.execute("UPDATE layout SET needs = 99")
        with pytest.raises(LayoutTooNew, match="99"):
            await opened(url, shards=8, key_prefix=key_prefix)
        client.execute("UPDATE layout SET needs = 1, version = 1, app = 'another'")
        with pytest.raises(StoreRefused, match="another"):
            await opened(url, shards=8, key_prefix=key_prefix)
        client.execute("DELETE FROM layout")
        with pytest.raises(StoreRefused, match="not one of ours"):
            await opened(url, shards=8, key_prefix=key_prefix)


async def test_engines_that_start_together_make_one_schema(postgres_server: PostgresServer) -> None:
    """The first makes it, the others wait and find it."""
    key_prefix = prefix()
    infos = await asyncio.gather(*(opened(postgres_server.url, key_prefix=key_prefix) for _ in range(5)))
    assert len(infos) == 5


async def test_an_unopened_or_closed_store_executes_nothing(postgres_server: PostgresServer) -> None:
    """Without open nothing was checked; after close nothing opens a connection that nobody would close."""
    async with closing(postgres_server.url, key_prefix=prefix()) as store:
        assert store.incarnation() == ""
        (outcome,) = await store.execute([Create(0, new_instance())])
        assert isinstance(outcome, Rejected)
        await store.open(shards=SHARDS, durability="D2")
        await store.close()
        assert await store.execute([Create(0, new_instance())]) == [Rejected("the store is closed")]
        with pytest.raises(StoreUnavailable):
            await store.read_instance(0, "order-1")
        assert await store.execute([]) == []


# -- migrations ---------------------------------------------------------------------------------------------------

_DESCRIPTION = """
SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name FROM information_schema.columns
WHERE table_schema = %(schema)s UNION ALL
SELECT tablename, indexname, replace(indexdef, %(schema)s, ''), '', '', '' FROM pg_indexes
WHERE schemaname = %(schema)s UNION ALL
SELECT relname, relpersistence::text, array_to_string(reloptions, ' '), '', '', '' FROM pg_class
WHERE relnamespace = %(schema)s::regnamespace AND relkind = 'r'
ORDER BY 1, 2, 3
"""


def described(client: psycopg.Connection, target: Target) -> list[tuple[object, ...]]:
    """Every column, index and table option of a schema."""
    rows = client.execute(_DESCRIPTION.replace("%(schema)s::", "%(quoted)s::"), _names(target)).fetchall()
    assert rows
    return rows


def _names(target: Target) -> dict[str, str]:
    return {"schema": target.schema, "quoted": quoted(target.schema)}


def target_for(server: PostgresServer) -> Target:
    return target_of(server.url, app=APP, key_prefix=prefix(), lease_ms=10_000)


async def migrate(server: PostgresServer, target: Target, known: list[Migration], *, finish: bool = False) -> None:
    """Open a schema as a release would that knows these migrations."""
    async with await psycopg.AsyncConnection.connect(server.url, autocommit=True) as connection:
        await layout.apply_settings(connection, settings_of(target))
        await layout.prepare(connection, target, shards=SHARDS, migrations=known)
        if finish:
            await layout.finish_upgrade(connection, target, migrations=known)


@pytest.mark.parametrize("released", range(1, len(read_migrations()) + 1))
async def test_every_released_schema_becomes_the_present_one(postgres_server: PostgresServer, released: int) -> None:
    """The schema is the sum of its migrations, from whichever release it comes, and its data stay."""
    known = read_migrations()
    fresh, old = target_for(postgres_server), target_for(postgres_server)
    await migrate(postgres_server, fresh, known, finish=True)
    await migrate(postgres_server, old, known[:released])
    await migrate(postgres_server, old, known, finish=True)
    with postgres_server.client() as client:
        assert described(client, old) == described(client, fresh)
    async with closing(postgres_server.url, key_prefix=old.key_prefix) as store:
        await store.open(shards=SHARDS, durability="D2")
        assert await store.execute([Create(0, new_instance())]) == [Created(ready=False)]


def _later(known: list[Migration], *phases: str) -> list[Migration]:
    made = [
        Migration(number, phase, f"ALTER TABLE instances ADD COLUMN extra_{number} bigint")
        for number, phase in enumerate(phases, len(known) + 1)
    ]
    return [*known, *made]


async def test_pre_migrations_come_with_the_first_engine_and_post_ones_when_told(
    postgres_server: PostgresServer,
) -> None:
    """Between the two, engines of both releases open the schema; afterwards the old one is refused by name."""
    target, known = target_for(postgres_server), read_migrations()
    newer = _later(known, "pre", "post")
    await migrate(postgres_server, target, known)
    await migrate(postgres_server, target, newer)
    columns = "SELECT count(*) FROM information_schema.columns WHERE table_schema = %s AND column_name LIKE 'extra%%'"
    with postgres_server.client() as client:
        assert client.execute(columns, [target.schema]).fetchone() == (1,)
        await opened(postgres_server.url, key_prefix=target.key_prefix)
        await migrate(postgres_server, target, newer, finish=True)
        assert client.execute(columns, [target.schema]).fetchone() == (2,)
    with pytest.raises(LayoutTooNew):
        await opened(postgres_server.url, key_prefix=target.key_prefix)


async def test_an_unfinished_upgrade_stops_the_next_release(postgres_server: PostgresServer) -> None:
    """Its own first step would come before the last one of the release before."""
    target, known = target_for(postgres_server), read_migrations()
    await migrate(postgres_server, target, known)
    with pytest.raises(StoreRefused, match="not finished its last upgrade"):
        await migrate(postgres_server, target, _later(known, "post", "pre"))


async def test_a_migration_that_fails_leaves_nothing(postgres_server: PostgresServer) -> None:
    """All of an upgrade is one transaction."""
    target, known = target_for(postgres_server), read_migrations()
    await migrate(postgres_server, target, known)
    broken = [*_later(known, "pre"), Migration(len(known) + 2, "pre", "SELECT 1/0")]
    with suppress(psycopg.errors.DivisionByZero):
        await migrate(postgres_server, target, broken)
    with postgres_server.client() as client:
        columns = (
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = %s AND column_name LIKE 'extra%%'"
        )
        assert client.execute(columns, [target.schema]).fetchone() == (0,)
    await opened(postgres_server.url, key_prefix=target.key_prefix)


async def test_functions_of_two_releases_work_side_by_side(postgres_server: PostgresServer) -> None:
    """Each has its own; finishing an upgrade drops the others', and nothing else."""
    target = target_for(postgres_server)
    await opened(postgres_server.url, key_prefix=target.key_prefix)
    other = replace(target, code=f"{target.schema}:code-00000000")
    await migrate(postgres_server, other, read_migrations())
    schemas = "SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, %s)"
    with postgres_server.client() as client:
        assert client.execute(schemas, [target.schema]).fetchone() == (3,)
        command = [sys.executable, "-m", "tenuto_engine.storage.postgres", "--state-store", postgres_server.url]
        command += ["--app", APP, "--key-prefix", target.key_prefix]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        assert "layout" in done.stdout
        assert client.execute(schemas, [target.schema]).fetchone() == (2,)
    await opened(postgres_server.url, key_prefix=target.key_prefix)


async def test_finishing_an_upgrade_needs_a_schema(postgres_server: PostgresServer) -> None:
    """Where no engine ever was, the command says so."""
    command = [sys.executable, "-m", "tenuto_engine.storage.postgres", "--state-store", postgres_server.url]
    done = await asyncio.to_thread(
        subprocess.run, [*command, "--key-prefix", prefix()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no tables yet" in done.stderr


def test_migrations_are_named_and_numbered() -> None:
    """Each says its phase, and the first makes the schema."""
    migrations = read_migrations()
    assert {each.phase for each in migrations} <= {"pre", "post"}
    assert migrations[0].phase == "pre"


async def test_epochs_outlive_a_crash_at_every_tier(new_postgres: NewPostgres) -> None:
    """A grant that was answered is on the disk, also where commits are not."""
    server = new_postgres()
    backend = PostgresBackend(server.url)
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability="D1")
    for epoch in range(1, 4):
        (lease,) = leases.acquire([0], version="", owner="me", lease_ms=FAR_MS)
        assert isinstance(lease, Lease)
        assert lease.epoch == epoch
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    leases.close()
    await store.close()
