"""Activities where several engines share an app: each test makes one order of claims, results, deaths on purpose."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from faulty import SHARDS, Cluster, Worker, World, a_while, events_of, of_type, until
from tenuto_engine.codec.records import encode_record
from tenuto_engine.core import actions as a
from tenuto_engine.core import events as e
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.status import Status
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.inbound import ActivityAnswer, ActivityItem, TurnItem
from tenuto_engine.ports.operations import Append, Operation, ReplaceActivity
from tenuto_engine.ports.records import ActivityKey, Hint
from tenuto_engine.runtime.nudges import News

RETRY = e.RetryPolicy(first_interval_ms=10, max_attempts=5)


@pytest.fixture
async def pair() -> AsyncIterator[Cluster]:
    """Two engines."""
    async with Cluster(2, sweep_seconds=0.1) as made:
        yield made


def owned_by(world: World) -> str:
    """An instance id in a shard of this engine."""
    names = (f"order-{i}" for i in range(10_000))
    return next(name for name in names if shard_of(name, SHARDS) in world.engine.owned.shards)


async def scheduled(owner: World, worker: Worker, instance_id: str, *actions: a.Action, **fields: Any) -> None:
    """Start an instance whose first turn schedules activities; one by default."""
    await owner.begin(instance_id)
    worker.answer(await worker.turn(), *(actions or (a.ScheduleActivity(1, "act", **fields),)))


async def results(worker: Worker, *types: type) -> list[e.Event]:
    """Those events of these types that the next turn brings."""
    return [event for event in events_of(await worker.turn()) if isinstance(event, types)]


def is_claim_by(world: World) -> Callable[[Operation], bool]:
    """Operations that claim a call for this engine."""
    claim = world.engine.context.engine_id.encode()
    return lambda operation: isinstance(operation, ReplaceActivity) and claim in operation.record.data


async def spilled(pair: Cluster, **fields: Any) -> tuple[str, Worker, Worker, ActivityItem]:
    """A call of an instance of the first engine that the second one runs, since the first one's worker has no room."""
    one = pair[0].worker(max_activities=1)
    two = pair[1].worker(worker_id="w2", workflows=())
    await pair.settled()
    instance_id = owned_by(pair[0])
    await scheduled(
        pair[0], one, instance_id, a.ScheduleActivity(1, "act", **fields), a.ScheduleActivity(2, "act", **fields)
    )
    first = await one.call()
    assert first.event_id == 1
    call = await two.call()
    assert (call.event_id, call.attempt, call.deliveries) == (2, 1, 1)
    return instance_id, one, two, call


async def test_what_finds_no_room_runs_at_another_engine(pair: Cluster) -> None:
    """A call beyond the free slots is claimed by an engine with a free worker, and its result reaches the owner."""
    instance_id, one, two, call = await spilled(pair)
    entry = pair.entry(instance_id, 2)
    assert entry is not None
    assert entry.claim == pair[1].engine.context.engine_id
    two.complete(call, b"7")
    assert await results(one, e.ActivityCompleted) == [e.ActivityCompleted(2, b"7", 1)]
    await until(lambda: pair.entry(instance_id, 2) is None)
    assert ActivityKey(2, call.execution_id, instance_id) not in pair[1].engine._activities._calls.held


async def test_workers_that_take_any_name_take_what_others_spill(pair: Cluster) -> None:
    """A worker that does not say what it has (Durable Task's) helps other engines too, with names it hears of."""
    one = pair[0].worker(max_activities=1)
    two = pair[1].worker(worker_id="w2", workflows=(), activities=(), takes_any=True)
    await pair.settled()
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id, a.ScheduleActivity(1, "act"), a.ScheduleActivity(2, "act"))
    call = await two.call()
    assert call.event_id == 2
    assert pair[1].engine.others_know(two.session, activity="act", token=call.token), "the owner may know who has it"
    pair[1].engine.activity_answered(two.session, ActivityAnswer(call.token, rejected=True))
    one.complete(await one.call())
    back = await one.call()
    assert (back.event_id, back.attempt) == (2, 1)


async def test_a_result_told_to_another_engine_counts(pair: Cluster) -> None:
    """A worker without a stream of its own answers whichever engine its call reaches; both engines learn of it."""
    one = pair[0].worker()
    await pair.settled()
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id)
    call = await one.call()
    pair[1].engine.stray_answered(ActivityAnswer(call.token, b"7"))
    assert await results(one, e.ActivityCompleted) == [e.ActivityCompleted(1, b"7", 1)]
    pair[1].engine.stray_answered(ActivityAnswer(call.token, b"8"))
    pair[1].engine.stray_answered(ActivityAnswer("no token"))
    await until(lambda: pair.entry(instance_id) is None)
    assert not pair[0].engine._activities._calls.held


