"""An engine that goes: what is under way as it begins to drain is stored, or goes to others at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from faulty import SHARDS, Cluster, a_while, of_type, until
from tenuto_engine.core import actions as a
from tenuto_engine.ports.operations import Append, Commit


@pytest.fixture
async def pair() -> AsyncIterator[Cluster]:
    """Two engines; the first owns all shards and drains for long. They pass nothing on by sweeping."""
    async with Cluster(2, drain_seconds=6.0) as made:
        yield made


async def test_a_result_on_its_way_to_the_store_is_waited_for(pair: Cluster) -> None:
    """The engine is not drained before the store has taken what its workers answered: it would be run again."""
    one = pair[0].worker()
    pair[1].worker(worker_id="w2")
    await pair.settled()
    await pair[0].begin("order-1")
    one.answer(await one.turn(), a.ScheduleActivity(1, "act"))
    call = await one.call()
    gate = pair[0].store.hold(of_type(Append))
    drain = asyncio.create_task(pair[0].engine.drain())
    await until(lambda: not pair[0].engine.owned.shards)
    one.complete(call, b"done")
    await a_while()
    assert not await _ends(drain)
    gate.set()
    await drain
    assert one.was_acknowledged(call)
    assert pair.entry("order-1") is None


async def test_a_call_scheduled_as_the_drain_begins_goes_to_others_at_once(pair: Cluster) -> None:
    """A commit on its way to the store claims calls for an engine that runs nothing new any more by its answer."""
    one, two = pair[0].worker(), pair[1].worker(worker_id="w2")
    await pair.settled()
    await pair[0].begin("order-2")
    one.answer(await one.turn(), a.ScheduleActivity(1, "act"))
    long = await one.call()
    await pair[0].begin("order-1")
    turn = await one.turn()
    gate = pair[0].store.hold(of_type(Commit))
    one.answer(turn, a.ScheduleActivity(1, "act"))
    await a_while()
    drain = asyncio.create_task(pair[0].engine.drain())
    await a_while()
    gate.set()
    call = await two.call()
    assert (call.event_id, call.deliveries) == (1, 1)
    entry = pair.entry("order-1")
    assert entry is not None
    assert "is draining" in entry.given_back
    two.complete(call)
    one.complete(long)
    await drain


async def _ends(task: asyncio.Task[None]) -> bool:
    """Whether it ends although what it should wait for is held."""
    done, _ = await asyncio.wait([task], timeout=0.2)
    return bool(done)


async def test_an_engine_whose_only_worker_drains_hands_its_shards_over(pair: Cluster) -> None:
    """The worker begins nothing any more, however long its activities run: instances go on elsewhere meanwhile."""
    one, two = pair[0].worker(), pair[1].worker(worker_id="w2")
    await pair.settled()
    await pair[0].begin("order-1")
    one.answer(await one.turn(), a.ScheduleActivity(1, "act"))
    call = await one.call()
    pair[0].engine.worker_draining(one.session)
    await until(lambda: len(pair[1].engine.owned.shards) == SHARDS, "all shards at the other engine")
    one.complete(call)
    assert (await two.turn()).instance_id == "order-1"
