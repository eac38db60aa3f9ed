"""Heartbeats, cancellation and identity of activities, with a real worker over the wire, also on several engines."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

import tenuto as wf
from apps import SECONDS, Function, ended, result, run, served
from engines import EngineHere, make_settings
from faulty import until
from scrapes import page_of
from tenuto import aio
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryNotifier, MemoryState, MemoryStore

Steps = Generator[Any, Any, Any]
THRICE = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=5), max_number_of_attempts=3)


class Sharing(EngineHere):
    """An engine among others in this process: tasks that outlive it may be theirs."""

    async def __aexit__(self, *_exc: object) -> None:
        await self.app.stop()


@asynccontextmanager
async def cluster(count: int, **runtime: Any) -> AsyncIterator[list[EngineHere]]:
    """Engines that share one state in memory; the first is so heavy that it owns every shard."""
    state = MemoryState()
    async with AsyncExitStack() as stack:
        engines: list[EngineHere] = []
        for number in range(count):
            given = {"capacity": 1 if number else 1_000, "lease_seconds": 1.0, "sweep_seconds": 0.2, **runtime}
            here = Sharing(
                make_settings(drain_seconds="0", runtime=given),
                (MemoryStore(state=state, exclusive=False), MemoryLeaseStore(state=state)),
                notifier=MemoryNotifier(state=state),
            )
            engines.append(await stack.enter_async_context(here))
        yield engines


async def known(engines: list[EngineHere]) -> None:
    """Wait until each engine knows the others, and the first owns all shards."""
    await until(lambda: all(len(e.app.engine.context.membership.members) == len(engines) for e in engines))
    await until(lambda: len(engines[0].app.engine.owned.shards) == 4)


async def test_a_silent_attempt_is_followed_by_one_that_knows_how_far_it_came(here: EngineHere) -> None:
    """The heartbeat timeout ends an attempt that has gone silent; the next one is told the last details."""
    seen: list[tuple[int, Any]] = []

    async def copy(ctx: wf.WorkflowActivityContext) -> Any:
        seen.append((ctx.attempt, ctx.heartbeat_details))
        if ctx.attempt == 1:
            ctx.heartbeat({"done": 7})
            await asyncio.Event().wait()
        return ctx.heartbeat_details

    def copy_all(ctx: wf.WorkflowContext) -> Steps:
        limit = timedelta(milliseconds=150)
        return (yield ctx.call_activity(copy, heartbeat_timeout=limit, retry_policy=THRICE))

    async with served(here, workflows=[copy_all], activities=[copy]) as client:
        assert await result(client, copy_all) == {"done": 7}
    assert seen == [(1, None), (2, {"done": 7})]
    page = page_of(here.app.engine.metrics_page("")[0].decode())
    assert page.by("tenuto_activity_heartbeat_timeout_total", "type") == {"copy": 1}


async def test_an_activity_that_beats_outlives_its_heartbeat_timeout(here: EngineHere) -> None:
    """Signs of life, from a thread too, keep an attempt running however long it takes."""

    def beat(ctx: wf.WorkflowActivityContext) -> int:
        for number in range(12):
            ctx.heartbeat(number)
            if ctx.wait_for_cancellation(timedelta(milliseconds=50)):
                return -1
        return ctx.attempt

    def keep_beating(ctx: wf.WorkflowContext) -> Steps:
        return (yield ctx.call_activity(beat, heartbeat_timeout=timedelta(milliseconds=300)))

    async with served(here, workflows=[keep_beating], activities=[beat]) as client:
        assert await result(client, keep_beating) == 1


async def test_details_of_a_failed_attempt_reach_the_next_one(here: EngineHere) -> None:
    """Details that the throttle kept back are sent before the failure."""

    def halfway(ctx: wf.WorkflowActivityContext) -> Any:
        if ctx.attempt == 1:
            ctx.heartbeat(1)
            ctx.heartbeat(2)
            raise ConnectionError("lost")
        return ctx.heartbeat_details

    def go_on(ctx: wf.WorkflowContext) -> Steps:
        return (yield ctx.call_activity(halfway, heartbeat_timeout=timedelta(seconds=30), retry_policy=THRICE))

    async with served(here, workflows=[go_on], activities=[halfway]) as client:
        assert await result(client, go_on) == 2


@pytest.mark.parametrize("engines", [1, 2])
async def test_the_end_of_a_workflow_reaches_its_activities(engines: int) -> None:
    """Terminating an instance cancels what runs for it, in threads and on the loop, here and at another engine."""
    began, told = Counter[str](), dict[str, str]()

    async def wait_async(ctx: wf.WorkflowActivityContext, number: int) -> None:
        began["async"] += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told[f"async {number}"] = ctx.cancellation_reason
            raise

    def wait_sync(ctx: wf.WorkflowActivityContext, number: int) -> None:
        began["sync"] += 1
        assert ctx.wait_for_cancellation(SECONDS)
        told[f"sync {number}"] = ctx.cancellation_reason
        ctx.raise_if_cancelled()

    def wait_for_all(ctx: wf.WorkflowContext) -> Steps:
        calls = [ctx.call_activity(each, input=n) for n in range(3) for each in (wait_async, wait_sync)]
        yield wf.when_all(calls)

    async with cluster(engines) as here, AsyncExitStack() as stack:
        functions: list[Function] = [wait_async, wait_sync]
        clients = [
            await stack.enter_async_context(
                served(each, workflows=[wait_for_all], activities=functions, max_activities=8 // engines)
            )
            for each in here
        ]
        await known(here)
        await clients[0].schedule_new_workflow(wait_for_all, instance_id="ended")
        await until(lambda: began.total() == 6, "all activities running")
        await clients[-1].terminate_workflow("ended", reason="not wanted")
        await until(lambda: len(told) == 6, "all activities told")
    assert all("ended" in reason for reason in told.values())


async def test_an_attempt_that_takes_too_long_is_told_so(here: EngineHere) -> None:
    """A timed-out attempt in a thread sees it; its late success would count, its late failure does not."""
    reasons = list[str]()
    over = threading.Event()

    def slow(ctx: wf.WorkflowActivityContext) -> int:
        if ctx.attempt == 1:
            assert ctx.wait_for_cancellation(SECONDS)
            reasons.append(ctx.cancellation_reason)
            over.set()
            raise RuntimeError("too late to matter")
        assert over.wait(SECONDS)
        return ctx.attempt

    def hurry(ctx: wf.WorkflowContext) -> Steps:
        limit = timedelta(milliseconds=100)
        return (yield ctx.call_activity(slow, start_to_close_timeout=limit, retry_policy=THRICE))

    async with served(here, workflows=[hurry], activities=[slow]) as client:
        state = await run(client, hurry)
        assert state.result() >= 2
    assert "start-to-close timeout of 100 ms" in reasons[0]


async def test_the_identity_of_a_call_is_the_same_wherever_it_runs() -> None:
    """Retries, another engine, and delivery after a worker's death change nothing of the idempotency key."""
    keys: dict[int, set[str]] = {}
    ran = Counter[tuple[int, str]]()
    may_end = asyncio.Event()

    def at(engine: str) -> Function:
        async def act(ctx: wf.WorkflowActivityContext, number: int) -> str:
            keys.setdefault(number, set()).add(ctx.idempotency_key)
            ran[number, engine] += 1
            if number % 2 == 0 and ctx.attempt < 3:
                raise ConnectionError("again")
            if engine == "two":
                await asyncio.Event().wait()
            await may_end.wait()
            return engine

        return act

    def fan_out(ctx: wf.WorkflowContext, count: int) -> Steps:
        calls = [ctx.call_activity("act", input=n, retry_policy=THRICE) for n in range(count)]
        return (yield wf.when_all(calls))

    async with (
        cluster(2) as engines,
        served(engines[0], workflows=[fan_out], activities=[at("one")], max_activities=4) as client,
    ):
        async with served(engines[1], activities=[at("two")], max_activities=4, shutdown_grace=timedelta()):
            await known(engines)
            await client.schedule_new_workflow(fan_out, input=16, instance_id="spread")
            await until(lambda: sum(n for (_, engine), n in ran.items() if engine == "two") >= 4, "some at the other")
            may_end.set()
        assert (await ended(client, "spread")).result() == ["one"] * 16
    assert len(keys) == 16
    assert all(len(seen) == 1 for seen in keys.values())
    assert len(set().union(*keys.values())) == 16


async def test_a_fan_out_of_ten_thousand_is_spread_evenly() -> None:
    """Three engines with equal workers share ten thousand calls of one instance: each runs about a third."""
    ran = Counter[int]()

    def at(engine: int) -> Function:
        async def act(ctx: wf.WorkflowActivityContext, number: int) -> int:
            ran[engine] += 1
            return number

        return act

    def fan_out(ctx: wf.WorkflowContext, count: int) -> Steps:
        results = yield wf.when_all([ctx.call_activity("act", input=n) for n in range(count)])
        return sum(results)

    async with cluster(3, lease_seconds=5.0) as engines, AsyncExitStack() as stack:
        clients: list[aio.WorkflowClient] = [
            await stack.enter_async_context(
                served(each, workflows=[fan_out], activities=[at(number)], max_activities=64)
            )
            for number, each in enumerate(engines)
        ]
        await known(engines)
        assert await result(clients[0], fan_out, 10_000) == sum(range(10_000))
    assert ran.total() == 10_000
    assert min(ran.values()) >= 2_500, ran
    assert max(ran.values()) <= 4_200, ran
