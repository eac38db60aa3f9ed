"""Fixtures that every level may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from servers import REDIS_BINARIES, RedisServer


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
