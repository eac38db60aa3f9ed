"""Entries of open activity calls: found by when the owner must look, replaced by revision."""

from __future__ import annotations

from msgspec.structs import replace

from contract.worlds import World, call, open_call
from tenuto_engine.ports.operations import ReplaceActivity
from tenuto_engine.ports.outcomes import Done, Refused


async def test_entries_come_by_the_moment_to_look(world: World) -> None:
    """Earliest first; `due_ms` cuts those that come later, `limit` the rest."""
    await world.create()
    records = [open_call(event_id, look_at_ms=at) for event_id, at in ((1, 300), (2, 100), (3, 200), (4, 900))]
    await world.commit(activities_set=records)
    read = world.store.read_activities

    assert [each.key.event_id for each in await read(0, "", due_ms=None, limit=10)] == [2, 3, 1, 4]
    assert [each.key.event_id for each in await read(0, "", due_ms=300, limit=10)] == [2, 3, 1]
    assert [each.key.event_id for each in await read(0, "", due_ms=900, limit=2)] == [2, 3]
    assert await read(0, "", due_ms=99, limit=10) == []
    assert await read(1, "", due_ms=None, limit=10) == []
    assert await read(0, "v1", due_ms=None, limit=10) == []


async def test_an_entry_is_read_whole(world: World) -> None:
    """Attempt, revision, moment and opaque data of an entry are those written last."""
    await world.create("order 1|{2}")
    record = replace(
        open_call(7, instance_id="order 1|{2}"), attempt=3, revision=9, look_at_ms=2**41, data=b" \n\x00 9"
    )
    await world.commit("order 1|{2}", activities_set=[record])
    assert await world.store.read_calls("", [(0, record.key), (0, call(8))]) == [record, None]


async def test_an_entry_is_replaced_by_its_revision(world: World) -> None:
    """Of two that replace the same revision one succeeds; a closed call is not opened again."""
    await world.create()
    await world.commit(activities_set=[open_call(1, revision=1)])
    second = open_call(1, revision=2, attempt=2, look_at_ms=50)

    assert await world.do(ReplaceActivity(0, "", second, 1)) == Done()
    assert await world.do(ReplaceActivity(0, "", open_call(1, revision=2), 1)) == Refused("stale_attempt")
    assert await world.store.read_calls("", [(0, call(1))]) == [second]
    assert await world.store.read_activities(0, "", due_ms=50, limit=10) == [second]

    await world.commit(activities_removed=[call(1)])
    assert await world.do(ReplaceActivity(0, "", open_call(1, revision=3), 2)) == Refused("activity_closed")
    assert await world.store.read_activities(0, "", due_ms=None, limit=10) == []


async def test_a_commit_may_replace_an_entry(world: World) -> None:
    """The owner's commit sets an entry whatever its revision."""
    await world.create()
    await world.commit(activities_set=[open_call(1)])
    await world.commit(activities_set=[open_call(1, attempt=2, revision=5, look_at_ms=70)])
    assert await world.store.read_activities(0, "", due_ms=None, limit=10) == [
        open_call(1, attempt=2, revision=5, look_at_ms=70)
    ]
