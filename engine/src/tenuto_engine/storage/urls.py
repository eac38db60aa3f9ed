"""Which driver a state-store URL means: `memory:`, `sqlite:///path`, `redis://host:port/database`.

A driver is imported when its URL is used, so that no engine needs the libraries of the others.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tenuto_engine.ports.errors import StoreRefused
from tenuto_engine.ports.leases import LeaseStore
from tenuto_engine.ports.notifier import Notifier, SilentNotifier
from tenuto_engine.ports.store import Store


class Stores(NamedTuple):
    """What a URL means: the state, who owns which part of it, and news of it between engines."""

    store: Store
    leases: LeaseStore
    notifier: Notifier


_DEFAULT_DURABILITY = {"memory": "D0", "sqlite": "D2", "redis": "D1"}
# The further forms of a Redis URL: with TLS, on a socket, under Sentinel, of a cluster.
_REDIS = ("rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


def _scheme_of(url: str) -> str:
    scheme = urlsplit(url).scheme
    if scheme in _REDIS:
        return "redis"
    if scheme not in _DEFAULT_DURABILITY:
        raise StoreRefused(
            f"state store {_without_secrets(url)!r} has an unknown kind {scheme!r}; "
            "use memory:, sqlite:///path or redis://host:port/database"
        )
    return scheme


def _without_secrets(url: str) -> str:
    """Return what may be shown of a URL: nothing before the host, where a password stands, and no query."""
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
    """Return the tier a store is opened with where none is asked for: memory D0, Redis D1, SQLite D2.

    Raises:
        StoreRefused: the URL means no known store.
    """
    return _DEFAULT_DURABILITY[_scheme_of(url)]


def open_stores(url: str, *, app: str, key_prefix: str, durability_unverified: bool = False) -> Stores:
    """Make the store, the lease store and the notifier that a URL means; none is connected yet.

    Args:
        url: `memory:`; `sqlite:///path` (a relative path has three slashes, an absolute one four);
            `redis://[user:password@]host[:port][/database]` and its further forms (`storage.redis.address`).
        app: the app whose state it is; one database may hold several in Redis, one in SQLite.
        key_prefix: first part of every key.
        durability_unverified: go on with a server that hides its settings.

    Raises:
        StoreRefused: the URL means no known store.
    """
    scheme = _scheme_of(url)
    if scheme == "memory":
        from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState, MemoryStore

        state = MemoryState()
        store = MemoryStore(state=state, app=app, key_prefix=key_prefix)
        return Stores(store, MemoryLeaseStore(state=state), SilentNotifier())
    if scheme == "sqlite":
        from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore, WriteGate

        path, gate = _path_of(url), WriteGate()
        file = SqliteStore(path, app=app, key_prefix=key_prefix, gate=gate)
        return Stores(file, SqliteLeaseStore(path, gate=gate), SilentNotifier())
    from tenuto_engine.storage.redis import RedisLeaseStore, RedisNotifier, RedisStore

    return Stores(
        RedisStore(url, app=app, key_prefix=key_prefix, durability_unverified=durability_unverified),
        RedisLeaseStore(url, app=app, key_prefix=key_prefix),
        RedisNotifier(url, app=app, key_prefix=key_prefix),
    )
