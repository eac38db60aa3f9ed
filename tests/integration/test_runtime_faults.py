"""The engine's runtime with store, workers and clock at their worst: each test makes one order of events on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from faulty import SHARDS, World, a_while, events_of, id_in_shard, of_type, until
from tenuto_engine.codec.events import encode_event
from tenuto_engine.codec.records import MetadataBody, encode_record
from tenuto_engine.core import actions as a
from tenuto_engine.core import events as e
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.state import OpenChild
from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.errors import CommandRefused
from tenuto_engine.ports.inbound import TurnOutcome
from tenuto_engine.ports.operations import Append, Commit, Create, Deliver, ReplaceActivity
from tenuto_engine.ports.records import Head, IndexEntry, NewInstance
from tenuto_engine.runtime import ownership
from tenuto_engine.runtime.births import message_of
from tenuto_engine.runtime.clock import StoreClock
from tenuto_engine.runtime.instance import Phase
from tenuto_engine.runtime.nudges import News
from tenuto_engine.runtime.outbox import Outbox


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An engine over a store in memory that does as it is told."""
    async with World() as made:
        yield made


# -- messages -----------------------------------------------------------------------------------------------------


async def test_a_message_being_read_while_a_turn_is_committed_survives_a_crash(world: World) -> None:
    """The stored lower bound of unread messages never passes one that is still on its way into memory."""
    worker = world.worker()
    await world.begin("order-1")
    item = await worker.turn()
    gate = world.store.hold_reads("read_inbox")
    shard = world.engine.owned.shards[world.live("order-1").shard.number]  # type: ignore[union-attr]
    message = e.EventRaised("go")
    await world.store.inner.execute(
        [Append(shard.number, "order-1", message_of(encode_event(message), message_id="m", at_ms=0))]
    )
    world.engine._loading.deliver(shard, "order-1", 1)
    worker.answer(item)
    await until(lambda: world.stored("order-1").head.history_length)  # type: ignore[union-attr]
    await world.kill()
    gate.set()
    await world.start()
    again = await world.worker().turn()
    assert [type(event) for event in events_of(again)] == [e.TurnStarted, e.EventRaised]


async def test_nobody_is_told_of_an_end_that_is_not_stored(world: World) -> None:
    """Who waits while the terminal commit's outcome is unknown hears of the end only once it is durable."""
    worker = world.worker()
    await world.begin("order-1")
    item = await worker.turn()
    wait = world.engine.commands.wait("order-1", for_start=False, timeout_seconds=20, payloads=True)
    waiting = asyncio.get_running_loop().create_task(wait)
    await a_while()
    world.store.bend(of_type(Commit))
    worker.answer(item, a.CompleteExecution(1, b"1"))
    again = await worker.turn()
    assert not waiting.done()
    worker.answer(again, a.CompleteExecution(1, b"2"))
    view = await waiting
    assert view is not None
    assert (view.status, view.output) == (Status.COMPLETED, b"2")


async def test_a_call_that_was_read_before_it_ended_is_not_run_again(world: World) -> None:
    """A takeover reads open calls while the new owner runs them already: what it read may be over."""
    worker = world.worker()
    await world.begin("order-1")
    worker.answer(await worker.turn(), a.ScheduleActivity(1, "act"))
    call = await worker.call()
    shard = world.engine.owned.shards[shard_of("order-1", SHARDS)]
    gate = world.store.hold_reads("read_activities")
    reading = asyncio.get_running_loop().create_task(world.engine._activities.take_over(shard))
    await until(lambda: world.store.reads.get("read_activities"))
    worker.complete(call)
    worker.answer(await worker.turn(), a.CreateTimer(2, 4_000_000_000_000))
    await until(lambda: not shard.entries)
    gate.set()
    await reading
    await until(lambda: not shard.entries)
    await a_while()
    assert worker.idle