async def test_a_call_that_fits_costs_no_more_where_others_share(pair: Cluster) -> None:
    """Calls within the free slots are claimed by the commit: nothing else is written but the result."""
    one, _ = pair[0].worker(), pair[1].worker(worker_id="w2")
    await pair.settled()
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id)
    one.complete(await one.call())
    await until(lambda: pair.entry(instance_id) is None)
    written = [type(operation) for operation, _ in pair[0].store.log + pair[1].store.log]
    assert ReplaceActivity not in written
    assert written.count(Append) == 1


async def test_a_failure_is_settled_by_whoever_ran_the_call(pair: Cluster) -> None:
    """The engine that ran a failed attempt arranges the next one, which the owner begins when it is due."""
    instance_id, one, two, call = await spilled(pair, retry=RETRY)
    two.fail(call, e.Failure("Broken", "no"))
    again = await two.call()
    assert (again.event_id, again.attempt, again.deliveries) == (2, 2, 2)
    entry = pair.entry(instance_id, 2)
    assert entry is not None
    assert entry.last_failure == "Broken: no"
    two.fail(again, e.Failure("Broken", "for good", non_retryable=True))
    (failed,) = await results(one, e.ActivityFailed)
    assert isinstance(failed, e.ActivityFailed)
    assert (failed.event_id, failed.failure.message) == (2, "for good")


@pytest.mark.parametrize("succeeds", [True, False])
async def test_an_answer_counts_after_the_shard_was_handed_over(pair: Cluster, *, succeeds: bool) -> None:
    """Whoever owns the shard by then: a result closes the call, a failure has its attempt followed by the next."""
    one, two = pair[0].worker(), pair[1].worker(worker_id="w2")
    await pair.settled()
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id, retry=RETRY)
    call = await one.call()
    pair[0].engine.owned.drain()
    await until(lambda: pair.owner(instance_id) is pair[1], "the shard handed over")
    if succeeds:
        one.complete(call, b"7")
        assert await results(two, e.ActivityCompleted) == [e.ActivityCompleted(1, b"7", 1)]
    else:
        one.fail(call, e.Failure("Broken", "no"))
        await until(lambda: one.was_acknowledged(call), "the failure acknowledged")
        again = await next_call(one, two)
        assert (again.attempt, again.deliveries) == (2, 2)


async def next_call(*workers: Worker) -> ActivityItem:
    """The next activity that any of these workers is sent."""
    await until(lambda: any(worker.calls_waiting for worker in workers), "an activity for some worker")
    return await next(worker for worker in workers if worker.calls_waiting).call()


async def test_calls_queued_at_an_engine_that_drains_go_to_others_at_once(pair: Cluster) -> None:
    """What no worker of a draining engine has begun is given back, with the reason, and counts as not delivered."""
    one = pair[0].worker(max_activities=1)
    await until(lambda: len(pair[0].engine.owned.shards) == SHARDS)
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id, a.ScheduleActivity(1, "act"), a.ScheduleActivity(2, "act"))
    first = await one.call()
    two = pair[1].worker(worker_id="w2")
    drain = asyncio.create_task(pair[0].engine.drain())
    call = await two.call()
    assert (call.event_id, call.deliveries) == (2, 1)
    entry = pair.entry(instance_id, 2)
    assert entry is not None
    assert "is draining" in entry.given_back
    one.complete(first)
    two.complete(call)
    await drain


async def test_what_outlasts_the_drain_is_given_back_with_the_reason(pair: Cluster) -> None:
    """An activity that runs past the grace period is delivered elsewhere at once, under the same idempotency key."""
    one, two = pair[0].worker(), pair[1].worker(worker_id="w2")
    await pair.settled()
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id)
    first = await one.call()
    await pair[0].engine.drain()
    again = await two.call()
    assert (again.event_id, again.attempt, again.deliveries) == (1, 1, first.deliveries + 1)
    assert (again.instance_id, again.execution_id) == (first.instance_id, first.execution_id)
    entry = pair.entry(instance_id)
    assert entry is not None
    assert "drained before it ended" in entry.given_back
    one.complete(first, b"late")
    assert await results(two, e.ActivityCompleted) == [e.ActivityCompleted(1, b"late", 1)]
    two.complete(again, b"too late")
    await until(lambda: two.was_acknowledged(again))
    assert sum(isinstance(event, e.ActivityCompleted) for event in pair[1].history(instance_id)) <= 1


