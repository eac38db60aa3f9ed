"""Hints that calls wait to be claimed, and the reads of those who take them."""

from __future__ import annotations

from contract.worlds import World, call, open_call
from tenuto_engine.ports.records import Hint


def hints(name: str, *event_ids: int) -> list[Hint]:
    """Hints of calls of an activity."""
    return [Hint(name, call(event_id, instance_id="order 1|{2}")) for event_id in event_ids]


async def test_a_hint_is_taken_once_and_the_oldest_first(world: World) -> None:
    """Takers of one name share its list; one that wants more than there is gets what there is."""
    await world.store.push_hints("", hints("ship", 1, 2, 3))
    await world.store.push_hints("", hints("ship", 4))
    assert await world.store.take_hints("", ["ship"], limit=3) == hints("ship", 1, 2, 3)
    assert await world.store.take_hints("", ["ship"], limit=3) == hints("ship", 4)
    assert await world.store.take_hints("", ["ship"], limit=3) == []


async def test_names_and_versions_are_lists_of_their_own(world: World) -> None:
    """A taker gets what it can run, in the order of names it gives, and nothing of another version."""
    await world.store.push_hints("v1", [*hints("ship", 1), *hints("bill", 2, 3), *hints("pack it: now", 4)])
    assert await world.store.take_hints("", ["ship", "bill"], limit=9) == []
    assert await world.store.take_hints("v1", [], limit=9) == []
    assert await world.store.take_hints("v1", ["bill", "absent", "ship"], limit=2) == hints("bill", 2, 3)
    assert await world.store.take_hints("v1", ["bill", "ship", "pack it: now"], limit=9) == [
        *hints("ship", 1),
        *hints("pack it: now", 4),
    ]


async def test_hints_are_bounded(world: World) -> None:
    """A list nobody takes from keeps at least ten thousand hints, and does not grow without end."""
    for start in range(0, 30_000, 10_000):
        await world.store.push_hints("", hints("ship", *range(start, start + 10_000)))
    taken = await world.store.take_hints("", ["ship"], limit=100_000)
    assert 10_000 <= len(taken) < 30_000
    assert [hint.key.event_id for hint in taken] == list(range(len(taken)))


async def test_calls_and_events_are_read_together(world: World) -> None:
    """Entries and single history records of several shards come in order, with None for what is not there."""
    await world.create(version="v1")
    await world.create("order-2", shard=1, version="v1")
    await world.commit(history=[b"zero", b"one"], activities_set=[open_call(1), open_call(2, look_at_ms=7)])
    await world.commit(
        "order-2", shard=1, history=[b"other"], activities_set=[open_call(1, instance_id="order-2", revision=3)]
    )
    asked = [(1, call(1, instance_id="order-2")), (0, call(2)), (0, call(9)), (1, call(1))]
    assert await world.store.read_calls("v1", asked) == [
        open_call(1, instance_id="order-2", revision=3),
        open_call(2, look_at_ms=7),
        None,
        None,
    ]
    assert await world.store.read_calls("", asked[:1]) == [None]
    assert await world.store.read_calls("v1", []) == []
    wanted = [(0, "order-1", 1), (1, "order-2", 0), (0, "order-1", 2), (2, "order-1", 0)]
    assert await world.store.read_events(wanted) == [b"one", b"other", None, None]
    assert await world.store.read_events([]) == []
