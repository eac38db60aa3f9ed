"""The tables and the functions of one app: made, upgraded or refused.

Tables change by migrations, each applied once, under a lock that all engines of the app share. Functions are never
changed: every release has its own in a schema whose name ends in their hash, made by its first engine, so that engines
of two releases work side by side on the same tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import AsyncConnection

from tenuto_engine.ports.errors import LayoutTooNew, ShardsDiffer, StoreRefused
from tenuto_engine.storage.clock import system_ms
from tenuto_engine.storage.postgres.session import Target, quoted
from tenuto_engine.storage.postgres.sql import CODE, Migration, read_migrations
from tenuto_engine.storage.postgres.wire import TYPES

# Migrations and the making of functions wait for one another, and for transactions that use the tables.
_PATIENCE = b"SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = 0"
_SESSION_SETTINGS = b"SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s (name, value)"


async def apply_settings(connection: AsyncConnection, settings: dict[str, str]) -> None:
    """Set the session, whatever the defaults of server, database and role are."""
    await connection.execute(_SESSION_SETTINGS, [list(settings), list(settings.values())])


async def prepare(
    connection: AsyncConnection, target: Target, *, shards: int, migrations: Sequence[Migration] | None = None
) -> None:
    """Make or upgrade the tables and make this release's functions, or refuse the schema.

    Raises:
        LayoutTooNew, ShardsDiffer, StoreRefused: the schema is not for this engine as configured.
        psycopg.Error: the database cannot be read or written.
    """
    known = read_migrations() if migrations is None else migrations
    if await _is_ready(connection, target, shards, known):
        return
    try:
        async with connection.transaction():
            await _lock(connection, target)
            await _migrate(connection, target, shards=shards, known=known, phases=("pre",))
            await _make_code(connection, target)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreRefused(
            f"the role of --state-store may not make the schema {target.schema!r} ({error.diag.message_primary}); "
            "GRANT CREATE ON DATABASE to it"
        ) from error


async def finish_upgrade(
    connection: AsyncConnection, target: Target, *, migrations: Sequence[Migration] | None = None
) -> int:
    """Apply all migrations, also those that releases before this one cannot live with, and drop their functions.

    Returns:
        The layout reached.

    Raises:
        StoreRefused: no engine has used this schema.
    """
    known = read_migrations() if migrations is None else migrations
    async with connection.transaction():
        await _lock(connection, target)
        layout = await _stored_layout(connection, target)
        if layout is None:
            raise StoreRefused(f"schema {target.schema!r} has no tables yet; an engine makes them when it starts")
        await _migrate(connection, target, shards=layout[2], known=known, phases=("pre", "post"))
        await _make_code(connection, target)
        await _drop_other_code(connection, target)
    return known[-1].number


async def type_numbers(connection: AsyncConnection, target: Target) -> dict[str, int]:
    """Return the server's numbers of the functions' types, and of their arrays."""
    names = [name + suffix for name in TYPES for suffix in ("", "[]")]
    wanted = [f"{quoted(target.code)}.{name}" for name in names]
    cursor = await connection.execute(b"SELECT unnest(%s::text[])::regtype::oid::bigint", [wanted])
    return dict(zip(names, [int(row[0]) for row in await cursor.fetchall()], strict=True))


async def _lock(connection: AsyncConnection, target: Target) -> None:
    await connection.execute(_PATIENCE)
    await connection.execute(b"SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [target.schema])


async def _is_ready(connection: AsyncConnection, target: Target, shards: int, known: Sequence[Migration]) -> bool:
    layout = await _stored_layout(connection, target)
    if layout is None:
        return False
    _refuse(target, layout, shards=shards, known=known)
    has_code = await _exists(connection, b"SELECT to_regnamespace(%s) IS NOT NULL", quoted(target.code))
    return has_code and layout[0] >= known[-1].number


async def _exists(connection: AsyncConnection, query: bytes, name: str) -> bool:
    row = await (await connection.execute(query, [name])).fetchone()
    return row is not None and bool(row[0])


async def _stored_layout(connection: AsyncConnection, target: Target) -> tuple[int, int, int, str, str] | None:
    table = f"{quoted(target.schema)}.layout"
    if not await _exists(connection, b"SELECT to_regclass(%s) IS NOT NULL", table):
        return None
    query = f"SELECT version, needs, shards, app, key_prefix FROM {table}".encode()
    row = await (await connection.execute(query)).fetchone()
    if row is None:
        raise StoreRefused(f"{table} has no row: the schema is not one of ours; use another key prefix")
    version, needs, shards, app, key_prefix = row
    return int(version), int(needs), int(shards), str(app), str(key_prefix)


def _refuse(target: Target, layout: tuple[int, int, int, str, str], *, shards: int, known: Sequence[Migration]) -> None:
    version, needs, stored_shards, app, key_prefix = layout
    if needs > known[-1].number:
        raise LayoutTooNew(
            f"schema {target.schema!r} has layout {version} and needs a release that knows layout {needs}; "
            f"this one knows layouts up to {known[-1].number}. Upgrade this engine"
        )
    if stored_shards != shards:
        raise ShardsDiffer(
            f"schema {target.schema!r} was made with {stored_shards} shards and cannot be opened with {shards}; "
            f"set --shards {stored_shards}"
        )
    if (app, key_prefix) != (target.app, target.key_prefix):
        raise StoreRefused(
            f"schema {target.schema!r} holds the state of app {app!r} (key prefix {key_prefix!r}), not of "
            f"{target.app!r} (key prefix {target.key_prefix!r}); choose another --key-prefix"
        )


async def _migrate(
    connection: AsyncConnection, target: Target, *, shards: int, known: Sequence[Migration], phases: Sequence[str]
) -> None:
    if not await _exists(connection, b"SELECT to_regnamespace(%s) IS NOT NULL", quoted(target.schema)):
        await connection.execute(f"CREATE SCHEMA {quoted(target.schema)}".encode())
    layout = await _stored_layout(connection, target)
    if layout is not None:
        _refuse(target, layout, shards=shards, known=known)
    version, needs = (0, 0) if layout is None else layout[:2]
    for migration in known[version:]:
        # An empty schema has no engine of an older release, so nothing need wait for its end.
        if layout is not None and migration.phase not in phases:
            _refuse_behind(target, migration, known)
            break
        await connection.execute(migration.script.encode())
        version = migration.number
        needs = version if migration.phase == "post" or layout is None else needs
    if layout is None:
        values = [version, needs, shards, target.app, target.key_prefix, system_ms()]
        await connection.execute(
            b"INSERT INTO layout (version, needs, shards, app, key_prefix, created_at_ms)"
            b" VALUES (%s, %s, %s, %s, %s, %s)",
            values,
        )
    else:
        await connection.execute(b"UPDATE layout SET version = %s, needs = %s", [version, needs])


def _refuse_behind(target: Target, pending: Migration, known: Sequence[Migration]) -> None:
    """A release whose own *pre* migration stands behind an unfinished upgrade cannot start."""
    if any(later.phase == "pre" for later in known[pending.number :]):
        raise StoreRefused(
            f"schema {target.schema!r} has not finished its last upgrade (migration {pending.number}); end the engines "
            "of the old release, then run `python -m tenuto_engine.storage.postgres`"
        )


async def _make_code(connection: AsyncConnection, target: Target) -> None:
    if await _exists(connection, b"SELECT to_regnamespace(%s) IS NOT NULL", quoted(target.code)):
        return
    for part in CODE:
        await connection.execute(part.replace("%code%", quoted(target.code)).encode())


async def _drop_other_code(connection: AsyncConnection, target: Target) -> None:
    cursor = await connection.execute(
        b"SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s) AND nspname <> %s",
        [f"{target.schema}:code-", target.code],
    )
    for (name,) in await cursor.fetchall():
        await connection.execute(f"DROP SCHEMA {quoted(name)} CASCADE".encode())
