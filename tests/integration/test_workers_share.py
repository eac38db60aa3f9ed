"""Several workers on one engine, and one worker over several lives of its engine."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

import pytest

import tenuto as wf
from apps import SECONDS, ended, result, run, served
from engines import EngineHere, make_settings
from tenuto import aio

Steps = Generator[Any, Any, Any]


def counting(worker: str, ran: Counter[str]) -> Callable[..., Any]:
    async def count(ctx: wf.WorkflowActivityContext, number: int) -> str:
        ran[worker] += 1
        return worker

    return count


def turning(worker: str, ran: Counter[str]) -> Callable[..., Any]:
    def turn(ctx: wf.WorkflowContext, count: int) -> Steps:
        """Notes who ran it, at each step; a replay would note its first steps again."""
        ran[worker] += 1
        for number in range(count):
            yield ctx.call_activity("count", input=number)
            ran[worker] += 1

    return turn


async def test_items_go_where_their_name_is_registered(here: EngineHere) -> None:
    """Workflows and activities reach only workers that have registered them, whoever else is free."""

    def only_here(ctx: wf.WorkflowContext, number: int) -> Steps:
        return (yield ctx.call_activity("only_there", input=number))

    async def only_there(ctx: wf.WorkflowActivityContext, number: int) -> int:
        return 2 * number

    async with served(here, workflows=[only_here]) as client, served(here, activities=[only_there]), served(here):
        results = await asyncio.gather(*(result(client, only_here, number) for number in range(50)))
        assert results == [2 * number for number in range(50)]


async def test_work_is_spread_and_instances_stay(here: EngineHere) -> None:
    """Activities go to all workers; a live instance stays with its worker and is not replayed elsewhere."""
    calls, steps = Counter[str](), Counter[str]()
    async with (
        served(here, workflows=[turning("one", steps)], activities=[counting("one", calls)]) as client,
        served(here, workflows=[turning("two", steps)], activities=[counting("two", calls)]),
    ):
        await asyncio.gather(*(run(client, "turn", 10) for _ in range(40)))
    assert sum(calls.values()) == 400
    assert min(calls["one"], calls["two"]) > 0
    # Each instance of ten activities takes eleven steps, where nothing was replayed.
    assert sum(steps.values()) == 40 * 11
    assert min(steps["one"], steps["two"]) > 0


async def test_lost_worker_hands_over(here: EngineHere) -> None:
    """Instances of a worker that leaves go on with another one, from their history."""
    steps = Counter[str]()

    def wait_twice(worker: str) -> Callable[..., Any]:
        def wait_twice(ctx: wf.WorkflowContext) -> Steps:
            steps[worker] += 1
            first = yield ctx.wait_for_external_event("go")
            return [first, (yield ctx.wait_for_external_event("go"))]

        return wait_twice

    async with served(here, workflows=[wait_twice("former")]) as client:
        await client.schedule_new_workflow("wait_twice", instance_id="kept")
        await client.wait_for_workflow_start("kept", timeout_in_seconds=SECONDS)
        await client.raise_workflow_event("kept", "go", data=1)
    async with served(here, workflows=[wait_twice("latter")]) as client:
        await client.raise_workflow_event("kept", "go", data=2)
        assert (await ended(client, "kept")).result() == [1, 2]
    assert steps == {"former": 1, "latter": 1}


async def test_result_outlives_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    """An activity that ends while no engine is there delivers its result to the next one; it does not run again."""
    began, may_end, ran = asyncio.Event(), asyncio.Event(), Counter[str]()

    async def slow(ctx: wf.WorkflowActivityContext) -> str:
        ran["slow"] += 1
        began.set()
        await may_end.wait()
        return "kept"

    def wait_for_slow(ctx: wf.WorkflowContext) -> Steps:
        return (yield ctx.call_activity(slow))

    settings = make_settings(drain_seconds="0")
    engine = EngineHere(settings)
    caplog.set_level(logging.WARNING, logger="tenuto")
    async with engine:
        app = served(engine, workflows=[wait_for_slow], activities=[slow])
        client = await app.__aenter__()
        await client.schedule_new_workflow(wait_for_slow, instance_id="lasting")
        await began.wait()
    may_end.set()
    async with engine:
        assert (await ended(client, "lasting")).result() == "kept"
        await app.__aexit__(None, None, None)
    assert ran == {"slow": 1}
    assert sum("trying again until there is one" in record.message for record in caplog.records) <= 3


async def test_a_hanging_turn_stalls_only_its_instance(here: EngineHere) -> None:
    """Code that changed under a running instance stalls it, both operations told; resumed on the old code it ends."""

    def version(*names: str) -> Callable[..., Any]:
        def change(ctx: wf.WorkflowContext) -> Steps:
            for name in names:
                yield ctx.call_activity(name, input=0)
            yield ctx.wait_for_external_event("go")
            return list(names)

        return change

    async def first(ctx: wf.WorkflowActivityContext, number: int) -> None: ...

    async def second(ctx: wf.WorkflowActivityContext, number: int) -> None: ...

    async with served(here, workflows=[version("first")], activities=[first]) as client:
        await client.schedule_new_workflow("change", instance_id="changed")
        while not (state := await client.get_workflow_state("changed")) or state.history_length < 5:
            pass
    async with served(here, workflows=[version("second")], activities=[second]) as client:
        await client.raise_workflow_event("changed", "go")
        while not (state := await client.get_workflow_state("changed")) or state.runtime_status.name != "STALLED":
            pass
        assert "UNEXPECTED_ACTIVITY" in state.status_reason
        assert "first" in state.status_reason
        assert "second" in state.status_reason
        # Another instance is not concerned.
        await client.schedule_new_workflow("change", instance_id="new")
        await client.raise_workflow_event("new", "go")
        assert (await ended(client, "new")).result() == ["second"]
    async with served(here, workflows=[version("first")], activities=[first]) as client:
        await client.resume_workflow("changed")
        assert (await ended(client, "changed")).result() == ["first"]


async def test_drain(here: EngineHere) -> None:
    """A draining engine lets running activities end, takes their results, and hands out nothing new."""
    began, may_end = asyncio.Event(), asyncio.Event()

    async def slow(ctx: wf.WorkflowActivityContext) -> str:
        began.set()
        await may_end.wait()
        return "done"

    def wait_for_slow(ctx: wf.WorkflowContext) -> Steps:
        return (yield ctx.call_activity(slow))

    async with served(here, workflows=[wait_for_slow], activities=[slow]) as client:
        await client.schedule_new_workflow(wait_for_slow, instance_id="running")
        await began.wait()
        async with asyncio.TaskGroup() as group:
            drain = group.create_task(here.app.engine.drain())
            while not (await client.get_engine()).is_draining:
                pass
            await client.schedule_new_workflow(wait_for_slow, instance_id="accepted")
            assert not drain.done()
            may_end.set()
        history = await client.get_workflow_history("running")
        records = await client.get_workflow_records("running")
        answered = [e.type for e in history] + [r.json for r in records.records if r.key.startswith("inbox")]
        assert "ActivityCompleted" in str(answered)
        state = await client.get_workflow_state("accepted")
        assert state is not None
        assert state.runtime_status.name == "PENDING"


async def test_client_outlives_the_engine() -> None:
    """A client's command waits for the engine to come back, and is executed once."""

    def collect(ctx: wf.WorkflowContext) -> Steps:
        return (yield ctx.wait_for_external_event("item", timeout=timedelta(hours=1)))

    engine = EngineHere(make_settings())
    async with engine:
        client = aio.WorkflowClient(engine=engine.address)
        await client.schedule_new_workflow(collect, instance_id="one")
    async with asyncio.TaskGroup() as group:
        raised = group.create_task(client.raise_workflow_event("one", "item", data=1))
        async with engine, served(engine, workflows=[collect]):
            await raised
            assert (await ended(client, "one")).result() == 1
    await client.close()
