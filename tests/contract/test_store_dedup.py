"""The de-duplication window: a repeated command has one effect."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from contract.backends import Backend
from contract.worlds import SHARDS, World, message, new_instance, timer
from tenuto_engine.core.status import Status
from tenuto_engine.ports.operations import Append, Create, FireReminder, Purge
from tenuto_engine.ports.outcomes import Appended, Created, Done, Exists
from tenuto_engine.ports.records import ReminderSet

WINDOW_MS = 40


@pytest.fixture
async def short(backend: Backend) -> AsyncIterator[World]:
    """A store that forgets after 40 ms."""
    store, leases = backend.make(dedup_window_ms=WINDOW_MS)
    await store.open(shards=SHARDS, durability=backend.durability)
    yield World(backend, store, leases)
    leases.close()
    await store.close()


async def test_a_remembered_command_is_taken_once(world: World) -> None:
    """The repetition is a duplicate and writes nothing."""
    await world.create()
    assert await world.append("raise-1", remember=True) == Appended(0)
    assert await world.append("raise-1", remember=True) == Appended(-1, duplicate=True)
    assert await world.inbox() == [(0, "raise-1")]


async def test_a_duplicate_is_told_before_anything_else(world: World) -> None:
    """A repetition is a duplicate also after its instance ended or was purged."""
    await world.create()
    await world.append("raise-1", remember=True)
    await world.finish()
    assert await world.append("raise-1", remember=True) == Appended(-1, duplicate=True)
    await world.must(Done, Purge(0, "order-1", "e1"))
    assert await world.append("raise-1", remember=True) == Appended(-1, duplicate=True)


async def test_a_refused_command_is_not_remembered(world: World) -> None:
    """What had no effect may be sent again."""
    await world.append("raise-1", remember=True)
    await world.create()
    assert await world.append("raise-1", remember=True) == Appended(0)


async def test_messages_that_are_not_remembered_may_repeat(world: World) -> None:
    """Ids of other messages are neither kept nor compared."""
    await world.create()
    assert await world.append("same") == Appended(0)
    assert await world.append("same") == Appended(1)
    assert await world.append("same", remember=True) == Appended(2)
    assert await world.append("same") == Appended(3)


async def test_each_shard_has_its_own_window(world: World) -> None:
    """A command is known where it had its effect."""
    await world.create(shard=0)
    await world.create(shard=1)
    assert await world.append("raise-1", shard=0, remember=True) == Appended(0)
    assert await world.append("raise-1", shard=1, remember=True) == Appended(0)


async def test_commits_and_reminders_remember_too(world: World) -> None:
    """Every way into an inbox looks into the same window."""
    await world.create()
    twice = message("m", remember=True)
    done = await world.commit(
        appends=[("order-1", twice), ("order-1", twice)], reminders_set=[ReminderSet(timer(1), 5)]
    )
    assert list(done.appended) == [Appended(0), Appended(-1, duplicate=True)]
    assert await world.do(FireReminder(0, world.token(), "", timer(1), twice)) == Appended(-1, duplicate=True)
    assert await world.store.count_reminders([0], "") == 0


async def test_the_window_ends_by_the_stores_clock(short: World) -> None:
    """After the window the same id is a new command."""
    await short.create()
    assert await short.append("raise-1", remember=True) == Appended(0)
    assert await short.append("raise-1", remember=True) == Appended(-1, duplicate=True)
    await short.backend.elapse(WINDOW_MS + 1)
    assert await short.append("raise-1", remember=True) == Appended(1)


async def test_the_window_of_a_purged_start_ends(short: World) -> None:
    """After the window the same start command makes an instance again."""
    new = new_instance(start_id="s1")
    await short.must(Created, Create(0, new))
    await short.finish()
    await short.must(Done, Purge(0, "order-1", "e1"))
    assert await short.do(Create(0, new)) == Exists(True, Status.COMPLETED, "")
    await short.backend.elapse(WINDOW_MS + 1)
    assert await short.do(Create(0, new)) == Created(ready=False)


async def test_old_ids_are_pruned_and_young_ones_kept(short: World) -> None:
    """Many commands over many windows: each is a duplicate inside its window, none outside."""
    await short.create()
    for round_ in range(4):
        group = [Append(0, "order-1", message(f"{round_}-{each}", remember=True)) for each in range(50)]
        assert all(outcome.number >= 0 for outcome in await short.store.execute(group) if isinstance(outcome, Appended))
        again = await short.store.execute(group[:1])
        assert again == [Appended(-1, duplicate=True)]
        await short.backend.elapse(WINDOW_MS + 1)
    assert (await short.stored()).inbox_next == 200
