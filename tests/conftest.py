"""Fixtures that every level may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from servers import REDIS_BINARIES, PostgresServer, RedisServer


@pytest.fixture(scope="session", params=sorted(REDIS_BINARIES))
def redis_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running server of each supported release, shared: use a key prefix of your own, and do not end it."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), release=request.param)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of a shared real server."""
    return redis_server.url


@pytest.fixture(params=sorted(REDIS_BINARIES))
def new_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Start a server for one test alone, with settings of its own: it may be ended, paused and filled."""
    with ExitStack() as servers:

        def start(**settings: str) -> RedisServer:
            server = RedisServer(tmp_path / "redis", release=request.param, **settings)
            server.start()
            servers.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def postgres_of() -> Iterator[Callable[[], PostgresServer]]:
    """The shared PostgreSQL server, started when it is first asked for."""
    with ExitStack() as servers:

        @cache
        def start() -> PostgresServer:
            server = PostgresServer()
            servers.callback(server.close)
            server.start()
            return server

        yield start


@pytest.fixture(scope="session")
def postgres_server(postgres_of: Callable[[], PostgresServer]) -> PostgresServer:
    """A running PostgreSQL server, shared: use a key prefix of your own, and do not end it."""
    return postgres_of()


@pytest.fixture
def new_postgres() -> Iterator[Callable[..., PostgresServer]]:
    """Start a PostgreSQL server for one test alone, with settings of its own: it may be ended, paused and filled."""
    with ExitStack() as servers:

        def start(**settings: str) -> PostgresServer:
            server = PostgresServer(**settings)
            servers.callback(server.close)
            server.start()
            return server

        yield start
