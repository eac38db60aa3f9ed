"""Taking over many shards at once: only what is due is read, and never all of it together."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from contract.worlds import new_instance as idle_instance
from faulty import FaultyStore, until
from tenuto_engine.core.events import ExecutionStarted
from tenuto_engine.core.limits import Limits
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.ports.operations import Create
from tenuto_engine.ports.outcomes import Created
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime import ownership
from tenuto_engine.runtime.births import new_instance
from tenuto_engine.runtime.context import Context, RuntimeSettings
from tenuto_engine.runtime.engine import Engine
from tenuto_engine.runtime.faults import Faults
from tenuto_engine.runtime.metrics import Metrics
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState

MANY = 512
LOADS = 8
IDLE, READY, TIMERS = 2_000, 40, 30


class WatchedStore(FaultyStore):
    """Counts the reads that are under way at once; each takes a few turns of the loop."""

    def __init__(self, state: MemoryState) -> None:
        super().__init__(state)
        self.under_way = 0
        self.most = 0

    def __getattr__(self, name: str) -> Any:
        method = super().__getattr__(name)
        if not name.startswith("read_"):
            return method

        async def read(*args: Any, **kwargs: Any) -> Any:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            try:
                for _ in range(3):
                    await asyncio.sleep(0)
                return await method(*args, **kwargs)
            finally:
                self.under_way -= 1

        return read


async def _fill(store: FaultyStore) -> set[str]:
    """Idle instances, and some whose start is unread; returns the ids of those."""
    await store.inner.open(shards=MANY, durability="D0")
    ready = {f"ready-{n}" for n in range(READY)}
    for instance_id in sorted(ready):
        started = ExecutionStarted("flow", instance_id, f"e-{instance_id}", None, "", None, 1, "", 0)
        new = new_instance(started, start_id=f"s-{instance_id}", now_ms=1)
        assert await store.inner.execute([Create(shard_of(instance_id, MANY), new)]) == [Created()]
    for number in range(IDLE):
        instance_id = f"idle-{number}"
        await store.inner.execute([Create(shard_of(instance_id, MANY), idle_instance(instance_id))])
    return ready


async def test_five_hundred_shards_in_a_burst_do_not_stampede() -> None:
    """Idle instances are not read, ready ones are, and reads under way stay within their bounds all the while."""
    state = MemoryState()
    store = WatchedStore(state)
    ready = await _fill(store)
    settings = RuntimeSettings(shards=MANY, loads=LOADS, sweep_seconds=3600.0, reconnect_grace_seconds=0.02)
    context = Context(settings, Limits(), metrics=Metrics(app="a", version=""), faults=Faults())
    engine = Engine(context, cast("Store", store), MemoryLeaseStore(state=state))
    await engine.start(durability="D0")
    try:

        def loaded() -> set[str]:
            return {i for shard in engine.owned.shards.values() for i in shard.live}

        await until(lambda: len(engine.owned.shards) == MANY, "all shards owned")
        await until(lambda: loaded() == ready, "the ready instances in memory")
        await until(lambda: store.reads.get("read_activities") == MANY, "open calls looked for everywhere")
        await until(lambda: not store.under_way)
        assert store.reads["read_instance"] == READY
        assert store.reads["read_ready"] == MANY
        # One read more: of the stock, for the gauges.
        assert store.most <= LOADS + ownership._TAKEOVERS + 1
    finally:
        await engine.stop()
