"""Every case of the suite runs on every store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from contract.backends import Backend, MemoryBackend, PostgresBackend, RedisBackend, SqliteBackend
from contract.worlds import SHARDS, World
from redis_groups import RedisCluster
from servers import RECENT_REDIS, REDIS_BINARIES, PostgresServer, RedisServer

CLUSTERS = [f"{release}-cluster" for release in RECENT_REDIS]
STORES = ["memory", "postgres", "sqlite", *sorted(REDIS_BINARIES), *CLUSTERS]


@pytest.fixture(scope="session")
def redis_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], RedisServer]]:
    """A running server of the release asked for, started when it is first asked for."""
    with ExitStack() as servers:

        @cache
        def start(release: str) -> RedisServer:
            server = RedisServer(tmp_path_factory.mktemp("redis"), release=release)
            server.start()
            servers.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def cluster_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], RedisCluster]]:
    """A cluster of three nodes of the release asked for, started when it is first asked for."""
    with ExitStack() as clusters:

        @cache
        def start(release: str) -> RedisCluster:
            return clusters.enter_context(RedisCluster(tmp_path_factory.mktemp("cluster"), release=release))

        yield start


@pytest.fixture(params=STORES)
def backend(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    redis_of: Callable[[str], RedisServer],
    cluster_of: Callable[[str], RedisCluster],
    postgres_of: Callable[[], PostgresServer],
) -> Backend:
    """An empty database of each kind."""
    name: str = request.param
    if name == "memory":
        return MemoryBackend()
    if name == "sqlite":
        return SqliteBackend(tmp_path)
    if name == "postgres":
        return PostgresBackend(postgres_of().url)
    if name in CLUSTERS:
        return RedisBackend(cluster_of(name.removesuffix("-cluster")).url)
    return RedisBackend(redis_of(name).url)


@pytest.fixture
async def world(backend: Backend) -> AsyncIterator[World]:
    """An opened store on it."""
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability=backend.durability)
    yield World(backend, store, leases)
    leases.close()
    await store.close()
