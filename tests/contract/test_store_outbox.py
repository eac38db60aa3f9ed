"""Messages between shards: numbered by the commit, delivered in order, taken once."""

from __future__ import annotations

from contract.dumps import dump
from contract.worlds import SHARDS, World, message, new_instance
from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.ports.operations import Deliver, Delivery, Purge, RemoveOutbox
from tenuto_engine.ports.outcomes import Appended, Created, Delivered, Done, Exists, Refused
from tenuto_engine.ports.records import OutboxSend


async def test_numbers_rise_over_commits_and_stand_above_the_clock(world: World) -> None:
    """Numbers only rise, never below the store's clock in microseconds, also after the outbox was emptied."""
    await world.create("order-1")
    await world.create("order-2")
    floor = await world.store.now_ms() * 1000
    numbers: list[int] = []
    for round_ in range(3):
        for instance_id in ("order-1", "order-2"):
            done = await world.commit(instance_id, outbox=[OutboxSend(1, b"a"), OutboxSend(2, b"b")])
            numbers += done.outbox
        if round_ == 1:
            await world.do(RemoveOutbox(0, numbers))

    assert numbers == sorted(set(numbers))
    assert numbers[0] >= floor
    assert len(numbers) == 12


async def test_the_outbox_is_read_in_order_and_in_pages(world: World) -> None:
    """A page begins above `after`; target and body are as sent."""
    await world.create()
    sent = [OutboxSend(target, b"body %d" % target) for target in (3, 1, 2)]
    numbers = (await world.commit(outbox=sent)).outbox

    page = await world.store.read_outbox(0, after=0, limit=2)
    assert [(each.number, each.target_shard, each.body) for each in page] == [
        (numbers[0], 3, b"body 3"),
        (numbers[1], 1, b"body 1"),
    ]
    rest = await world.store.read_outbox(0, after=page[-1].number, limit=2)
    assert [each.number for each in rest] == [numbers[2]]
    assert await world.store.read_outbox(1, after=0, limit=2) == []


async def test_delivered_messages_are_forgotten(world: World) -> None:
    """Removal names numbers; missing ones are ignored."""
    await world.create()
    first, second = (await world.commit(outbox=[OutboxSend(1, b"a"), OutboxSend(1, b"b")])).outbox
    assert await world.do(RemoveOutbox(0, [first, first + 10_000_000])) == Done()
    assert [each.number for each in await world.store.read_outbox(0, after=0, limit=10)] == [second]
    assert await world.do(RemoveOutbox(0, [])) == Done()


async def test_a_delivery_is_taken_once(world: World) -> None:
    """Numbers not above the highest taken from that source are ignored; each source has its own."""
    await world.create(shard=1)
    both = [Delivery(10, "order-1", message("a")), Delivery(20, "order-1", message("b"))]
    again = Appended(-1, duplicate=True)

    assert await world.do(Deliver(1, 0, both)) == Delivered((Appended(0), Appended(1)))
    before = await dump(world.store, shards=SHARDS)
    assert await world.do(Deliver(1, 0, both)) == Delivered((again, again))
    assert await world.do(Deliver(1, 0, [Delivery(15, "order-1", message("between"))])) == Delivered((again,))
    assert await dump(world.store, shards=SHARDS) == before

    mixed = [both[1], Delivery(21, "order-1", message("c"))]
    assert await world.do(Deliver(1, 0, mixed)) == Delivered((again, Appended(2)))
    assert await world.do(Deliver(1, 2, both[:1])) == Delivered((Appended(3),))
    assert [text for _, text in await world.inbox(shard=1)] == ["a", "b", "c", "a"]


async def test_a_refused_message_counts_as_taken(world: World) -> None:
    """A message for a missing, terminal or other execution does not block the queue behind it."""
    await world.create("done", shard=1)
    await world.finish("done", shard=1)
    await world.create("order-1", shard=1)
    deliveries = [
        Delivery(1, "nobody", message("a")),
        Delivery(2, "done", message("b")),
        Delivery(3, "order-1", message("c", execution_id="e0")),
        Delivery(4, "order-1", message("d")),
    ]
    assert await world.do(Deliver(1, 0, deliveries)) == Delivered(
        (Refused("not_found"), Refused("terminal"), Refused("stale_execution"), Appended(0))
    )
    assert await world.do(Deliver(1, 0, deliveries[:1])) == Delivered((Appended(-1, duplicate=True),))


async def test_children_are_created_by_delivery(world: World) -> None:
    """A create is taken once; the repeated one is told if another instance holds the id."""
    child = new_instance("child", start_id="s1", messages=[message("start")])
    other = new_instance("child", start_id="s2", execution_id="e2", messages=[message("start")])

    assert await world.do(Deliver(1, 0, [Delivery(1, create=child)])) == Delivered((Created(ready=True),))
    assert await world.do(Deliver(1, 0, [Delivery(1, create=child)])) == Delivered((Appended(-1, duplicate=True),))
    taken = Delivered((Exists(False, Status.RUNNING, "e1"),))
    assert await world.do(Deliver(1, 0, [Delivery(2, create=other)])) == taken
    assert await world.do(Deliver(1, 0, [Delivery(2, create=other)])) == taken
    assert await world.do(Deliver(1, 3, [Delivery(2, create=child)])) == Delivered(
        (Exists(True, Status.RUNNING, "e1"),)
    )


async def test_a_child_that_ended_and_made_room_is_not_born_again(world: World) -> None:
    """A late repetition of a delivery creates nothing after the child was purged."""
    child = new_instance("child", start_id="s1", replace=TERMINAL)
    await world.do(Deliver(1, 0, [Delivery(1, create=child)]))
    await world.finish("child", shard=1)
    await world.must(Done, Purge(1, "child", "e1"))

    assert await world.do(Deliver(1, 0, [Delivery(1, create=child)])) == Delivered((Appended(-1, duplicate=True),))
    assert await world.do(Deliver(1, 2, [Delivery(9, create=child)])) == Delivered(
        (Exists(True, Status.COMPLETED, ""),)
    )
    assert await world.store.read_instance(1, "child") is None


async def test_a_delivered_message_wakes_its_instance(world: World) -> None:
    """What a delivery appends is ready like any append."""
    await world.create(shard=2, version="v3")
    await world.do(Deliver(2, 0, [Delivery(5, "order-1", message("a"))]))
    assert await world.ready(2, "v3") == ["order-1"]


async def test_an_empty_delivery_is_nothing(world: World) -> None:
    """Delivering no messages answers no outcomes."""
    assert await world.do(Deliver(1, 0, [])) == Delivered(())
