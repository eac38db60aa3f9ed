"""Opening the file: connections with their pragmas, the layout record, migrations.

A newer layout is refused, an older one upgraded in one transaction, an empty file made by the same migrations.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tenuto_engine.ports.errors import DurabilityRefused, LayoutTooNew, ShardsDiffer, StoreRefused
from tenuto_engine.storage.sqlite.sql import read_migrations

# The value of `PRAGMA synchronous` that delivers each tier. FULL syncs the log in every commit, NORMAL only when the
# log is folded back, OFF never.
_SYNCHRONOUS = {"D0": "OFF", "D1": "NORMAL", "D2": "FULL"}

# How long one connection waits for another's write transaction: far above a commit on a slow disk, and below the
# time after which a lease of default length is lost.
BUSY_MS = 2_000


@dataclass(frozen=True, slots=True)
class Layout:
    """What the layout record must say of a file that this store may open."""

    shards: int
    app: str
    key_prefix: str


def synchronous_for(durability: str, path: str) -> str:
    """Return the pragma that delivers a tier.

    Raises:
        DurabilityRefused: a single file cannot deliver it.
    """
    if durability not in _SYNCHRONOUS:
        raise DurabilityRefused(
            f"durability {durability} was asked for, but {path} is one file on one machine and delivers D2 at most; "
            "set --durability D2, or choose a replicated store with --state-store"
        )
    return _SYNCHRONOUS[durability]


def connect(path: str, *, synchronous: str, busy_ms: int = 0, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection whose transactions are begun and ended by its user, from any one thread at a time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _stored_layout(connection: sqlite3.Connection, path: str) -> tuple[int, Layout] | None:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'layout'").fetchone()
    if found is None:
        return None
    row = connection.execute("SELECT version, shards, app, key_prefix FROM layout").fetchone()
    if row is None:
        raise StoreRefused(
            f"{path} has lost its layout record, which engines write first of all; restore a backup of it"
        )
    version, shards, app, key_prefix = row
    return version, Layout(shards, app, key_prefix)


def _statements(script: str) -> list[str]:
    # `executescript` would commit the transaction that must hold the whole upgrade together.
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def _refuse(path: str, version: int, stored: Layout, *, wanted: Layout, newest: int) -> None:
    if version > newest:
        raise LayoutTooNew(
            f"{path} has layout {version}, made by a newer release; this one reads layouts up to {newest}. "
            "Run the newer release, or another file"
        )
    if stored.shards != wanted.shards:
        raise ShardsDiffer(
            f"{path} was made with {stored.shards} shards and cannot be opened with {wanted.shards}; "
            f"set --shards {stored.shards}"
        )
    if (stored.app, stored.key_prefix) != (wanted.app, wanted.key_prefix):
        raise StoreRefused(
            f"{path} holds the state of app {stored.app!r} (key prefix {stored.key_prefix!r}), not of {wanted.app!r} "
            f"(key prefix {wanted.key_prefix!r}); give each a file of its own, or set "
            f"{differing((stored.app, stored.key_prefix), (wanted.app, wanted.key_prefix))}"
        )


def differing(stored: tuple[str, str], wanted: tuple[str, str]) -> str:
    """The options that lead to what is stored, for those of app and key prefix that differ."""
    options = zip(("--app", "--key-prefix"), stored, wanted, strict=True)
    return " ".join(f"{option} {there}" for option, there, asked in options if there != asked)


def prepare(
    connection: sqlite3.Connection,
    path: str,
    wanted: Layout,
    *,
    now_ms: int,
    migrations: Sequence[str] | None = None,
) -> None:
    """Make or upgrade the layout, or refuse the file; all in one transaction.

    Raises:
        LayoutTooNew, ShardsDiffer, StoreRefused: the file is not for this engine as configured.
        sqlite3.Error: the file cannot be read or written.
    """
    scripts = read_migrations() if migrations is None else migrations
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _stored_layout(connection, path)
        if found is not None:
            _refuse(path, *found, wanted=wanted, newest=len(scripts))
        version = 0 if found is None else found[0]
        for script in scripts[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        if found is None:
            connection.execute(
                "INSERT INTO layout (version, shards, app, key_prefix, created_at_ms) VALUES (?, ?, ?, ?, ?)",
                (len(scripts), wanted.shards, wanted.app, wanted.key_prefix, now_ms),
            )
        else:
            connection.execute("UPDATE layout SET version = ?", (len(scripts),))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def parent_of(path: str) -> Path:
    """Return the folder of the file, made if it is missing."""
    folder = Path(path).absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    return folder
