"""Reads: pages by computed names, bounded in number and bytes."""

from __future__ import annotations

from contract.worlds import World, message


async def test_history_is_read_in_pages(world: World) -> None:
    """A page begins where it is told, and ends at the count or at the end of history."""
    await world.create()
    history = [b"%04d" % number for number in range(250)]
    await world.commit(history=history)
    read = world.store.read_history

    assert await read(0, "order-1", first=0, count=100, max_bytes=1 << 20) == history[:100]
    assert await read(0, "order-1", first=100, count=100, max_bytes=1 << 20) == history[100:200]
    assert await read(0, "order-1", first=200, count=100, max_bytes=1 << 20) == history[200:]
    assert await read(0, "order-1", first=250, count=100, max_bytes=1 << 20) == []
    assert await read(0, "nobody", first=0, count=100, max_bytes=1 << 20) == []


async def test_a_page_is_bounded_in_bytes(world: World) -> None:
    """A page stops before it would exceed the bound, but makes progress with one record larger than it."""
    await world.create()
    await world.commit(history=[b"x" * 10, b"y" * 10, b"z" * 50, b"w"])
    read = world.store.read_history

    assert [len(each) for each in await read(0, "order-1", first=0, count=10, max_bytes=20)] == [10, 10]
    assert [len(each) for each in await read(0, "order-1", first=0, count=10, max_bytes=19)] == [10]
    assert [len(each) for each in await read(0, "order-1", first=2, count=10, max_bytes=20)] == [50]
    assert [len(each) for each in await read(0, "order-1", first=3, count=10, max_bytes=0)] == [1]


async def test_the_inbox_is_read_by_range(world: World) -> None:
    """Messages in [first, end), rising, without those that were taken, at most `limit`."""
    await world.create(messages=[message(f"m{number}") for number in range(20)])
    await world.commit(consumed=[2, 3, 15])
    read = world.store.read_inbox

    assert [each.number for each in await read(0, "order-1", first=1, end=6, limit=10)] == [1, 4, 5]
    assert [each.number for each in await read(0, "order-1", first=0, end=20, limit=3)] == [0, 1, 4]
    assert [each.number for each in await read(0, "order-1", first=14, end=99, limit=10)] == [14, 16, 17, 18, 19]
    assert await read(0, "order-1", first=5, end=5, limit=10) == []
    assert await read(0, "nobody", first=0, end=5, limit=10) == []


async def test_many_instances_are_read_in_the_order_asked(world: World) -> None:
    """Missing ones are None in their place."""
    for instance_id in ("a", "b"):
        await world.create(instance_id, execution_id=f"e-{instance_id}")
    found = await world.store.read_instances(0, ["b", "nobody", "a", "b"])
    assert [each and each.head.execution_id for each in found] == ["e-b", None, "e-a", "e-b"]
    assert await world.store.read_instances(0, []) == []


async def test_ready_marks_of_many_shards_in_one_call(world: World) -> None:
    """Shards without marks are left out, limits are per shard."""
    for shard in (0, 2):
        for number in range(3):
            await world.create(f"order-{number}", shard=shard, messages=[message("start")])
    found = await world.store.read_ready_many([0, 1, 2, 3], "", limit=2)
    assert {shard: len(marks) for shard, marks in found.items()} == {0: 2, 2: 2}
    assert found[0] == await world.store.read_ready(0, "", limit=2)
    assert await world.store.read_ready_many([0, 2], "v1", limit=2) == {}


async def test_raw_records_carry_the_names_of_every_store(world: World) -> None:
    """What is kept of an instance is shown by name and value, sorted and bounded."""
    await world.create(messages=[message("start"), message("next")])
    await world.commit(consumed=[0], history=[b"h0", b"h1"], custom_status=b"busy")

    records = await world.store.raw_records(0, "order-1", limit=100)
    assert records == [
        ("customStatus", b"busy"),
        ("history-000000", b"h0"),
        ("history-000001", b"h1"),
        ("inbox-000001", b"next"),
        ("metadata", b"metadata of commit-1"),
    ]
    assert await world.store.raw_records(0, "order-1", limit=2) == records[:2]
    assert await world.store.raw_records(0, "nobody", limit=2) == []


async def test_the_key_names_app_shard_and_instance(world: World) -> None:
    """What people are shown contains what they look for."""
    key = world.store.key_of(3, "order-1")
    assert "shop.orders/3" in key
    assert key.endswith("order-1")