async def test_a_termination_needs_no_worker_even_where_a_turn_waits_for_one(world: World) -> None:
    """An instance whose turn waits for a worker that never comes can be terminated."""
    await world.begin("order-1")
    await a_while()
    await world.terminate("order-1")
    await until(lambda: world.status("order-1") is Status.TERMINATED)


async def test_a_resume_whose_news_was_lost_reaches_an_instance_with_unread_events() -> None:
    """The sweep looks at held instances too: their unread events must not hide a control message."""
    async with World(sweep_seconds=0.05) as world:
        worker = world.worker()
        await world.begin("order-1")
        worker.answer(await worker.turn())
        await world.engine.commands.suspend("", "order-1", "", "test")
        await until(lambda: world.status("order-1") is Status.SUSPENDED)
        await world.raise_event("order-1", "go")
        world.store.bend(of_type(Append), executed=True)
        with pytest.raises(Exception, match="did not answer whether it took the command"):
            await world.engine.commands.resume("c1", "order-1", "", "test")
        assert await world.engine.commands.resume("c1", "order-1", "", "test")
        item = await worker.turn()
        assert [type(event) for event in events_of(item)] == [e.TurnStarted, e.EventRaised]


# -- outbox -------------------------------------------------------------------------------------------------------


async def test_what_an_earlier_owner_left_to_send_goes_before_what_this_one_sends(world: World) -> None:
    """A new owner sends nothing before it has read what is unsent: the target ignores what comes out of order."""
    one, two = id_in_shard(0, prefix="one"), id_in_shard(0, prefix="two")
    first_child, second_child = id_in_shard(1, prefix="first"), id_in_shard(1, prefix="second")
    worker = world.worker(workflows=("flow",))
    world.store.bend(of_type(Deliver), times=1_000_000)
    await world.begin(one)
    worker.answer(await worker.turn(), a.StartChild(1, "child", first_child))
    await until(lambda: world.state.shards[0].outbox)
    await world.kill()
    world.store.straighten()
    gate = world.store.hold_reads("read_outbox")
    await world.start()
    worker = world.worker(workflows=("flow",))
    await world.begin(two)
    worker.answer(await worker.turn(), a.StartChild(1, "child", second_child))
    await until(lambda: len(world.state.shards[0].outbox) == 2)
    await a_while()
    gate.set()
    await until(lambda: world.stored(first_child), "the first child")
    await until(lambda: world.stored(second_child), "the second child")
    await until(lambda: not world.state.shards[0].outbox)


async def test_an_event_for_a_child_never_overtakes_its_start(world: World) -> None:
    """A parent may raise an event at a child that it has just started, also where both are in one shard."""
    parent, child = id_in_shard(0, prefix="parent"), id_in_shard(0, prefix="child")
    worker = world.worker()
    await world.begin(parent)
    worker.answer(await worker.turn(), a.StartChild(1, "flow", child), a.SendEvent(2, child, "go"))
    item = await worker.turn()
    received = [type(event) for event in events_of(item)]
    if e.EventRaised not in received:
        worker.answer(item)
        received += [type(event) for event in events_of(await worker.turn())]
    assert e.ExecutionStarted in received
    assert e.EventRaised in received


async def test_terminating_a_parent_reaches_a_child_whose_start_is_still_in_the_outbox(world: World) -> None:
    """A tree is terminated whole, whatever is still on its way."""
    parent, child = id_in_shard(0, prefix="parent"), id_in_shard(0, prefix="child")
    worker = world.worker(workflows=("flow",))
    await world.begin(parent)
    item = await worker.turn()
    world.store.bend(of_type(Deliver), times=3)
    worker.answer(item, a.StartChild(1, "absent", child))
    await until(lambda: world.state.shards[0].outbox)
    await world.terminate(parent)
    await until(lambda: world.status(child) is Status.TERMINATED)


# -- turns --------------------------------------------------------------------------------------------------------


