"""Several engines of one app, in the test's own loop, each with a worker beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from apps import served
from engines import EngineHere, make_settings
from faulty import until
from tenuto import aio
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryNotifier, MemoryState, MemoryStore
from tenuto_engine.storage.urls import Stores, open_stores

MakeStores = Callable[[], Stores]
# Long: on a busy machine an engine must not lose its membership where a test says that nothing ran twice.
LEASE_SECONDS = "10"
REBALANCE_SECONDS = 0.2


def on_memory() -> MakeStores:
    """Stores of engines that share one memory."""
    state = MemoryState()
    leases = partial(MemoryLeaseStore, state=state)
    return lambda: Stores(MemoryStore(state=state, exclusive=False), leases(), MemoryNotifier(state=state), leases)


def on_redis(url: str, key_prefix: str) -> MakeStores:
    """Stores of engines that share one Redis."""
    return lambda: open_stores(url, app="default", key_prefix=key_prefix)


class Pod:
    """An engine, and a client of it."""

    def __init__(self, engine: EngineHere, client: aio.WorkflowClient) -> None:
        self.engine = engine
        self.client = client

    @property
    def shards(self) -> set[int]:
        """The shards it owns."""
        return set(self.engine.app.engine.owned.shards)


@asynccontextmanager
async def pods(
    make: MakeStores,
    count: int,
    *,
    serve: Callable[[int], dict[str, Any]] | None = None,
    balance: bool = True,
    **given: Any,
) -> AsyncIterator[list[Pod]]:
    """Engines that share an app, balanced.

    Args:
        make: makes the stores of each.
        count: how many.
        serve: what the worker beside engine n serves (arguments of `apps.served`); None: engines without workers.
        balance: wait until they share evenly; else they share with others.
        given: settings, as of `engines.make_settings`.
    """
    quick = {"rebalance_seconds": REBALANCE_SECONDS}
    settings = {"shards": "16", "lease_seconds": LEASE_SECONDS, "durability": "D0", **given}
    async with AsyncExitStack() as stack:
        made: list[Pod] = []
        for number in range(count):
            engine = await stack.enter_async_context(EngineHere.on(make_settings(runtime=quick, **settings), make()))
            options = serve(number) if serve is not None else {}
            client = await stack.enter_async_context(served(engine, **options))
            made.append(Pod(engine, client))
        if balance:
            await balanced(made)
        yield made


async def balanced(made: list[Pod]) -> None:
    """Wait until every shard has one owner, and nobody has more than one above another."""

    def is_balanced() -> bool:
        counts = [len(pod.shards) for pod in made]
        return (
            sum(counts) == 16 == len(set[int]().union(*(pod.shards for pod in made))) and max(counts) - min(counts) <= 1
        )

    async with asyncio.timeout(30):
        while not is_balanced():  # noqa: ASYNC110 - ownership says nothing of its steps
            await asyncio.sleep(0.02)


__all__ = ["MakeStores", "Pod", "balanced", "on_memory", "on_redis", "pods", "until"]
