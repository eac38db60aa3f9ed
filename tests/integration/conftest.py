"""What the integration tests share: an engine on the test's own loop, and the real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from engines import EngineHere, make_settings
from servers import NEWEST_REDIS, PostgresServer, RedisServer
from tenuto_engine.ports.leases import LeaseStore
from tenuto_engine.ports.store import Store
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState, MemoryStore
from tenuto_engine.storage.postgres import PostgresLeaseStore, PostgresStore
from tenuto_engine.storage.redis import RedisLeaseStore, RedisStore
from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore, WriteGate

StoresOf = Callable[[], tuple[Store, LeaseStore]]


@pytest.fixture
async def here() -> AsyncIterator[EngineHere]:
    """An engine over memory, fast and fresh."""
    async with EngineHere() as engine:
        yield engine


@pytest.fixture(scope="session")
def one_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis, shared: use a key prefix of your own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), release=NEWEST_REDIS)
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def stores_of(request: pytest.FixtureRequest, tmp_path: Path) -> StoresOf:
    """Makes a store and its lease store, of each kind; each call stands on the same data."""
    kind: str = request.param
    if kind == "memory":
        state = MemoryState()
        return lambda: (MemoryStore(state=state, app="default"), MemoryLeaseStore(state=state))
    if kind == "sqlite":
        path, gate = str(tmp_path / "state.db"), WriteGate()
        return lambda: (
            SqliteStore(path, app="default", key_prefix="tenuto", gate=gate),
            SqliteLeaseStore(path, gate=gate),
        )
    prefix = f"t-{uuid4().hex}"
    if kind == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        return lambda: (
            PostgresStore(postgres.url, app="default", key_prefix=prefix),
            PostgresLeaseStore(postgres.url, app="default", key_prefix=prefix),
        )
    server: RedisServer = request.getfixturevalue("one_redis")
    return lambda: (
        RedisStore(server.url, app="default", key_prefix=prefix),
        RedisLeaseStore(server.url, app="default", key_prefix=prefix),
    )


@pytest.fixture
async def on_store(stores_of: StoresOf, request: pytest.FixtureRequest) -> AsyncIterator[EngineHere]:
    """An engine over each kind of store."""
    kind: str = request.node.callspec.params["stores_of"]
    settings = make_settings(durability={"memory": "D0", "sqlite": "D2", "postgres": "D2", "redis": "D1"}[kind])
    async with EngineHere(settings, stores_of()) as engine:
        yield engine
