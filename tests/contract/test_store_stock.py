"""What a shard holds, in numbers: the same in every store."""

from __future__ import annotations

from contract.worlds import FAR_MS, World, message, timer
from tenuto_engine.ports.records import ReminderSet, Stock


async def test_stock_counts_instances_marks_and_reminders(world: World) -> None:
    """Open instances, ready marks and reminders are counted, reminders by kind, with the earliest of each."""
    await world.create("order-1", messages=[message("hello")])
    await world.create("order-2")
    await world.create("order-3")
    now = await world.store.now_ms()
    dues = [(timer(1), now - 50), (timer(2), now + FAR_MS), (timer(0, kind="retention"), now - 20)]
    await world.commit("order-2", reminders_set=[ReminderSet(key, at_ms) for key, at_ms in dues])
    await world.finish("order-3")
    (_, marked_ms), *_ = await world.store.read_ready(0, "", limit=1)

    found = await world.store.count_stock([0, 1], "", due_ms=now)

    assert found[0] == Stock(
        open=2,
        ready=1,
        oldest_ready_ms=marked_ms,
        due=2,
        oldest_due_ms=now - 50,
        reminders={"timer": 2, "retention": 1},
    )
    assert found[1] == Stock()


async def test_stock_is_of_one_version(world: World) -> None:
    """What belongs to another version of the app is not counted."""
    await world.create("order-1", messages=[message("hello")], version="v1")
    assert await world.store.count_stock([0], "", due_ms=0) == {0: Stock()}
    assert (await world.store.count_stock([0], "v1", due_ms=0))[0].open == 1
    assert await world.store.count_stock([], "", due_ms=0) == {}


async def test_versions_are_those_that_have_instances(world: World) -> None:
    """Every version with an instance in these shards is named, also where all have ended."""
    await world.create("order-1")
    await world.create("order-2", version="v1")
    await world.create("order-3", version="v2")
    await world.finish("order-1")
    assert {"", "v1", "v2"} <= set(await world.store.read_versions([0]))
    assert await world.store.read_versions([]) == []
