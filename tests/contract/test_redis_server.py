"""Which Redis servers are accepted: durability, layout, shard count; checked at open and on every reconnect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from contract.backends import APP, KEY_PREFIX
from contract.worlds import SHARDS, message, new_instance
from servers import RedisServer
from tenuto_engine.ports.errors import (
    DurabilityRefused,
    LayoutTooNew,
    ShardsDiffer,
    StoreRefused,
    StoreUnavailable,
)
from tenuto_engine.ports.operations import Append, Create
from tenuto_engine.ports.outcomes import Appended, Created, Rejected
from tenuto_engine.ports.store import StoreInfo
from tenuto_engine.storage.redis import RedisStore

NewRedis = Callable[..., RedisServer]
LAYOUT = f"{KEY_PREFIX}:{{{APP}}}:layout"


@asynccontextmanager
async def closing(url: str, *, may_hide: bool = False) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, app=APP, key_prefix=KEY_PREFIX, durability_unverified=may_hide)
    try:
        yield store
    finally:
        await store.close()


async def opened(url: str, *, shards: int = SHARDS, durability: str = "D1", may_hide: bool = False) -> StoreInfo:
    """Open a store, close it, answer what it said."""
    async with closing(url, may_hide=may_hide) as store:
        return await store.open(shards=shards, durability=durability)


@pytest.mark.parametrize(
    ("settings", "durability", "named"),
    [
        ({"appendonly": "no"}, "D1", "appendonly"),
        ({"appendonly": "no"}, "D2", "appendonly"),
        ({"appendfsync": "no"}, "D1", "appendfsync"),
        ({"appendfsync": "everysec"}, "D2", "appendfsync always.*set it, or start with --durability D1"),
        ({"maxmemory": "1gb", "maxmemory_policy": "allkeys-lru"}, "D0", "noeviction"),
        ({}, "D3", "D3"),
        ({}, "D9", "D9"),
    ],
)
async def test_a_server_that_does_not_deliver_the_tier_is_refused_by_name(
    new_redis: NewRedis, settings: dict[str, str], durability: str, named: str
) -> None:
    """The refusal names the setting to change."""
    server = new_redis(**settings)
    with pytest.raises(DurabilityRefused, match=named):
        await opened(server.url, durability=durability)


@pytest.mark.parametrize(
    ("settings", "durability"),
    [
        ({"appendonly": "no"}, "D0"),
        ({"appendfsync": "everysec"}, "D1"),
        ({"appendfsync": "always"}, "D1"),
        ({"appendfsync": "always"}, "D2"),
        ({"maxmemory": "1gb", "maxmemory_policy": "noeviction"}, "D1"),
        ({"maxmemory": "0", "maxmemory_policy": "allkeys-lru"}, "D1"),
    ],
)
async def test_a_server_that_delivers_the_tier_is_verified(
    new_redis: NewRedis, settings: dict[str, str], durability: str
) -> None:
    """Open says which tier is delivered, and that it was checked."""
    info = await opened(new_redis(**settings).url, durability=durability)
    assert (info.durability, info.verified, info.exclusive) == (durability, True, False)


async def test_a_server_that_hides_its_settings_is_accepted_only_on_request(new_redis: NewRedis) -> None:
    """Without CONFIG GET the tier cannot be checked: refused, or taken as unverified where that was asked for."""
    server = new_redis()
    with server.client() as client:
        client.acl_setuser(
            "app", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-config"], channels=["*"]
        )
    url = f"unix://app:secret@{server.socket}"
    with pytest.raises(DurabilityRefused, match="--durability-unverified"):
        await opened(url)
    assert not (await opened(url, may_hide=True)).verified


async def test_a_wrong_password_and_a_missing_server_are_unavailable_not_refused(new_redis: NewRedis) -> None:
    """Both may be put right without a change to the engine, so the engine may try again."""
    server = new_redis()
    with pytest.raises(StoreUnavailable):
        await opened(f"unix://app:wrong@{server.socket}")
    with pytest.raises(StoreUnavailable):
        await opened(f"unix://{server.socket}.missing")


async def test_the_layout_record_is_written_once_and_compared_ever_after(new_redis: NewRedis) -> None:
    """Another shard count, a newer layout and a foreign record are refused; an older layout is upgraded."""
    server = new_redis()
    await opened(server.url, shards=8)
    await opened(server.url, shards=8)
    with pytest.raises(ShardsDiffer, match="--shards 8"):
        await opened(server.url, shards=16)
    with server.client() as client:
        client.hset(LAYOUT, "version", 0)
        await opened(server.url, shards=8)
        assert client.hget(LAYOUT, "version") == b"1"
        client.hset(LAYOUT, "version", 99)
        with pytest.raises(LayoutTooNew, match="99"):
            await opened(server.url, shards=8)
        client.hset(LAYOUT, "version", "ours?")
        with pytest.raises(StoreRefused):
            await opened(server.url, shards=8)
        client.delete(LAYOUT)
        client.set(LAYOUT, "not a hash")
        with pytest.raises(StoreUnavailable, match="layout"):
            await opened(server.url, shards=8)


@pytest.mark.parametrize(("app", "key_prefix"), [("Shop", "tenuto"), ("shop", "a:b"), ("", "tenuto"), ("s{", "t")])
def test_a_name_that_would_break_the_key_scheme_is_refused(app: str, key_prefix: str) -> None:
    """App and key prefix go into every key as they are."""
    with pytest.raises(ValueError, match="refused"):
        RedisStore("redis://127.0.0.1", app=app, key_prefix=key_prefix)


async def test_a_server_that_came_back_with_other_settings_is_not_written_to(new_redis: NewRedis) -> None:
    """Durability is checked on every reconnect: operations are rejected, naming the setting, until it is right."""
    server = new_redis()
    async with closing(server.url) as store:
        await store.open(shards=SHARDS, durability="D1")
        assert await store.execute([Create(0, new_instance())]) == [Created(ready=False)]
        with server.client() as client:
            client.config_set("appendfsync", "no")
            client.client_kill_filter(skipme=True)
            await asyncio.to_thread(client.ping)
            (outcome,) = await store.execute([Append(0, "order-1", message())])
            assert isinstance(outcome, Rejected)
            assert "appendfsync" in outcome.error
            client.config_set("appendfsync", "everysec")
        assert await store.execute([Append(0, "order-1", message())]) == [Appended(0)]


async def test_an_unopened_store_executes_nothing() -> None:
    """Without open nothing was checked, so nothing is sent."""
    async with closing("unix:///nowhere") as store:
        (outcome,) = await store.execute([Create(0, new_instance())])
        assert isinstance(outcome, Rejected)
        assert store.incarnation() == ""


async def test_a_closed_store_stays_closed(new_redis: NewRedis) -> None:
    """What comes after close is rejected, and opens no connection that nobody would close."""
    server = new_redis()
    async with closing(server.url) as store:
        await store.open(shards=SHARDS, durability="D1")
        await store.close()
        assert await store.execute([Create(0, new_instance())]) == [Rejected("the store is closed")]
        with pytest.raises(StoreUnavailable):
            await store.read_instance(0, "order-1")
        assert await store.execute([]) == []
