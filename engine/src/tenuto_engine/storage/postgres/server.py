"""What a PostgreSQL server must be before it is used: its identity, its durability.

Checked when the store is opened and on every new connection for writing, because the server behind an address may have
been restarted with other settings, failed over or replaced.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

import msgspec
import psycopg
from psycopg import AsyncConnection

from tenuto_engine.ports.errors import DurabilityRefused, StoreUnavailable

_SETTINGS: Sequence[str] = (
    "fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names", "wal_writer_delay",
)  # fmt: skip
# A commit that waits for nothing is on disk after three times this: within the second that D1 may lose.
_LONGEST_WAL_DELAY_MS = 333
# What a session may be told to wait for at a commit: all of them wait for the server's own disk.
_WAITS = ("on", "remote_apply", "remote_write", "local")
_OF_REPLICAS = ("on", "remote_apply")

_FACTS = b"""
SELECT current_setting('server_version'), pg_is_in_recovery(),
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
    current_setting('fsync', true), current_setting('full_page_writes', true),
    current_setting('synchronous_commit', true), current_setting('synchronous_standby_names', true),
    (extract(epoch FROM current_setting('wal_writer_delay', true)::interval) * 1000)::bigint::text
"""
_TIMELINE = b"SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
_SYSTEM = b"SELECT system_identifier::text FROM pg_control_system()"
_LIFE = b"INSERT INTO life (id) VALUES (%s) ON CONFLICT (one) DO NOTHING"


class Demand(msgspec.Struct, frozen=True):
    """What the engine was told to insist on. `may_hide`: go on although the server hides its settings."""

    shards: int
    durability: str
    may_hide: bool


class Server(msgspec.Struct, frozen=True):
    """One server as found. `identity` changes when it was restarted, promoted or replaced; `life` when it crashed.

    `synchronous_commit`: what a session must set to deliver the tier.
    """

    version: str
    identity: str
    synchronous_commit: str
    is_verified: bool


async def inspect(connection: AsyncConnection, demand: Demand) -> Server:
    """Identify the server and check that it delivers the durability asked for.

    Raises:
        DurabilityRefused: it does not, or hides it; the message names the setting.
        StoreUnavailable: it is a standby.
    """
    refuse_unknown_tier(demand.durability)
    row = await (await connection.execute(_FACTS)).fetchone()
    assert row is not None, "a query without FROM has one row"
    version, is_standby, started, *values = row
    if is_standby:
        raise StoreUnavailable("this PostgreSQL server is a standby and takes no writes; name the primary, or both")
    settings: dict[str, str | None] = dict(zip(_SETTINGS, values, strict=True))
    synchronous, is_verified = _check_durability(settings, demand)
    timeline = await _may_be_hidden(connection, _TIMELINE)
    system = await _may_be_hidden(connection, _SYSTEM)
    return Server(version, f"{system}/{timeline}/{started}", synchronous, is_verified)


async def name_life(connection: AsyncConnection) -> str:
    """Return the name of the server's life since its last crash: the table that holds it does not survive one."""
    await connection.execute(_LIFE, [secrets.token_hex(8)])
    row = await (await connection.execute(b"SELECT id FROM life")).fetchone()
    assert row is not None, "the row was inserted, or was there"
    return str(row[0])


def refuse_unknown_tier(durability: str) -> None:
    if durability not in {"D0", "D1", "D2", "D3"}:
        raise DurabilityRefused(f"durability {durability!r} is unknown; give D0, D1, D2 or D3")


async def _may_be_hidden(connection: AsyncConnection, query: bytes) -> str:
    try:
        row = await (await connection.execute(query)).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return "?"
    return "?" if row is None else str(row[0])


def _check_durability(settings: Mapping[str, str | None], demand: Demand) -> tuple[str, bool]:
    tier = demand.durability
    if tier == "D0":
        return "off", True
    hidden = [name for name, value in settings.items() if value is None]
    if hidden:
        if demand.may_hide:
            return ("off" if tier == "D1" else "on"), False
        raise DurabilityRefused(
            f"the server hides {hidden[0]}, so durability {tier} cannot be checked; "
            "let this role read it, or start with --durability-unverified"
        )
    for name in ("fsync", "full_page_writes"):
        if settings[name] != "on":
            raise DurabilityRefused(
                f"durability {tier} needs {name} = on, but it is {settings[name]}; "
                "set it, or start with --durability D0"
            )
    if tier == "D1":
        if int(settings["wal_writer_delay"] or 0) > _LONGEST_WAL_DELAY_MS:
            raise DurabilityRefused(
                f"durability D1 loses at most a second, but wal_writer_delay is {settings['wal_writer_delay']} ms, and"
                f" a crash can lose three times that; set it to {_LONGEST_WAL_DELAY_MS} ms or less, or start with"
                " --durability D2"
            )
        return "off", True
    present = settings["synchronous_commit"]
    if tier == "D3":
        if not settings["synchronous_standby_names"]:
            raise DurabilityRefused(
                "durability D3 needs a replica that confirms every commit, but synchronous_standby_names is empty; "
                "set it to the replicas that may be promoted, or start with --durability D2"
            )
        return (present if present in _OF_REPLICAS else "on") or "on", True
    return (present if present in _WAITS else "local") or "local", True