async def test_a_turn_recorded_in_part_is_completed_after_failed_tries() -> None:
    """Back-off and restarts between the parts of an oversized turn lose none of its actions."""
    async with World(limits={"commit_records": 3}, sweep_seconds=0.05) as world:
        worker = world.worker()
        await world.begin("order-1")
        item = await worker.turn()
        parts = 0

        def is_second_part(operation: object) -> bool:
            nonlocal parts
            parts += isinstance(operation, Commit)
            return isinstance(operation, Commit) and parts == 2

        world.store.bend(is_second_part)
        schedule = [a.ScheduleActivity(i, "act") for i in range(1, 6)]
        worker.answer(item, *schedule)
        recorded = 0
        for _ in range(3):
            item = await worker.turn()
            recorded = sum(isinstance(event, e.ActivityScheduled) for event in events_of(item))
            worker.answer(item, outcome=TurnOutcome.FAILED)
        item = await worker.turn()
        assert recorded == sum(isinstance(event, e.ActivityScheduled) for event in events_of(item)) == 1
        worker.answer(item, *schedule[recorded:])
        await until(lambda: sum(isinstance(x, e.ActivityScheduled) for x in world.history("order-1")) == 5)


@pytest.mark.parametrize(("outcome", "failure"), [(99, b""), (TurnOutcome.FAILED, b"\xff\xffgarbage")])
async def test_a_worker_that_answers_nonsense_stalls_only_its_instance(outcome: int, failure: bytes) -> None:
    """Unknown outcomes and unreadable failures count as failed tries, and end like these."""
    async with World(max_turn_failures=2) as world:
        worker = world.worker()
        await world.begin("order-1")
        for _ in range(2):
            worker.answer(await worker.turn(), outcome=outcome, failure=failure)
        await until(lambda: world.status("order-1") is Status.STALLED)


async def test_a_timer_created_and_cancelled_in_one_turn_leaves_no_reminder(world: World) -> None:
    """Nothing stays armed that no history opens."""
    worker = world.worker()
    await world.begin("order-1")
    worker.answer(await worker.turn(), a.CreateTimer(1, 4_000_000_000_000), a.CancelTimer(1))
    await until(lambda: world.stored("order-1").head.history_length)  # type: ignore[union-attr]
    assert world.reminders("order-1") == []


async def test_a_slot_freed_without_an_answer_goes_to_the_next_in_line() -> None:
    """What waits for a busy worker is handed out when the worker's work is taken from it."""
    async with World() as world:
        one, two = id_in_shard(0), id_in_shard(1)
        worker = world.worker(max_turns=1)
        await world.begin(one)
        await worker.turn()
        await world.begin(two)
        await a_while()
        assert worker.idle
        shard = world.engine.owned.shards[0]
        world.engine.owned.lost(shard.lease, "test")
        assert (await worker.turn()).instance_id == two


# -- activities ---------------------------------------------------------------------------------------------------


async def test_calls_lost_with_a_stream_that_was_replaced_are_delivered_again(world: World) -> None:
    """A worker that is back before its former stream was seen to end gets again what it never received."""
    worker = world.worker()
    await world.begin("order-1")
    worker.answer(await worker.turn(), a.ScheduleActivity(1, "act"))
    first = await worker.call()
    again = world.worker()
    second = await again.call()
    assert (second.event_id, second.deliveries) == (1, first.deliveries + 1)


async def test_an_activity_that_kills_every_worker_fails_instead_of_looping() -> None:
    """At the limit of deliveries the call fails, without retry, and its failure says how often it was delivered."""
    async with World(max_deliveries=3) as world:
        worker = world.worker()
        await world.begin("order-1")
        retry = e.RetryPolicy(first_interval_ms=1, max_attempts=0)
        worker.answer(await worker.turn(), a.ScheduleActivity(1, "act", retry=retry))
        for delivery in range(1, 4):
            assert (await worker.call()).deliveries == delivery
            worker.leave()
            worker = world.worker(worker_id=f"w{delivery + 1}")
        (failed,) = [event for event in events_of(await worker.turn()) if isinstance(event, e.ActivityFailed)]
        assert "delivered 3 times" in failed.failure.message
        assert "max_deliveries" in failed.failure.message
        assert failed.failure.non_retryable