async def test_a_call_of_an_engine_that_died_is_delivered_again(pair: Cluster) -> None:
    """The owner delivers again once the claim's holder is no member any more."""
    instance_id, one, _, call = await spilled(pair)
    await pair[1].kill()
    one.complete(await first_of(pair, one, instance_id))
    again = await one.call()
    assert (again.event_id, again.attempt, again.deliveries) == (2, 1, 2)
    assert again.execution_id == call.execution_id
    await pair[1].start()


async def first_of(pair: Cluster, worker: Worker, instance_id: str) -> ActivityItem:
    """The call that the first engine's worker has had since the beginning."""
    (held,) = [held for held in worker.session.runs.values() if held.key.instance_id == instance_id]
    return ActivityItem(held.running, instance_id, held.key.execution_id, 1, "act", None, 1, 1, 0, 0, "flow")


async def test_an_engine_that_dies_between_taking_a_hint_and_its_claim_loses_no_call(pair: Cluster) -> None:
    """The owner tells of an unclaimed call again."""
    one = pair[0].worker(max_activities=1)
    two = pair[1].worker(worker_id="w2", workflows=())
    await pair.settled()
    gate = pair[1].store.hold_reads("read_calls")
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id, a.ScheduleActivity(1, "act"), a.ScheduleActivity(2, "act"))
    first = await one.call()
    await until(lambda: pair[1].store.reads.get("read_calls"), "the hint taken")
    await pair[1].kill()
    gate.set()
    one.complete(first)
    again = await one.call()
    assert (again.event_id, again.deliveries) == (2, 1)
    assert two.idle
    await pair[1].start()


@pytest.mark.parametrize("executed", [True, False])
async def test_a_claim_whose_answer_was_lost_is_decided_by_the_store(pair: Cluster, *, executed: bool) -> None:
    """The call is run once, whether or not the claim had been stored."""
    pair[1].store.bend(is_claim_by(pair[1]), executed=executed)
    _, one, two, call = await spilled(pair)
    assert call.deliveries == 1
    two.complete(call)
    assert await results(one, e.ActivityCompleted) == [e.ActivityCompleted(2, b"1", 1)]
    assert two.idle


async def test_of_two_that_claim_one_call_one_runs_it() -> None:
    """A hint told twice has one effect: the loser of the claim drops it."""
    async with Cluster(3) as three:
        one = three[0].worker(max_activities=1)
        others = [three[i].worker(worker_id=f"w{i}", workflows=()) for i in (1, 2)]
        await three.settled()
        instance_id = owned_by(three[0])
        gates = [three[i].store.hold(of_type(ReplaceActivity)) for i in (1, 2)]
        await scheduled(three[0], one, instance_id, a.ScheduleActivity(1, "act"), a.ScheduleActivity(2, "act"))
        await one.call()
        await until(lambda: sum(three[i].store.reads.get("read_calls", 0) for i in (1, 2)))
        entries = three[0].engine.owned.shards[shard_of(instance_id, SHARDS)].entries
        (call,) = [call for key, call in entries.items() if key.event_id == 2]
        three[0].engine._activities._spill.tell([call])
        await until(lambda: all(three[i].store.reads.get("read_calls", 0) for i in (1, 2)))
        for gate in gates:
            gate.set()
        await until(lambda: sum(worker.calls_waiting for worker in others) == 1)
        await a_while()
        assert sum(worker.calls_waiting for worker in others) == 1


async def test_a_paused_engine_whose_call_went_elsewhere_is_told(pair: Cluster) -> None:
    """Taken for gone, an engine finds its claim replaced; its worker's late success still closes the call."""
    instance_id, one, two, call = await spilled(pair, heartbeat_ms=3_000)
    one.complete(await first_of(pair, one, instance_id))
    await one.turn()
    pair[1].leases.is_cut_off = True
    pair.state.members.pop(pair[1].engine.context.engine_id)
    again = await one.call()
    assert (again.event_id, again.deliveries) == (2, 2)

    def beaten() -> str | None:
        two.beat(call)
        return two.was_told(call)

    await until(beaten, "the late runner told")
    two.complete(call, b"late")
    one.complete(again, b"again")
    await until(lambda: pair.entry(instance_id, 2) is None)


