"""Gauges of what is stored: counted for owned shards, between scrapes, and only as long as they are owned."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from faulty import SHARDS, World, of_type, until
from scrapes import Scrape, page_of
from tenuto_engine.core import actions as a
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.operations import FireReminder


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as world:
        yield world


async def page(world: World) -> Scrape:
    """The page after everything was counted."""
    await world.engine._stocktaking.take()
    return page_of(world.engine.metrics_page("")[0].decode())


async def test_backlog_shows_what_waits_for_whom(world: World) -> None:
    """Instances without a worker, calls without one, and due reminders are the backlog, each with its age."""
    for number in range(3):
        await world.begin(f"order-{number}")
    shown = await page(world)
    assert shown.by("tenuto_backlog_items", "kind") == {"workflow": 3}
    assert shown.total("tenuto_workflow_running") == 3

    held = world.store.hold(of_type(FireReminder))
    worker = world.worker(activities=())
    item = await worker.turn()
    worker.answer(item, a.ScheduleActivity(1, "act"), a.CreateTimer(2, world.engine.context.clock.now_ms() - 5_000))
    waiting = worker.session
    await until(lambda: world.engine.workers.waiting_calls()[0] == 1, "a call waits")
    await until(lambda: world.reminders(item.instance_id) == ["timer"], "a timer is due")
    shown = await page(world)
    assert shown.by("tenuto_backlog_items", "kind")["activity"] == 1
    assert shown.by("tenuto_backlog_items", "kind")["timer"] == 1
    assert 5 <= shown.by("tenuto_backlog_oldest_age_seconds", "kind")["timer"] < 60
    assert shown.by("tenuto_reminder_pending", "kind") == {"timer": 1}
    assert waiting.alive
    held.set()


async def test_slots_are_those_of_connected_workers(world: World) -> None:
    """Used and free slots add up to what the workers offer."""
    worker = world.worker(max_activities=5)
    await world.begin("order-1")
    worker.answer(await worker.turn(), a.ScheduleActivity(1, "act"), a.ScheduleActivity(2, "act"))
    await worker.call()
    await worker.call()
    assert (await page(world)).by("tenuto_activity_slots", "state") == {"used": 2, "free": 3}


async def test_only_owned_shards_are_shown(world: World) -> None:
    """A shard that is lost leaves the gauges at once, whatever was counted before."""
    for number in range(20):
        await world.begin(f"order-{number}")
    assert (await page(world)).total("tenuto_workflow_running") == 20
    for shard in list(world.engine.owned.shards.values()):
        shard.close()
    seen = page_of(world.engine.metrics_page("")[0].decode())
    assert seen.total("tenuto_workflow_running") == 0
    assert seen.total("tenuto_backlog_items") == 0


async def test_a_scrape_reads_nothing_from_the_store(world: World) -> None:
    """However often the page is read, the store is not asked; and while it is away, the last numbers stay."""
    await world.begin("order-1")
    await page(world)
    before, operations = dict(world.store.reads), len(world.store.log)
    for _ in range(10):
        assert page_of(world.engine.metrics_page("")[0].decode()).total("tenuto_workflow_running") == 1
    assert (world.store.reads, len(world.store.log)) == (before, operations)

    async def away(*_args: object, **_kwargs: object) -> None:
        raise StoreUnavailable("away")

    world.engine._stocktaking._store.count_stock = away  # type: ignore[method-assign,assignment]
    assert (await page(world)).total("tenuto_workflow_running") == 1


async def test_shards_and_leases_are_told(world: World) -> None:
    """The keeper tells how many shards the map gives, how many are held, how many nobody owns, and each operation."""
    await until(lambda: world.engine.context.metrics.shards_owned.value == SHARDS, "all owned")
    shown = await page(world)
    assert shown.total("tenuto_shards_owned") == shown.total("tenuto_shards_desired") == SHARDS
    assert shown.total("tenuto_shards_unowned") == 0
    assert shown.by("tenuto_lease_operations_total", "op", "result")["acquire", "ok"] == SHARDS
    assert 0 < shown.total("tenuto_lease_remaining_seconds") <= 10