async def test_a_failure_that_races_with_its_timeout_loses_no_call(world: World) -> None:
    """A failure refused because the attempt is over leaves the next attempt watched."""
    worker = world.worker()
    await world.begin("order-1")
    retry = e.RetryPolicy(first_interval_ms=50, max_attempts=3)
    worker.answer(await worker.turn(), a.ScheduleActivity(1, "act", retry=retry, start_to_close_ms=20))
    gate = world.store.hold(of_type(ReplaceActivity))
    call = await worker.call()
    await until(lambda: _in_flight(world))
    worker.fail(call, e.Failure("Broken", "no", non_retryable=True))
    gate.set()
    assert (await worker.call()).attempt == 2


def _in_flight(world: World) -> bool:
    shard = world.engine.owned.shards
    return any(entry.session is None for s in shard.values() for entry in s.entries.values())


async def test_a_start_to_close_timeout_is_kept_by_the_next_owner(world: World) -> None:
    """An activity that hangs in a worker that outlives the engine is timed out by the engine's successor."""
    worker = world.worker()
    await world.begin("order-1")
    worker.answer(await worker.turn(), a.ScheduleActivity(1, "act", start_to_close_ms=100))
    call = await worker.call()
    await world.kill()
    await world.start()
    worker = world.worker(running=(call.token,))
    item = await worker.turn()
    assert any(isinstance(event, e.ActivityFailed) for event in events_of(item))


# -- loops --------------------------------------------------------------------------------------------------------


async def test_an_error_in_the_store_driver_ends_no_loop(world: World) -> None:
    """Whatever a driver raises, the group's outcome is unknown, and the engine goes on."""
    worker = world.worker()
    world.store.bend(of_type(Create), RuntimeError("a fault of the driver"))
    with pytest.raises(Exception, match="did not answer whether it took the command"):
        await world.begin("order-1")
    await world.begin("order-1")
    assert (await worker.turn()).instance_id == "order-1"


async def test_an_engine_forgets_everything_when_its_store_is_another_one(world: World) -> None:
    """A store that restarted between two renewals may have lost writes: every shard is acquired and loaded anew."""
    worker = world.worker()
    await world.begin("order-1")
    worker.answer(await worker.turn())
    before = dict(world.engine.owned.shards)
    world.store.life = "second"
    with pytest.raises(CommandRefused, match="no instance"):
        await world.raise_event("order-2", "go")
    await until(
        lambda: (
            len(world.engine.owned.shards) == SHARDS
            and all(world.engine.owned.shards[n] is not shard for n, shard in before.items())
        )
    )


async def test_the_clock_follows_the_store_when_it_is_set_back() -> None:
    """Timers are not late by as much as the store's clock was wrong."""
    clock = StoreClock()
    now = clock.now_ms()
    clock.learn(now + 3_600_000, 0, 0)
    ahead = clock.now_ms()
    clock.learn(1_000, 0, 0)
    assert clock.now_ms() < ahead


async def test_a_record_that_cannot_be_read_is_not_read_again_at_every_sweep() -> None:
    """A poisoned instance costs a read now and then, not one for each sweep; others are not affected."""
    async with World(sweep_seconds=0.005) as world:
        await _store(world, "order-1", status=Status.RUNNING, metadata=b"\xff", unread=True)
        await until(lambda: world.store.reads.get("read_instance"))
        await until(lambda: world.store.reads["read_ready_many"] > 20)
        assert world.store.reads["read_instance"] == 1
        worker = world.worker()
        await world.begin("order-2")
        assert (await worker.turn()).instance_id == "order-2"


