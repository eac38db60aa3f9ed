"""Where a database is and how every session on it is set, whatever the server's own defaults are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import msgspec
import psycopg
from psycopg import conninfo

from tenuto_engine.ports.errors import StoreRefused
from tenuto_engine.storage.postgres.sql import CODE_HASH

_NAME = re.compile(r"[a-z0-9.-]{1,120}")
# PostgreSQL cuts names at 63 bytes; the code's schema adds its hash to this one's name.
_LONGEST = 48

# How long a statement may wait for a lock, at most: locks are held for one group, so that waiting longer means a fault.
LOCK_MS = 2_000


class Target(msgspec.Struct, frozen=True):
    """One app's place in one database. `schema` holds its tables, `code` the functions of this release."""

    url: str
    app: str
    key_prefix: str
    schema: str
    code: str
    lock_ms: int


def target_of(url: str, *, app: str, key_prefix: str, lease_ms: int) -> Target:
    """Return where an app's state is in the database that a URL means.

    Args:
        lease_ms: the length of leases; no lock may be waited for, or held without its client, for half of it.

    Raises:
        StoreRefused: the URL is malformed.
    """
    for what, name in (("app", app), ("key prefix", key_prefix)):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{what} {name!r} is refused: it must match {_NAME.pattern}")
    try:
        conninfo.conninfo_to_dict(url)
    except psycopg.Error as error:
        # Behind the first quote stands a part of the URL, which may be the password; so it does in the cause.
        reason = str(error).partition('"')[0].strip(" :\n")
        raise StoreRefused(
            f"the state store's URL is none of PostgreSQL ({reason}); write postgresql://user:password@host:5432/database"
            " and escape '%', '/', '@', ':', '?' and '#' in user and password as %25, %2F, %40, %3A, %3F and %23"
        ) from None
    schema = f"{key_prefix}:{app}"
    if len(schema) > _LONGEST:
        schema = f"{schema[: _LONGEST - 13]}~{hashlib.sha256(schema.encode()).hexdigest()[:12]}"
    return Target(url, app, key_prefix, schema, f"{schema}:code-{CODE_HASH}", min(LOCK_MS, lease_ms // 4))


def connection_text(target: Target, *, timeout_s: float, sessions: str = "read-write") -> str:
    """Return what libpq is told: the URL, and what it leaves open.

    Among several hosts the one that takes writes is chosen, by `sessions`; where there is none, a standby is refused
    with a sentence instead of at a commit.
    """
    given = conninfo.conninfo_to_dict(target.url)
    defaults: Mapping[str, str | int] = {
        "application_name": f"tenuto {target.app}"[:63],
        "target_session_attrs": sessions,
        "connect_timeout": max(2, round(timeout_s)),
        "client_encoding": "UTF8",
        # A peer that is gone without a word is noticed by both sides.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": round(timeout_s * 2_000),
    }
    missing = {name: value for name, value in defaults.items() if name not in given}
    return conninfo.make_conninfo(target.url, **missing)


def reason_of(fault: psycopg.Error) -> str:
    """What libpq says of a connection, in one line, without the words that only repeat that there is none."""
    said = " ".join(str(fault).split())
    return said.removeprefix("connection failed: ").removeprefix("connection is bad: ")


def quoted(name: str) -> str:
    """Return a schema's name as an identifier; `target_of` admits no quotes in it."""
    return f'"{name}"'


def settings_of(target: Target) -> dict[str, str]:
    """Return the settings of every session."""
    return {
        "search_path": f"{quoted(target.schema)}, {quoted(target.code)}, pg_temp",
        # Each statement of a function must see what those wrote whom its locks waited for.
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "off",
        "lock_timeout": str(target.lock_ms),
        "idle_in_transaction_session_timeout": str(target.lock_ms),
        # A group that was given up by its engine must not go on holding locks.
        "statement_timeout": str(target.lock_ms * 8),
        # Everything is found by an index. Statistics of tables that fill and empty all the time only mislead.
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "jit": "off",
        "client_min_messages": "warning",
        "row_security": "off",
    }
