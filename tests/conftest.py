"""Fixtures that every level may use."""

from __future__ import annotations

from collections.abc import Iterator

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
