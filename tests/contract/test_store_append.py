"""What `Append` promises: existence, order, numbering, the ready mark, closing of activity calls."""

from __future__ import annotations

import asyncio

import pytest

from contract.worlds import World, call, message, open_call
from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.operations import Append
from tenuto_engine.ports.outcomes import Appended, Refused


async def test_messages_are_numbered_in_order(world: World) -> None:
    """Numbers rise by one per message, whoever sends, and bodies stay with their numbers."""
    await world.create(messages=[message("start")])

    assert await world.append("one") == Appended(1)
    assert await world.append("two") == Appended(2)
    assert await world.inbox() == [(0, "start"), (1, "one"), (2, "two")]
    assert (await world.stored()).inbox_next == 3


async def test_numbering_goes_on_after_messages_were_taken(world: World) -> None:
    """A number is never given twice, though its message is gone."""
    await world.create(messages=[message("start")])
    await world.append("one")
    await world.commit(consumed=[0, 1])

    assert await world.append("two") == Appended(2)
    assert await world.inbox() == [(2, "two")]


async def test_concurrent_appends_are_all_stored_once(world: World) -> None:
    """Fifty concurrent senders get fifty different numbers without gaps."""
    await world.create()

    outcomes = await asyncio.gather(*(world.append(f"m{number}") for number in range(50)))

    numbers = [outcome.number for outcome in outcomes if isinstance(outcome, Appended)]
    assert sorted(numbers) == list(range(50))
    assert await world.inbox() == sorted((number, f"m{sent}") for sent, number in enumerate(numbers))


async def test_one_senders_messages_keep_their_order(world: World) -> None:
    """Messages of one group, and of groups sent one after the other, are numbered in the order of sending."""
    await world.create()

    for first in (0, 10):
        await world.store.execute([Append(0, "order-1", message(f"m{first + each}")) for each in range(10)])

    assert [text for _, text in await world.inbox()] == [f"m{number}" for number in range(20)]


async def test_a_missing_instance_is_not_found(world: World) -> None:
    """Nothing is stored for an instance that does not exist."""
    assert await world.append("one") == Refused("not_found")
    assert await world.ready() == []


async def test_a_message_for_another_execution_is_stale(world: World) -> None:
    """A message that names an execution is taken only by that execution."""
    await world.create()

    assert await world.append("old", execution_id="e0") == Refused("stale_execution")
    assert await world.append("current", execution_id="e1") == Appended(0)
    assert await world.append("any") == Appended(1)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.TERMINATED])
async def test_a_terminal_instance_takes_nothing(world: World, status: Status) -> None:
    """A terminal instance refuses messages, control messages too."""
    await world.create()
    await world.finish(status=status)

    assert await world.append("late") == Refused("terminal")
    assert await world.append("resume", control=True) == Refused("terminal")
    assert await world.inbox() == []
    assert await world.ready() == []


async def test_execution_is_checked_before_status(world: World) -> None:
    """The first check that fails is the one that is answered."""
    await world.create()
    await world.finish()
    assert await world.append("old", execution_id="e0") == Refused("stale_execution")


async def test_an_append_marks_ready_and_keeps_an_earlier_mark(world: World) -> None:
    """The mark is the age of the oldest unread message."""
    await world.create()
    assert await world.ready() == []
    await world.append("one")
    first = await world.store.read_ready(0, "", limit=10)

    await world.backend.elapse(5)
    await world.append("two")

    assert await world.store.read_ready(0, "", limit=10) == first
    assert first[0][0] == "order-1"
    assert first[0][1] <= await world.store.now_ms() - 5


async def test_ready_instances_come_oldest_first(world: World) -> None:
    """Who has waited longest is served first."""
    for instance_id in ("b", "c", "a"):
        await world.create(instance_id)
    for instance_id in ("c", "a", "b"):
        await world.append("one", instance_id)
        await world.backend.elapse(2)

    assert await world.ready() == ["c", "a", "b"]
    assert [name for name, _ in await world.store.read_ready(0, "", limit=2)] == ["c", "a"]


@pytest.mark.parametrize("hold", [Hold.SUSPENDED, Hold.STALLED, Hold.DELAYED])
async def test_a_held_instance_is_made_ready_by_control_alone(world: World, hold: Hold) -> None:
    """While held, messages are kept but do not wake; control messages do."""
    await world.create(hold=hold)

    assert await world.append("event") == Appended(0)
    assert await world.ready() == []
    assert await world.append("resume", control=True) == Appended(1)
    assert await world.ready() == ["order-1"]


async def test_ready_marks_belong_to_the_instances_version(world: World) -> None:
    """An engine of another version does not see the instance."""
    await world.create(version="v1")
    await world.append("one")

    assert await world.ready(version="v1") == ["order-1"]
    assert await world.ready(version="") == []


async def test_a_result_closes_its_call_once(world: World) -> None:
    """The first result is stored and removes the entry; a second is refused and stores nothing."""
    await world.create()
    await world.commit(activities_set=[open_call(1), open_call(2)])

    result = Append(0, "order-1", message("result", execution_id="e1"), closes=call(1))
    assert await world.do(result) == Appended(0)
    assert await world.do(result) == Refused("activity_closed")
    assert await world.inbox() == [(0, "result")]
    assert await world.entry(call(1)) is None
    assert await world.entry(call(2)) == open_call(2)


async def test_a_failure_counts_for_its_attempt_only(world: World) -> None:
    """A result that names an attempt closes the call only while that attempt is the current one."""
    await world.create()
    await world.commit(activities_set=[open_call(1, attempt=3)])

    stale = Append(0, "order-1", message("second failed"), closes=call(1), attempt=2)
    assert await world.do(stale) == Refused("stale_attempt")
    assert await world.entry(call(1)) is not None
    assert await world.inbox() == []
    current = Append(0, "order-1", message("third failed"), closes=call(1), attempt=3)
    assert await world.do(current) == Appended(0)
    assert await world.do(current) == Refused("activity_closed")


async def test_success_of_any_attempt_closes_the_call(world: World) -> None:
    """Attempt 0 means any."""
    await world.create()
    await world.commit(activities_set=[open_call(1, attempt=3)])
    assert await world.do(Append(0, "order-1", message("ok"), closes=call(1), attempt=0)) == Appended(0)


async def test_a_call_of_a_pinned_instance_is_found_under_its_version(world: World) -> None:
    """Results close calls of versioned instances though the sender does not name the version."""
    await world.create(version="v1")
    await world.commit(activities_set=[open_call(1)])
    assert await world.entry(call(1), version="v1") == open_call(1)

    assert await world.do(Append(0, "order-1", message("ok"), closes=call(1))) == Appended(0)
    assert await world.entry(call(1), version="v1") is None


async def test_binary_and_large_bodies_are_kept(world: World) -> None:
    """Bodies are opaque bytes of any size."""
    await world.create()
    bodies = [b"", bytes(range(256)), b"\r\n$-1\r\n", b"x" * 2_100_000]

    for body in bodies:
        await world.must(Appended, Append(0, "order-1", message("m", body=body)))

    records = await world.store.read_inbox(0, "order-1", first=0, end=10, limit=10)
    assert [record.body for record in records] == bodies
