"""Engines over Sentinel and over a cluster: servers die and slots move under load, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.crc import key_slot

import tenuto as wf
from apps import ended, served
from engines import EngineHere, make_settings
from redis_groups import RedisCluster, SentinelGroup
from servers import NEWEST_REDIS
from tenuto import aio
from tenuto_engine.storage.redis import RedisLeaseStore, RedisStore

Steps = Generator[Any, Any, Any]
STEPS = 6
LOAD = 40


class Counted:
    """Counts the runs of an activity, so that a fault can be timed by them."""

    def __init__(self) -> None:
        self.runs = 0
        self._grew = asyncio.Event()

    async def step(self, ctx: wf.WorkflowActivityContext, number: int) -> int:
        self.runs += 1
        self._grew.set()
        return number + 1

    async def reaches(self, count: int) -> None:
        while self.runs < count:
            self._grew.clear()
            await self._grew.wait()


def chain(ctx: wf.WorkflowContext, first: int) -> Steps:
    number = first
    for _ in range(STEPS):
        number = yield ctx.call_activity("step", input=number)
    return number


@asynccontextmanager
async def running(url: str, durability: str) -> AsyncIterator[tuple[aio.WorkflowClient, Counted]]:
    """An engine on these servers, with an app."""
    stores = (
        RedisStore(url, app="default", key_prefix="tenuto", timeout_s=2.0),
        RedisLeaseStore(url, app="default", key_prefix="tenuto"),
    )
    counted = Counted()
    settings = make_settings(lease_seconds="2", durability=durability, shards="8")
    async with (
        EngineHere(settings, stores) as engine,
        served(engine, workflows=[chain], activities=[counted.step]) as client,
    ):
        yield client, counted


async def start_load(client: aio.WorkflowClient) -> list[str]:
    """Start many instances at once; the ids of those acknowledged."""
    starts = (client.schedule_new_workflow(chain, input=i, instance_id=f"load-{i}") for i in range(LOAD))
    return list(await asyncio.gather(*starts))


async def check_load(client: aio.WorkflowClient, accepted: list[str]) -> None:
    for instance_id in accepted:
        state = await ended(client, instance_id)
        assert state.result() == int(instance_id.partition("-")[2]) + STEPS
    assert len(accepted) == LOAD


async def test_a_primary_dies_under_load(tmp_path: Path) -> None:
    """At D3 all that was acknowledged before the failover ends after it, in the same engine."""
    with SentinelGroup(tmp_path, release=NEWEST_REDIS, appendfsync="always") as group:
        async with running(group.url, "D3") as (client, counted):
            load = asyncio.create_task(start_load(client))
            await counted.reaches(LOAD)
            group.primary.kill()
            await check_load(client, await load)


async def test_a_clusters_node_dies_under_load(tmp_path: Path) -> None:
    """With a replica that confirms, all that was acknowledged ends after its promotion."""
    with RedisCluster(tmp_path, release=NEWEST_REDIS, replicas=True) as cluster:
        async with running(f"{cluster.url}?wait_replicas=1&wait_ms=1000", "D1") as (client, counted):
            load = asyncio.create_task(start_load(client))
            await counted.reaches(LOAD)
            cluster.nodes[0].kill()
            # Without the node there is no replica for its successor: it may not confirm alone.
            await asyncio.to_thread(cluster.nodes[0].start)
            await check_load(client, await load)


async def test_a_cluster_is_resharded_under_load(tmp_path: Path) -> None:
    """Shards move from node to node while their instances run."""
    with RedisCluster(tmp_path, release=NEWEST_REDIS) as cluster:
        async with running(cluster.url, "D1") as (client, counted):
            load = asyncio.create_task(start_load(client))
            await counted.reaches(LOAD)

            def move_all() -> None:
                for shard in range(8):
                    slot = key_slot(f"{{default/{shard}}}".encode())
                    at = cluster.primaries.index(cluster.owner(slot))
                    cluster.migrate(slot, cluster.primaries[(at + 1) % 3], count=10)

            await asyncio.to_thread(move_all)
            await check_load(client, await load)
