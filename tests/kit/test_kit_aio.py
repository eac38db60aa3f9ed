"""The asynchronous environment: method for method the blocking one, with the worker on the test's own loop."""

from __future__ import annotations

import asyncio
import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tenuto as wf
from kit.kit_workflows import Receipt, approve, awaiting, charge, family, notify, pay, wait_for_ever, wait_long, wfr
from tenuto import testing
from tenuto.testing import StillRunning, WorkflowBlocked, aio

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", ["WorkflowEnvironment", "WorkflowInstance"])
def test_both_ways_have_the_same_methods(name: str) -> None:
    """Names and parameters are equal; what waits is awaited."""
    blocking, awaited = getattr(testing, name), getattr(aio, name)

    def shape(kind: type) -> dict[str, list[str]]:
        found = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
        return {name: list(inspect.signature(each).parameters) for name, each in found.items() if callable(each)}

    assert shape(blocking) == shape(awaited)


async def test_a_workflow_of_thirty_days() -> None:
    """Time jumps while the test awaits the result."""
    async with aio.WorkflowEnvironment(wfr, now=NOON) as env:
        env.fake_activity(charge, sequence=[ConnectionError("down"), Receipt(1, 5)])
        instance = await env.start(awaiting, input=1)
        assert await instance.result() == 8
        assert env.now == NOON + timedelta(days=30, hours=1)
        await instance.assert_activity_called(charge, times=1, attempts=2)
        await instance.assert_activity_called(notify, input="ten")


async def test_activities_share_the_tests_loop() -> None:
    """A fake that is awaited may use what belongs to the test's event loop."""
    loop = asyncio.get_running_loop()
    answers: asyncio.Queue[str] = asyncio.Queue()
    answers.put_nowait("from the test")

    async def on_loop(text: str) -> str:
        assert asyncio.get_running_loop() is loop
        return await answers.get()

    async with aio.WorkflowEnvironment(wfr) as env:
        env.fake_activity(notify, side_effect=on_loop)
        assert await env.run(awaiting, input=1) == 10 + len("from the test")


async def test_real_time_of_the_tests_loop_goes_on() -> None:
    """Virtual time is the engine's: the test's loop still has its own clock, so an activity's timeouts are real."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with aio.WorkflowEnvironment(wfr) as env:
        await env.run(wait_long, input=1_000)
        assert loop.time() - began < 1_000


async def test_results_awaited_side_by_side() -> None:
    """Each of many waits gets its instance's result at its own moment."""
    async with aio.WorkflowEnvironment(wfr, now=NOON) as env:
        instances = [await env.start(wait_long, input=days) for days in range(1, 40)]
        found = await asyncio.gather(*(instance.result() for instance in instances))
        assert found == [(NOON + timedelta(days=days)).isoformat() for days in range(1, 40)]


async def test_events_and_advance() -> None:
    """An event raised after two virtual days is in time."""
    async with aio.WorkflowEnvironment(wfr) as env:
        instance = await env.start(approve, input=1)
        await env.advance(timedelta(days=2))
        await instance.raise_event("approval", "yes")
        assert await instance.result() == "yes"
        state = await instance.state()
        assert state.runtime_status is wf.WorkflowStatus.COMPLETED
        assert [item.type for item in await instance.history()][-1] == "ExecutionCompleted"


async def test_blocked_and_stuck_are_told() -> None:
    """The same errors as without await."""
    async with aio.WorkflowEnvironment(wfr) as env:
        instance = await env.start(wait_for_ever)
        with pytest.raises(WorkflowBlocked, match="event 'word'"):
            await instance.result()
    began, never = asyncio.Event(), asyncio.Event()

    async def stuck() -> Receipt:
        began.set()
        await never.wait()
        return Receipt(1)

    with pytest.raises(StillRunning, match="runs: charge"):
        async with aio.WorkflowEnvironment(wfr) as env:
            env.fake_activity(charge, side_effect=stuck)
            instance = await env.start(pay, input=1)
            await began.wait()
            env._driver.patience_s = 0.2
            await instance.result()


async def test_every_crash_comes_to_the_same_on_the_tests_loop() -> None:
    """Engine and worker crash at every place."""

    async def scenario(env: aio.WorkflowEnvironment) -> Any:
        env.fake_activity(charge, sequence=[ConnectionError("down"), Receipt(1, 5)])
        instance = await env.start(family, input=1)
        await env.advance(timedelta(hours=2))
        waits = await instance.waits_for()
        await env.instance(waits[0].split("'")[3]).raise_event("approval", "yes")
        result = await instance.result()
        await instance.assert_activity_called(charge, times=1, attempts=2)
        return result

    report = await aio.WorkflowEnvironment.crash_everywhere(wfr, scenario)
    assert report.crashes > 100


async def test_code_that_takes_a_client_is_given_the_environments() -> None:
    """The asynchronous client, with waits over virtual time."""
    async with aio.WorkflowEnvironment(wfr, now=NOON) as env, env.client as client:
        instance_id = await client.schedule_new_workflow(wait_long, input=2)
        state = await client.wait_for_workflow_completion(instance_id)
        assert state.result() == (NOON + timedelta(days=2)).isoformat()
        with pytest.raises(wf.InstanceNotFound):
            await client.terminate_workflow("none")


async def test_it_leaves_no_task_behind() -> None:
    """The worker's tasks are over when the environment is left."""
    before = asyncio.all_tasks()
    async with aio.WorkflowEnvironment(wfr) as env:
        await env.start(wait_for_ever)
        env.crash_worker()
        await env.crash_engine()
    assert asyncio.all_tasks() == before
