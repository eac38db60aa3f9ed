"""A workflow that blocks its worker: the instances behind it have no part in that."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from faulty import Worker, World, a_while, until
from tenuto_engine.core import actions as a
from tenuto_engine.core.status import Status
from tenuto_engine.ports.inbound import TurnItem, TurnOutcome
from tenuto_engine.runtime.instance import Phase

INNOCENTS = ("innocent-1", "innocent-2")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An engine over a store in memory."""
    async with World() as made:
        yield made


def sweep(world: World) -> None:
    """What the engine does every second."""
    world.engine._turns.sweep_overdue(list(world.engine.workers.sessions.values()))


def block(world: World, worker: Worker) -> None:
    """The worker has not answered for as long as it may take."""
    for instance in worker.session.turns.values():
        assert instance.turn is not None
        instance.turn.sent_at -= 2 * world.engine.context.settings.turn_timeout_seconds
        instance.turn.reached_at -= 2 * world.engine.context.settings.turn_timeout_seconds
    sweep(world)


def failures(world: World, instance_id: str) -> int:
    """How many tries of its turn counted as failed."""
    instance = world.live(instance_id)
    return instance.failures if instance is not None else 0


def timeouts(world: World) -> float:
    """What the metrics say."""
    return world.engine.context.metrics.turns["timeout"].value


async def turns(worker: Worker, *instance_ids: str) -> dict[str, TurnItem]:
    """The next turns of the worker: those of these instances, in any order."""
    items = {item.instance_id: item for item in [await worker.turn() for _ in instance_ids]}
    assert sorted(items) == sorted(instance_ids)
    return items


async def in_turn(world: World, instance_id: str) -> None:
    """Wait until a worker was given the instance's turn."""
    await until(lambda: (live := world.live(instance_id)) is not None and live.phase is Phase.TURN)


async def completed(world: World, instance_id: str) -> None:
    """Wait for the instance's end."""
    await until(lambda: world.status(instance_id) is Status.COMPLETED)


async def begun(world: World) -> None:
    """Start the culprit, and once its turn is sent the innocent ones."""
    for instance_id in ("culprit", *INNOCENTS):
        await world.begin(instance_id)
        await in_turn(world, instance_id)


async def test_turns_behind_a_blocking_one_go_to_another_worker(world: World) -> None:
    """They are given to it at once, without a failed try; the blocked one gets nothing more."""
    first = world.worker()
    await begun(world)
    other = world.worker(worker_id="w2")
    block(world, first)
    items = await turns(other, "culprit", *INNOCENTS)
    assert not first.session.turns
    assert [failures(world, name) for name in ("culprit", *INNOCENTS)] == [1, 0, 0]
    for name in INNOCENTS:
        other.answer(items[name], a.CompleteExecution(1, None))
        await completed(world, name)
    await world.begin("later")
    await turns(other, "later")
    assert timeouts(world) == 1


async def test_turns_behind_a_blocking_one_wait_for_its_worker(world: World) -> None:
    """Without another worker they wait, sweep after sweep, and go on once the worker answers anything."""
    worker = world.worker()
    await begun(world)
    old = await turns(worker, "culprit", *INNOCENTS)
    block(world, worker)
    await world.begin("later")
    await a_while()
    block(world, worker)
    assert worker.idle
    assert {pair[0] for pair in worker.forgotten} == set(old)
    worker.answer(old["culprit"])
    items = await turns(worker, "culprit", *INNOCENTS, "later")
    worker.answer(old[INNOCENTS[0]], outcome=TurnOutcome.NEED_HISTORY)  # not forgotten in time, and of no effect
    for name in INNOCENTS:
        worker.answer(items[name], a.CompleteExecution(1, None))
        await completed(world, name)
    assert timeouts(world) == 1


async def test_a_worker_that_comes_takes_what_waits_behind_a_blocked_one(world: World) -> None:
    """A new worker is enough for the innocent ones, whatever becomes of the blocked one."""
    worker = world.worker()
    await begun(world)
    block(world, worker)
    await turns(world.worker(worker_id="w2"), "culprit", *INNOCENTS)
    assert not any(failures(world, name) for name in INNOCENTS)


async def test_a_turn_whose_history_cannot_be_read_blocks_no_worker(world: World) -> None:
    """What has not reached the worker cannot be what it is at: its other turns stay, and it gets new ones."""
    worker = world.worker(max_sticky=0)
    await world.begin("reading")
    worker.answer(await worker.turn())
    await until(lambda: world.stored("reading").head.history_length)  # type: ignore[union-attr]
    gate = world.store.hold_reads("read_history")
    await world.raise_event("reading", "go")
    await until(lambda: "reading" in worker.session.turns)
    await world.begin("innocent-1")
    await turns(worker, "innocent-1")
    reading = world.live("reading")
    assert reading is not None
    assert reading.turn is not None
    reading.turn.sent_at -= 2 * world.engine.context.settings.turn_timeout_seconds
    sweep(world)
    assert list(worker.session.turns) == ["innocent-1", "reading"]
    gate.set()
    await turns(worker, "reading")


async def test_a_workflow_that_blocks_again_and_again_stalls_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five failed tries it is stalled; its neighbours, each time behind it, are not."""
    monkeypatch.setattr("tenuto_engine.runtime.turns._FIRST_BACKOFF_MS", 1)
    worker = world.worker()
    await begun(world)
    items = await turns(worker, "culprit", *INNOCENTS)
    for tries in range(1, 6):
        block(world, worker)
        assert timeouts(world) == tries
        worker.answer(items["culprit"])
        if tries == 5:
            break
        items = await turns(worker, "culprit", *INNOCENTS)
        for name in INNOCENTS:
            worker.answer(items[name])
            await world.raise_event(name, "go")
            items |= await turns(worker, name)
    await until(lambda: world.status("culprit") is Status.STALLED)
    items = await turns(worker, *INNOCENTS)
    for name in INNOCENTS:
        worker.answer(items[name], a.CompleteExecution(1, None))
        await completed(world, name)
