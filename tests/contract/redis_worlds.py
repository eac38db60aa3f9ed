"""Stores on Redis as worlds, for the cases that only Redis has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.crc import key_slot

from contract.backends import APP, KEY_PREFIX, RedisBackend
from contract.worlds import SHARDS, World
from tenuto_engine.storage.redis import RedisLeaseStore, RedisStore


class RedisWorld(World):
    """A world whose store is known to be Redis."""

    @property
    def redis(self) -> RedisStore:
        assert isinstance(self.store, RedisStore)
        return self.store


@asynccontextmanager
async def opened(
    url: str,
    *,
    durability: str = "D1",
    timeout_s: float = 20.0,
    may_hide: bool = False,
    key_prefix: str = KEY_PREFIX,
) -> AsyncIterator[RedisWorld]:
    """A store on these servers, as a world."""
    store = RedisStore(url, app=APP, key_prefix=key_prefix, timeout_s=timeout_s, durability_unverified=may_hide)
    leases = RedisLeaseStore(url, app=APP, key_prefix=key_prefix)
    try:
        await store.open(shards=SHARDS, durability=durability)
        yield RedisWorld(RedisBackend(url), store, leases)
    finally:
        leases.close()
        await store.close()


def slot_of(shard: int) -> int:
    """The cluster's slot of one of these worlds' shards."""
    return key_slot(f"{{{APP}/{shard}}}".encode())
