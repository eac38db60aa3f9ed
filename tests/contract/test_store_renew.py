"""Continue-as-new: a commit with `renew` begins another execution in place of the former one."""

from __future__ import annotations

from contract.worlds import FAR_MS, World, call, message, open_call, timer
from tenuto_engine.ports.outcomes import Appended, Committed, Conflict, Refused
from tenuto_engine.ports.records import ReminderSet


async def test_a_new_execution_replaces_the_record(world: World) -> None:
    """History begins at 0 again; calls and reminders named are gone; unread messages and custom status stay."""
    due = await world.store.now_ms() + FAR_MS
    await world.create(messages=[message("start"), message("kept"), message("also")])
    await world.commit(
        consumed=[0],
        history=[b"a", b"b", b"c"],
        custom_status=b"busy",
        activities_set=[open_call(1)],
        reminders_set=[ReminderSet(timer(2), due)],
    )

    done = await world.commit(
        renew=True,
        execution_id="e2",
        history=[b"started again"],
        consumed=[1],
        activities_removed=[call(1)],
        reminders_removed=[timer(2)],
    )

    stored = await world.stored()
    assert (stored.head.execution_id, stored.head.history_length, stored.inbox_next) == ("e2", 1, 3)
    assert await world.history() == [b"started again"]
    assert await world.inbox() == [(2, "also")]
    assert await world.ready() == ["order-1"]
    assert await world.store.read_custom_status(0, "order-1") == b"busy"
    assert await world.store.count_reminders([0], "") == 0
    assert await world.store.read_activities(0, "", due_ms=None, limit=10) == []
    assert done.inbox_next == 3
    names = [name for name, _ in await world.store.raw_records(0, "order-1", limit=100)]
    assert names == ["customStatus", "history-000000", "inbox-000002", "metadata"]


async def test_custom_status_may_be_set_with_the_new_execution(world: World) -> None:
    """A renewing commit that names a custom status sets it."""
    await world.create()
    await world.commit(custom_status=b"old")
    await world.commit(renew=True, execution_id="e2", custom_status=b"new")
    assert await world.store.read_custom_status(0, "order-1") == b"new"


async def test_numbering_and_counts_go_on_over_executions(world: World) -> None:
    """The inbox numbering never begins anew while the instance lives."""
    await world.create(messages=[message("start")])
    for generation in range(2, 6):
        number = (await world.stored()).inbox_next - 1
        done = await world.commit(
            renew=True,
            execution_id=f"e{generation}",
            consumed=[number],
            history=[b"h"],
            appends=[("order-1", message(f"start {generation}"))],
        )
        assert list(done.appended) == [Appended(number + 1)]
    assert await world.inbox() == [(4, "start 5")]
    assert (await world.stored()).head.taken == 4


async def test_messages_of_the_former_execution_are_stale(world: World) -> None:
    """A result of the former execution is refused, one to the instance is not."""
    await world.create()
    await world.commit(renew=True, execution_id="e2", appends=[("order-1", message("new", execution_id="e2"))])
    assert await world.append("late", execution_id="e1") == Refused("stale_execution")
    assert await world.append("event") == Appended(1)
    assert await world.inbox() == [(0, "new"), (1, "event")]


async def test_a_renewal_is_compared_and_happens_once(world: World) -> None:
    """The next commit of the former execution conflicts; the renewal itself repeated is a duplicate."""
    await world.create()
    former = await world.next_commit(history=[b"h"])
    renewal = await world.next_commit(renew=True, execution_id="e2", history=[b"n"])
    await world.must(Committed, renewal)

    assert await world.do(former) == Conflict("execution", "e2")
    assert (await world.must(Committed, renewal)).duplicate
    assert await world.history() == [b"n"]


async def test_a_long_history_is_unlinked_whole(world: World) -> None:
    """No record of a former execution shows through a shorter one."""
    await world.create()
    await world.commit(history=[b"x"] * 1_100)
    await world.commit(renew=True, execution_id="e2", history=[b"n"])
    assert await world.store.read_history(0, "order-1", first=0, count=2_000, max_bytes=1 << 20) == [b"n"]
    await world.commit(history=[b"m"])
    assert await world.store.read_history(0, "order-1", first=0, count=2_000, max_bytes=1 << 20) == [b"n", b"m"]
