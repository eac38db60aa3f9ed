"""Which driver a state-store URL means: `memory:`, `sqlite:///path`, `postgresql://…/database`, `redis://…/database`.

A driver is imported when its URL is used, so that no engine needs the libraries of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tenuto_engine.ports.audit import AuditedStore
from tenuto_engine.ports.errors import StoreRefused
from tenuto_engine.ports.leases import LeaseStore
from tenuto_engine.ports.notifier import Notifier, SilentNotifier
from tenuto_engine.ports.store import Store


class Stores(NamedTuple):
    """What a URL means: the state, who owns which part of it, and news of it between engines.

    `more_leases` makes further lease stores on the same leases, each with a connection of its own.
    """

    store: Store
    leases: LeaseStore
    notifier: Notifier
    more_leases: Callable[[], LeaseStore]


_DEFAULT_DURABILITY = {
    "memory": "D0",
    "sqlite": "D2",
    "postgresql": "D2",
    "postgres": "D2",
    "redis": "D1",
}
# The further forms of a Redis URL: with TLS, on a socket, under Sentinel, of a cluster.
_REDIS = ("rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_AUDITED = "sqlite:///path, postgresql://host:port/database or redis://host:port/database"
_FORMS = f"memory:, {_AUDITED}"


def _scheme_of(url: str, *, forms: str = _FORMS) -> str:
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        # What the library says of brackets that name no host may be a part of the password.
        raise StoreRefused(
            "the host in the state store's URL cannot be read; write IPv6 as [::1]:6379, and escape '[' and ']' in user"
            " and password as %5B and %5D"
        ) from None
    if scheme in _REDIS:
        return "redis"
    if scheme not in _DEFAULT_DURABILITY:
        wrong = f"has an unknown kind {scheme!r}" if scheme else "is no URL: it must begin with a scheme"
        raise StoreRefused(f"state store {_without_secrets(url)!r} {wrong}; write {forms}")
    return scheme


def _without_secrets(url: str) -> str:
    """Return what may be shown of a URL: nothing before the host, where a password stands, and no query."""
    if "@" in url.partition("?")[2]:
        return "…"  # in the query, or in a password that holds a question mark: it cannot be told
    return url.rsplit("@", maxsplit=1)[-1].partition("?")[0]


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.path)
    # sqlite:///relative and sqlite:////absolute, as SQLAlchemy and Django users write them.
    if parts.netloc or not path.startswith("/") or len(path) < 2:
        raise StoreRefused(
            f"state store {url!r} names no file; write sqlite:///relative/path or sqlite:////absolute/path"
        )
    return path[1:]


def default_durability(url: str) -> str:
    """Return the tier a store is opened with where none is asked for: memory D0, Redis D1, SQLite and PostgreSQL D2.

    Raises:
        StoreRefused: the URL means no known store.
    """
    return _DEFAULT_DURABILITY[_scheme_of(url)]


def open_stores(
    url: str,
    *,
    app: str,
    key_prefix: str,
    lease_store: str = "",
    lease_seconds: float = 10.0,
    durability_unverified: bool = False,
) -> Stores:
    """Make the store, the lease store and the notifier that a URL means; none is connected yet.

    Args:
        url: `memory:`; `sqlite:///path` (a relative path has three slashes, an absolute one four);
            `postgresql://[user:password@]host[:port]/database`; `redis://[user:password@]host[:port][/database]`
            and its further forms (`storage.redis.address`).
        app: the app whose state it is; one database may hold several in Redis and PostgreSQL, one in SQLite.
        key_prefix: first part of every key, or of the schema's name.
        lease_store: where leases are kept for state in PostgreSQL: a URL of Redis; empty: beside the state.
        lease_seconds: the length of leases, which bounds how long a lock may be waited for.
        durability_unverified: go on although the server hides its settings.

    Raises:
        StoreRefused: the URL means no known store, or the two do not go together.
    """
    if lease_store and not url.startswith("postgres"):
        raise StoreRefused(
            "--lease-store is for a state store in PostgreSQL; leases of other stores are kept beside the state: "
            "leave it out"
        )
    scheme = _scheme_of(url)
    if scheme == "memory":
        from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState, MemoryStore

        state = MemoryState()
        store = MemoryStore(state=state, app=app, key_prefix=key_prefix)
        make = partial(MemoryLeaseStore, state=state)
        return Stores(store, make(), SilentNotifier(), make)
    if scheme == "sqlite":
        from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore, WriteGate

        path, gate = _path_of(url), WriteGate()
        file = SqliteStore(path, app=app, key_prefix=key_prefix, gate=gate)
        beside = partial(SqliteLeaseStore, path, gate=gate)
        return Stores(file, beside(), SilentNotifier(), beside)
    if scheme.startswith("postgres"):
        return _open_postgres(
            url, app=app, key_prefix=key_prefix, lease_store=lease_store, lease_ms=int(lease_seconds * 1000),
            durability_unverified=durability_unverified,
        )  # fmt: skip
    from tenuto_engine.storage.redis import RedisLeaseStore, RedisNotifier, RedisStore

    connect = partial(RedisLeaseStore, url, app=app, key_prefix=key_prefix)
    return Stores(
        RedisStore(url, app=app, key_prefix=key_prefix, durability_unverified=durability_unverified),
        connect(),
        RedisNotifier(url, app=app, key_prefix=key_prefix),
        connect,
    )


def open_audit(url: str, *, app: str, key_prefix: str) -> AuditedStore:
    """Make the store that a URL means, to be looked at; it is not connected yet. Arguments as of `open_stores`.

    Raises:
        StoreRefused: the URL means no known store, or one that only its own process can see.
    """
    scheme = _scheme_of(url, forms=_AUDITED)
    if scheme == "memory":
        raise StoreRefused("a store in memory can only be seen by the process that has it; give another --state-store")
    if scheme == "sqlite":
        from tenuto_engine.storage.sqlite import SqliteAudit

        return SqliteAudit(_path_of(url), app=app, key_prefix=key_prefix)
    if scheme.startswith("postgres"):
        from tenuto_engine.storage.postgres import PostgresAudit

        return PostgresAudit(url, app=app, key_prefix=key_prefix)
    from tenuto_engine.storage.redis import audit_redis

    return audit_redis(url, app=app, key_prefix=key_prefix)


def _open_postgres(
    url: str, *, app: str, key_prefix: str, lease_store: str, lease_ms: int, durability_unverified: bool
) -> Stores:
    from tenuto_engine.storage.postgres import PostgresLeaseStore, PostgresNotifier, PostgresStore

    store = PostgresStore(
        url, app=app, key_prefix=key_prefix, lease_ms=lease_ms, durability_unverified=durability_unverified
    )
    fence = partial(PostgresLeaseStore, url, app=app, key_prefix=key_prefix, lease_ms=lease_ms)
    if not lease_store:
        return Stores(store, fence(), PostgresNotifier(url, app=app, key_prefix=key_prefix), fence)
    if _scheme_of(lease_store) != "redis":
        raise StoreRefused(f"--lease-store {_without_secrets(lease_store)!r} is no URL of Redis; give redis://…")
    from tenuto_engine.storage.gated_leases import GatedLeaseStore
    from tenuto_engine.storage.redis import RedisLeaseStore, RedisNotifier

    def gated() -> GatedLeaseStore:
        return GatedLeaseStore(gate=RedisLeaseStore(lease_store, app=app, key_prefix=key_prefix), fence=fence())

    return Stores(store, gated(), RedisNotifier(lease_store, app=app, key_prefix=key_prefix), gated)
