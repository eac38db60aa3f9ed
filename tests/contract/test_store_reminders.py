"""Durable wake-ups: found by time, fired once, only when due by the store's clock."""

from __future__ import annotations

from contract.dumps import dump
from contract.worlds import FAR_MS, SHARDS, World, message, timer
from tenuto_engine.core.status import Hold
from tenuto_engine.ports.operations import DropReminder, FireReminder
from tenuto_engine.ports.outcomes import Appended, Done, Fenced, Refused
from tenuto_engine.ports.records import ReminderSet


async def _arm(world: World, offset_ms: int, event_id: int = 1, **key: str) -> None:
    due = await world.store.now_ms() + offset_ms
    await world.commit(reminders_set=[ReminderSet(timer(event_id, **key), due)])


def _fire(world: World, event_id: int = 1, **fields: object) -> FireReminder:
    return FireReminder(0, world.token(), "", timer(event_id), message("fired", execution_id="e1", **fields))


async def test_a_due_reminder_becomes_a_message_once(world: World) -> None:
    """Firing removes the reminder and appends its message in one operation; a second firing finds it gone."""
    await world.create()
    await _arm(world, -1)

    assert await world.do(_fire(world)) == Appended(0)
    assert await world.do(_fire(world)) == Refused("gone")
    assert await world.inbox() == [(0, "fired")]
    assert await world.ready() == ["order-1"]
    assert await world.store.count_reminders([0], "") == 0


async def test_an_early_reminder_stays(world: World) -> None:
    """What is not due by the store's clock is refused and kept, and due after its time."""
    await world.create()
    await _arm(world, FAR_MS, 1)
    await _arm(world, 20, 2)
    before = await dump(world.store, shards=SHARDS)
    assert await world.do(_fire(world, 1)) == Refused("early")
    assert await dump(world.store, shards=SHARDS) == before

    await world.backend.elapse(25)

    assert await world.do(_fire(world, 2)) == Appended(0)


async def test_firing_is_fenced(world: World) -> None:
    """Only the owner of the shard fires and drops."""
    await world.create()
    await _arm(world, -1)
    assert await world.do(FireReminder(0, "1-other", "", timer(1), message("fired"))) == Fenced()
    assert await world.do(DropReminder(0, "1-other", "", timer(1))) == Fenced()
    assert await world.store.count_reminders([0], "") == 1


async def test_a_void_message_goes_with_its_reminder(world: World) -> None:
    """A message that the instance refuses is dropped together with the reminder, and the answer says why."""
    await world.create("order-1")
    await _arm(world, -1, 1)
    await _arm(world, -1, 2)
    await _arm(world, -1, 3)

    stale = FireReminder(0, world.token(), "", timer(1), message("fired", execution_id="e0"))
    assert await world.do(stale) == Refused("stale_execution", dropped=True)
    assert await world.do(stale) == Refused("gone")
    await world.finish(reminders_removed=[timer(3)], reminders_set=[ReminderSet(timer(0, kind="retention"), 1)])
    assert await world.do(_fire(world, 2)) == Refused("terminal", dropped=True)
    assert await world.store.read_reminders(0, "", limit=10) == [(timer(0, kind="retention"), 1)]
    assert await world.inbox() == []


async def test_a_wake_up_passes_a_hold(world: World) -> None:
    """The reminder that ends a delay is a control message."""
    await world.create(hold=Hold.DELAYED, messages=[message("start")])
    await _arm(world, -1)
    assert await world.ready() == []
    assert await world.do(_fire(world, control=True)) == Appended(1)
    assert await world.ready() == ["order-1"]


async def test_reminders_come_earliest_first(world: World) -> None:
    """Due or not, the earliest are read first, with their times; the limit cuts the latest."""
    await world.create()
    now = await world.store.now_ms()
    for event_id, offset in ((1, 500), (2, -500), (3, 100_000), (4, 0)):
        await world.commit(reminders_set=[ReminderSet(timer(event_id), now + offset)])

    found = await world.store.read_reminders(0, "", limit=3)
    assert found == [(timer(2), now - 500), (timer(4), now), (timer(1), now + 500)]


async def test_setting_a_reminder_again_moves_it(world: World) -> None:
    """There is one reminder for a key."""
    await world.create()
    await world.commit(reminders_set=[ReminderSet(timer(1), 5_000)])
    await world.commit(reminders_set=[ReminderSet(timer(1), 9_000)])
    assert await world.store.read_reminders(0, "", limit=10) == [(timer(1), 9_000)]


async def test_every_part_of_the_key_tells_reminders_apart(world: World) -> None:
    """Kind, event, execution and instance each make another reminder."""
    await world.create("order-1")
    await world.create("order 1|2:{3}")
    keys = [
        timer(1),
        timer(2),
        timer(1, kind="retry"),
        timer(1, execution_id="e2"),
        timer(1, instance_id="order 1|2:{3}"),
    ]
    for key in keys:
        await world.commit(key.instance_id, reminders_set=[ReminderSet(key, 7)])
    found = await world.store.read_reminders(0, "", limit=10)
    assert sorted(str(key) for key, _ in found) == sorted(str(key) for key in keys)


async def test_a_reminder_is_dropped_whether_or_not_it_exists(world: World) -> None:
    """Dropping is idempotent."""
    await world.create()
    await _arm(world, 0)
    for _ in range(2):
        assert await world.do(DropReminder(0, world.token(), "", timer(1))) == Done()
    assert await world.store.count_reminders([0], "") == 0


async def test_reminders_are_counted_over_shards_by_version(world: World) -> None:
    """The count names shards and one version."""
    for shard in (0, 1, 2):
        await world.create(shard=shard)
        await world.commit(shard=shard, reminders_set=[ReminderSet(timer(each), 5) for each in range(shard + 1)])
    assert await world.store.count_reminders([0, 2], "") == 4
    assert await world.store.count_reminders([0, 2], "v1") == 0
    assert await world.store.count_reminders([], "") == 0