async def test_the_end_of_an_instance_is_told_to_whoever_runs_its_calls(pair: Cluster) -> None:
    """Terminating an instance cancels its activities at every engine, and says why."""
    instance_id, one, two, call = await spilled(pair)
    first = await first_of(pair, one, instance_id)
    await pair[1].terminate(instance_id)
    await until(lambda: two.was_told(call), "the other engine's worker told")
    await until(lambda: one.was_told(first), "the owner's worker told")
    assert instance_id in (two.was_told(call) or "")
    assert pair[0].status(instance_id) is Status.TERMINATED
    assert not pair[1].engine._activities._calls.held


async def test_a_heartbeat_finds_a_call_closed(pair: Cluster) -> None:
    """Where the news of the end was lost, the next heartbeat that is written brings the cancellation back."""
    instance_id, _, two, call = await spilled(pair, heartbeat_ms=300_000)
    pair.state.receivers.clear()
    await pair[0].terminate(instance_id)
    await until(lambda: pair[0].status(instance_id) is Status.TERMINATED)
    assert two.was_told(call) is None
    (held,) = pair[1].engine._activities._calls.held.values()
    held.beat_stored_ms = -1_000_000
    held.body = replace(held.body, claimed_at_ms=0)
    two.beat(call)
    await until(lambda: two.was_told(call))


async def test_an_owner_that_missed_every_nudge_finds_what_is_due(pair: Cluster) -> None:
    """A retry that another engine arranged is begun although the owner never heard of it."""
    _, one, two, call = await spilled(pair, retry=RETRY)
    pair.state.receivers.clear()
    two.fail(call, e.Failure("Broken", "no"))
    again = await next_call(one, two)
    assert (again.event_id, again.attempt) == (2, 2)


async def test_a_long_queue_is_shared_with_an_engine_that_comes_later(pair: Cluster) -> None:
    """Calls claimed while the engine was alone are given back when another one has room; none was delivered twice."""
    one = pair[0].worker(max_activities=1)
    await until(lambda: len(pair[0].engine.owned.shards) == SHARDS)
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id, *(a.ScheduleActivity(i, "act") for i in range(1, 21)))
    await one.call()
    two = pair[1].worker(worker_id="w2", workflows=())
    await until(lambda: two.calls_waiting == 19, "the rest at the other engine")
    assert {(await two.call()).deliveries for _ in range(19)} == {1}


async def test_an_activity_that_no_worker_here_has_goes_where_it_is_registered(pair: Cluster) -> None:
    """Engines take only hints for activities that their workers have registered."""
    one = pair[0].worker(activities=("other",))
    two = pair[1].worker(worker_id="w2", workflows=(), activities=("act",))
    await pair.settled()
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id)
    two.complete(await two.call())
    assert await results(one, e.ActivityCompleted)
    assert one.calls_waiting == 0


async def test_a_worker_keeps_its_activity_over_the_death_of_its_engine(pair: Cluster) -> None:
    """A worker that reconnects to a new engine at the same place is not sent again what it runs, whoever owns it."""
    instance_id, one, two, call = await spilled(pair)
    await pair[1].kill()
    await pair[1].start()
    back = pair[1].worker(worker_id="w2", workflows=(), running=[call.token])
    await until(
        lambda: (
            (entry := pair.entry(instance_id, 2)) is not None
            and entry.claim == pair[1].engine.context.engine_id
            and call.token in back.session.runs
        ),
        "the call claimed anew",
    )
    back.complete(call, b"7")
    assert [x.deliveries for x in [call]] == [1]
    assert await results(one, e.ActivityCompleted) == [e.ActivityCompleted(2, b"7", 1)]
    assert back.idle
    assert two is not back


async def test_a_fan_out_is_spread_evenly() -> None:
    """Three engines with equal workers each run about a third of a thousand calls, each call once."""
    async with Cluster(3, sweep_seconds=0.2) as three:
        workers = [three[i].worker(worker_id=f"w{i}", max_activities=8) for i in range(3)]
        await three.settled()
        instance_id = owned_by(three[0])
        await scheduled(three[0], workers[0], instance_id, *(a.ScheduleActivity(i, "act") for i in range(1, 1_001)))
        ran = [list[int](), list[int](), list[int]()]
        turns: list[TurnItem] = []

        def serve() -> bool:
            for number, worker in enumerate(workers):
                worker.take()
                while worker._calls:
                    call = worker._calls.popleft()
                    ran[number].append(call.event_id)
                    worker.complete(call)
                while worker._turns:
                    turns.append(worker._turns.popleft())
                    worker.answer(turns[-1])
            return sum(map(len, ran)) >= 1_000

        await until(serve, "all calls run")
        assert sorted(itertools.chain(*ran)) == list(range(1, 1_001))
        assert min(map(len, ran)) >= 250
        assert max(map(len, ran)) <= 420