async def test_instances_that_wait_for_a_worker_hide_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many instances wait for code that nobody serves, the sweep finds those behind them."""
    monkeypatch.setattr(ownership, "_READY_BATCH", 2)
    async with World(sweep_seconds=0.005) as world:
        ids = [name for i in range(100) if shard_of(name := f"order-{i}", SHARDS) == 0][:9]
        for instance_id in ids[:8]:
            await world.begin(instance_id, name="absent")
        worker = world.worker()
        started = e.ExecutionStarted("flow", ids[8], "x")
        await _store(world, ids[8], status=Status.PENDING, unread=True, message=encode_event(started))
        assert (await worker.turn()).instance_id == ids[8]


async def test_an_instance_of_another_version_is_left_to_the_engines_of_that_version(world: World) -> None:
    """An engine runs no instance that is pinned to code it does not have."""
    worker = world.worker()
    await world.begin("order-1", version="v2")
    await world.begin("order-2")
    assert (await worker.turn()).instance_id == "order-2"
    await world.raise_event("order-1", "go")
    await a_while()
    assert world.live("order-1") is None
    assert worker.idle


# -- purge --------------------------------------------------------------------------------------------------------


async def test_a_tree_of_any_depth_is_purged(world: World) -> None:
    """The depth of a tree is bounded by nothing in the engine."""
    depth = 1_500
    for level in range(depth):
        children = [OpenChild(1, f"order-{level + 1}", "x")] if level + 1 < depth else []
        parent = e.Parent(f"order-{level - 1}", "x", 1) if level else None
        body = MetadataBody("flow", 1, 0, 0, parent=parent, children=children)
        await _store(world, f"order-{level}", status=Status.COMPLETED, metadata=encode_record(body))
    assert await world.engine.commands.purge("order-0", recursive=True, force=False, requested_by="test") == depth


async def test_a_forced_purge_misses_no_child_that_is_started_meanwhile(world: World) -> None:
    """A running parent is ended before its children are looked for."""
    worker = world.worker()
    await world.begin("order-1")
    item = await worker.turn()
    held = world.store.hold(of_type(Append))
    async with asyncio.TaskGroup() as group:
        group.create_task(world.engine.commands.purge("order-1", recursive=True, force=True, requested_by="test"))
        await a_while()
        worker.answer(item, a.StartChild(1, "flow", "child-1"))
        held.set()
        worker.answer(await worker.turn())
    assert world.stored("child-1") is None
    assert world.stored("order-1") is None


async def _store(
    world: World,
    instance_id: str,
    *,
    status: Status,
    metadata: bytes = b"",
    unread: bool = False,
    message: bytes = b"",
) -> None:
    """Write an instance as an earlier owner might have left it."""
    head = Head(status, Hold.NONE, "x", "", 0, 0, 0, "", f"s-{instance_id}")
    body = metadata or encode_record(MetadataBody("flow", 1, 0, 0))
    messages = [message_of(message, message_id="m", at_ms=0)] if unread else []
    new = NewInstance(instance_id, head, body, IndexEntry("flow", status, 0), messages)
    await world.store.inner.execute([Create(shard_of(instance_id, SHARDS), new)])


async def test_messages_that_an_unknown_engine_may_have_left_go_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the keeper asks who is alive, the store is asked what is unsent: a newcomer's messages may be older."""
    worker = world.worker()
    await world.begin("order-1")
    turn = await worker.turn()
    monkeypatch.setattr(world.engine.context, "knows_members", lambda: False)
    before = world.store.reads["read_outbox"]
    worker.answer(turn, a.StartChild(1, "flow", "child-1"))
    assert (await worker.turn()).instance_id == "child-1"
    assert world.store.reads["read_outbox"] > before


