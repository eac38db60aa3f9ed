"""A purge removes an instance whole, and only the one that is meant."""

from __future__ import annotations

import pytest

from contract.dumps import dump, without_lasting
from contract.worlds import FAR_MS, SHARDS, World, call, message, new_instance, open_call, timer
from tenuto_engine.core.status import Status
from tenuto_engine.ports.operations import Create, Purge
from tenuto_engine.ports.outcomes import Committed, Conflict, Created, Done, Exists, Refused
from tenuto_engine.ports.records import OutboxSend, ReminderSet


async def test_a_purge_leaves_nothing(world: World) -> None:
    """After the purge of an instance that used every feature the store shows what it showed before it was made."""
    before = await dump(world.store, shards=SHARDS)
    due = await world.store.now_ms() + FAR_MS
    await world.create(start_id="s1", messages=[message("start"), message("unread")])
    sent = await world.commit(
        consumed=[0],
        history=[b"a", b"b"],
        custom_status=b"busy",
        activities_set=[open_call(1)],
        reminders_set=[ReminderSet(timer(2), due)],
        outbox=[OutboxSend(1, b"x")],
    )
    await world.finish(
        history=[b"end"],
        activities_removed=[call(1)],
        reminders_removed=[timer(2)],
        reminders_set=[ReminderSet(timer(0, kind="retention"), due)],
    )

    assert await world.do(Purge(0, "order-1", "e1", reminders=[timer(0, kind="retention")])) == Done()

    assert await world.store.read_instance(0, "order-1") is None
    assert await world.store.raw_records(0, "order-1", limit=100) == []
    assert await world.inbox() == []
    assert await world.history() == []
    # What was sent to others is on its way, whatever happens to the sender.
    assert [each.number for each in await world.store.read_outbox(0, after=0, limit=10)] == list(sent.outbox)
    assert without_lasting(await dump(world.store, shards=SHARDS)) == without_lasting(before)


async def test_what_the_caller_does_not_know_goes_too(world: World) -> None:
    """The reminders that the closing commit set are removed though the purge does not list them."""
    await world.create()
    await world.finish(reminders_set=[ReminderSet(timer(0, kind="retention"), 5)])
    assert await world.do(Purge(0, "order-1", "e1")) == Done()
    assert await world.store.count_reminders([0], "") == 0


@pytest.mark.parametrize("status", [Status.PENDING, Status.RUNNING, Status.SUSPENDED, Status.STALLED])
async def test_only_terminal_instances_are_purged(world: World, status: Status) -> None:
    """An instance that has not ended stays whole."""
    await world.create(status=status, messages=[message("start")])
    before = await dump(world.store, shards=SHARDS)
    assert await world.do(Purge(0, "order-1", "e1")) == Refused("not_terminal")
    assert await dump(world.store, shards=SHARDS) == before


async def test_another_execution_is_not_purged(world: World) -> None:
    """A late retention of an earlier life does not remove the present one; that is said before its status."""
    await world.create(execution_id="e2")
    assert await world.do(Purge(0, "order-1", "e1")) == Refused("stale_execution")
    await world.finish()
    assert await world.do(Purge(0, "order-1", "e1")) == Refused("stale_execution")
    assert await world.do(Purge(0, "order-1", "e2")) == Done()
    assert await world.do(Purge(0, "order-1", "e2")) == Refused("not_found")


async def test_a_purged_start_stays_a_duplicate_for_the_window(world: World) -> None:
    """The start command of a purged instance is not executed again; another command is."""
    first = new_instance(start_id="s1")
    await world.must(Created, Create(0, first))
    await world.finish()
    await world.must(Done, Purge(0, "order-1", "e1"))

    assert await world.do(Create(0, first)) == Exists(True, Status.COMPLETED, "")
    assert await world.do(Create(0, new_instance(start_id="s2", execution_id="e2"))) == Created(ready=False)
    assert await world.do(Create(0, first)) == Exists(True, Status.RUNNING, "")


async def test_an_id_is_free_after_the_purge(world: World) -> None:
    """A new instance of the same id begins anew: empty history, numbering from 0, no custom status."""
    await world.create(messages=[message("start")])
    await world.commit(consumed=[0], history=[b"old"], custom_status=b"old")
    stale = await world.next_commit(history=[b"zombie"])
    await world.finish()
    await world.must(Done, Purge(0, "order-1", "e1"))
    await world.create(execution_id="e2", messages=[message("again")])

    assert await world.history() == []
    assert await world.inbox() == [(0, "again")]
    assert await world.store.read_custom_status(0, "order-1") is None
    assert await world.do(stale) == Conflict("execution", "e2")
    assert isinstance(await world.do(await world.next_commit(consumed=[0], history=[b"new"])), Committed)


async def test_neighbours_are_untouched(world: World) -> None:
    """Instances whose ids begin alike are not taken along."""
    for instance_id in ("order", "order-1", "order-11", "order-1:x"):
        await world.create(instance_id, messages=[message("start")])
        await world.commit(
            instance_id, history=[b"h"], custom_status=b"c", activities_set=[open_call(1, instance_id=instance_id)]
        )
    await world.finish("order-1", activities_removed=[call(1)])
    await world.must(Done, Purge(0, "order-1", "e1"))

    for instance_id in ("order", "order-11", "order-1:x"):
        assert len(await world.store.raw_records(0, instance_id, limit=10)) == 4
    assert await world.ready() == ["order", "order-11", "order-1:x"]
    assert len(await world.store.read_activities(0, "", due_ms=None, limit=10)) == 3