async def test_a_claim_the_owner_never_heard_of_is_freed_when_its_holder_dies(pair: Cluster) -> None:
    """When a member is gone, the owner reads all entries again: its memory of who claimed what may be old."""
    instance_id, one, _, call = await spilled(pair)
    key = ActivityKey(2, call.execution_id, instance_id)
    known = pair[0].engine.owned.shards[shard_of(instance_id, SHARDS)].entries[key]
    known.body = replace(known.body, claim="an engine that lives")
    one.complete(await first_of(pair, one, instance_id))
    await pair[1].kill()
    again = await one.call()
    assert (again.event_id, again.deliveries) == (2, 2)
    await pair[1].start()


async def test_a_call_of_a_store_that_went_back_goes_on_from_there(pair: Cluster) -> None:
    """A store that lost its last second has an earlier attempt open: memory gives way, and that one is delivered."""
    one = pair[0].worker()
    await until(lambda: len(pair[0].engine.owned.shards) == SHARDS)
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id, retry=RETRY)
    first = await one.call()
    key = ActivityKey(1, first.execution_id, instance_id)
    entries = pair.state.shards[shard_of(instance_id, SHARDS)].entries[""].activities
    before = entries[key]
    one.fail(first, e.Failure("Broken", "no"))
    second = await one.call()
    assert second.attempt == 2
    entries[key] = before
    one.fail(second, e.Failure("Broken", "again"))
    again = await one.call()
    assert (again.attempt, again.deliveries) == (1, 2)
    one.complete(again)
    assert await results(one, e.ActivityCompleted) == [e.ActivityCompleted(1, b"1", 1)]


async def test_a_store_that_is_away_is_not_asked_for_hints_without_pause(
    pair: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that found as many hints as it has slots asks for more at once, but not where nobody answers."""
    two = pair[1].worker(worker_id="w2", workflows=(), max_activities=4)
    one = pair[0].worker(max_activities=1)
    await pair.settled()
    spill = pair[1].engine._activities._spill
    asked = 0

    class Away:
        async def take_hints(self, *_args: object, **_named: object) -> list[Hint]:
            nonlocal asked
            asked += 1
            raise StoreUnavailable("a test says so")

    with monkeypatch.context() as patch:
        patch.setattr(spill, "_store", Away())
        spill.may_hold_more = True
        spill.take()
        await a_while()
        assert asked == 1
    await scheduled(pair[0], one, owned_by(pair[0]), a.ScheduleActivity(1, "act"), a.ScheduleActivity(2, "act"))
    await two.call()


async def test_an_engine_whose_membership_may_be_over_takes_no_hints(
    pair: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claims would hold for nobody: the owner would have the call run twice."""
    two = pair[1].worker(worker_id="w2", workflows=())
    one = pair[0].worker(max_activities=1)
    await pair.settled()
    instance_id = owned_by(pair[0])
    with monkeypatch.context() as patch:
        patch.setattr(pair[1].engine.context, "may_act", lambda: False)
        await scheduled(pair[0], one, instance_id, a.ScheduleActivity(1, "act"), a.ScheduleActivity(2, "act"))
        await one.call()
        await until(lambda: pair.state.hints._lists["", "act"], "a hint")
        pair[1].engine._activities._spill.take(few=True)
        await a_while()
        assert two.idle
    await two.call()


async def test_a_claim_by_an_engine_that_never_stood_in_the_roll_is_freed(pair: Cluster) -> None:
    """An engine that was paused may claim a call before it is listed again, and die at once."""
    one = pair[0].worker()
    await until(lambda: len(pair[0].engine.owned.shards) == SHARDS)
    instance_id = owned_by(pair[0])
    await scheduled(pair[0], one, instance_id)
    call = await one.call()
    number, key = shard_of(instance_id, SHARDS), ActivityKey(1, call.execution_id, instance_id)
    record = pair.state.shards[number].entries[""].activities[key]
    entry = pair.entry(instance_id)
    assert entry is not None
    later_ms = pair[0].engine.context.clock.now_ms() + 500
    claim = encode_record(replace(entry, claim="paused", claimed_at_ms=later_ms, deliveries=2))
    newer = replace(record, revision=record.revision + 1, data=claim)
    await pair[0].store.execute([ReplaceActivity(number, "", newer, record.revision)])
    pair[0].engine.owned.nudged(number, News(calls=[key]))
    assert (await one.call()).deliveries == 3