async def test_a_call_that_cannot_be_looked_at_stops_no_timer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timers go on to fire, whatever went wrong with the calls looked after beside them."""
    worker = world.worker()
    looks = world.engine._reminders.look
    broken = 0

    def look() -> None:
        nonlocal broken
        broken += 1
        if broken < 3:
            raise RuntimeError("a fault of ours")
        looks()

    monkeypatch.setattr(world.engine._reminders, "look", look)
    world.engine._reminders.nudge()
    await a_while()
    await world.begin("order-1")
    worker.answer(await worker.turn(), a.CreateTimer(1, 1))
    assert any(isinstance(event, e.TimerFired) for event in events_of(await worker.turn()))


async def test_a_group_that_cannot_be_told_of_is_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither counting nor nudging is worth an engine that stores nothing any more."""

    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    worker = world.worker()
    with monkeypatch.context() as patch:
        patch.setattr(world.engine._committer, "on_executed", broken)
        await asyncio.wait_for(world.begin("order-1"), 30)
    worker.answer(await worker.turn())
    await until(lambda: world.status("order-1") is Status.RUNNING)


async def test_an_engine_that_waits_for_long_is_told_once(world: World) -> None:
    """It asks several times a second; others that ask later are told as well."""
    worker = world.worker()
    await world.begin("order-1")
    worker.answer(await worker.turn())
    await until(lambda: world.live("order-1"))
    number = shard_of("order-1", SHARDS)
    for _ in range(200):
        world.engine.owned.nudged(number, News(watch=[("order-1", "patient")]))
    world.engine.owned.nudged(number, News(watch=[("order-1", "late")]))
    live = world.live("order-1")
    assert live is not None
    assert len(live.on_progress) == 2


async def test_a_termination_whose_news_was_lost_reaches_an_instance_that_waits_for_a_worker() -> None:
    """Another engine has stored it, and its nudge went astray; no worker comes for the instance."""
    async with World(sweep_seconds=0.05) as world:
        names = [f"order-{n}" for n in range(100)]
        for name in names:
            await world.begin(name)
        await until(lambda: all((live := world.live(n)) and live.phase is Phase.WAITING for n in names))
        event = encode_event(e.ExecutionTerminated(None, False, "", ""))
        for name in names:
            message = message_of(event, message_id=f"end-{name}", at_ms=1, control=True)
            await world.store.execute([Append(shard_of(name, SHARDS), name, message)])
        await until(lambda: all(world.status(name) is Status.TERMINATED for name in names), "terminated")


async def test_a_shard_whose_takeover_met_a_fault_is_taken_over_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its open calls would be run by nobody, for as long as this engine owns it."""
    monkeypatch.setattr(ownership, "_LONG_PAUSE_SECONDS", 0.01)
    async with World() as world:
        worker = world.worker()
        await world.begin("order-1")
        worker.answer(await worker.turn(), a.ScheduleActivity(1, "act"))
        await worker.call()
        left = [RuntimeError("a fault of ours")] * SHARDS
        original = Outbox.taken_over

        def taken_over(*args: Any) -> None:
            if left:
                raise left.pop()
            original(*args)

        monkeypatch.setattr(Outbox, "taken_over", taken_over)
        await world.restart()
        assert (await world.worker().call()).event_id == 1


async def test_a_worker_that_comes_back_with_a_closed_call_is_told(world: World) -> None:
    """Its instance was ended while no stream was open: nobody else would ever cancel what it still runs."""
    worker = world.worker()
    await world.begin("order-1")
    worker.answer(await worker.turn(), a.ScheduleActivity(1, "act"))
    call = await worker.call()
    await world.restart()
    await world.terminate("order-1")
    await until(lambda: world.status("order-1") is Status.TERMINATED)
    back = world.worker(running=[call.token])
    await until(lambda: back.was_told(call), "a cancellation")


async def test_a_worker_that_comes_back_with_a_former_delivery_is_told_when_it_beats(world: World) -> None:
    """Another worker has the call by now; the first one's result counts if it comes first, and its beats do not."""
    worker = world.worker()
    await world.begin("order-1")
    worker.answer(await worker.turn(), a.ScheduleActivity(1, "act"))
    call = await worker.call()
    await world.restart()
    again = await world.worker(worker_id="other").call()
    assert again.deliveries == 2
    back = world.worker(running=[call.token])
    await a_while()
    back.beat(call)
    assert back.was_told(call)
