"""What a taker must know at once: timers that are not due yet, and shards whose turns never end."""

from __future__ import annotations

from faulty import World, id_in_shard, until
from tenuto_engine.core import actions as a


async def test_a_timer_that_is_due_later_is_kept_over_a_takeover() -> None:
    """The new owner learns when the earliest reminder is due, and needs no sweep to find it then."""
    async with World() as world:
        worker = world.worker()
        await world.begin("order-1")
        due_ms = world.engine.context.clock.now_ms() + 1_500
        worker.answer(await worker.turn(), a.CreateTimer(1, due_ms))
        await until(lambda: world.reminders("order-1") == ["timer"])
        await world.restart()
        world.worker()
        await until(lambda: not world.reminders("order-1"), "the timer fired")


async def test_a_turn_that_never_ends_does_not_hold_its_shard() -> None:
    """A shard that is handed over waits for its turns so long and no longer; the turn runs again elsewhere."""
    async with World(linger_seconds=0.05, lease_seconds=600.0) as world:
        worker = world.worker()
        instance_id = id_in_shard(2)
        await world.begin(instance_id)
        await worker.turn()
        lease = world.engine.owned.shards[2].lease
        world.engine.owned.hand_over([lease], "rebalance")
        assert world.engine.owned.shards[2].leaving
        # Alone, this engine takes the shard again, under the next epoch.
        await until(lambda: 2 in world.engine.owned.shards and world.engine.owned.shards[2].lease.epoch > lease.epoch)
        again = await worker.turn()
        assert again.instance_id == instance_id
