"""The guard in real turns: an instance that is refused stalls, loses nothing, and goes on with mended code."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

import tenuto as wf
from apps import ended, result, served
from engines import EngineHere, EngineProcess, short_folder
from scrapes import scraped
from tenuto import aio
from tenuto.client import WorkflowState

Steps = Generator[Any, Any, Any]


@pytest.fixture
async def web(here: EngineHere) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=here.http) as client:
        yield client


async def stalled(client: aio.WorkflowClient, instance_id: str) -> WorkflowState:
    """Wait until an instance is stalled."""
    while not (state := await client.get_workflow_state(instance_id)) or state.runtime_status.name != "STALLED":
        pass
    return state


def charges(moment: Callable[[wf.WorkflowContext], object]) -> Callable[..., Any]:
    """One version of a workflow: its second turn asks `moment`, then for another activity."""

    def order(ctx: wf.WorkflowContext) -> Steps:
        first = yield ctx.call_activity("charge", input=1)
        moment(ctx)
        second = yield ctx.call_activity("charge", input=2)
        return first + second

    return order


async def test_a_refused_turn_stalls_its_instance_which_goes_on_with_mended_code(
    here: EngineHere, web: httpx.AsyncClient
) -> None:
    """Nothing of the turn is recorded, others are not concerned, no activity runs twice, and all is counted."""
    charged: list[int] = []

    async def charge(ctx: wf.WorkflowActivityContext, number: int) -> int:
        charged.append(number)
        return number

    def unharmed(ctx: wf.WorkflowContext) -> Steps:
        return (yield ctx.call_activity("charge", input=10))

    wrong, right = charges(lambda ctx: time.time()), charges(lambda ctx: ctx.current_utc_datetime)
    async with served(here, workflows=[wrong, unharmed], activities=[charge], guard="raise") as client:
        await client.schedule_new_workflow("order", instance_id="order-1")
        state = await stalled(client, "order-1")
        for part in ("GUARD_REFUSED", "order-1", "time.time()", "test_guard.py:", "ctx.current_utc_datetime", "TEN102"):
            assert part in state.status_reason
        assert state.history_length == 3, "the start of the first turn, the input and the activity asked for in it"
        assert await result(client, unharmed) == 10
        seen = (await scraped(web)).short
        assert seen["tenuto_workflow_turns_total", "guard_refused"] == 1
        assert seen["tenuto_guard_refused_total",] == 1
        assert seen["tenuto_nondeterminism_total", "non_deterministic"] == 0
    async with served(here, workflows=[right], activities=[charge], guard="raise") as client:
        await client.resume_workflow("order-1")
        assert (await ended(client, "order-1")).result() == 3
    assert charged == [1, 10, 2]


async def test_resumed_without_being_mended_it_stalls_again(here: EngineHere) -> None:
    """The refusal does not depend on what is live in the worker, and is not retried by itself."""

    async def charge(ctx: wf.WorkflowActivityContext, number: int) -> int:
        return number

    async with served(
        here, workflows=[charges(lambda ctx: uuid.uuid4())], activities=[charge], guard="raise"
    ) as client:
        await client.schedule_new_workflow("order", instance_id="order-1")
        for _ in range(2):
            assert "ctx.new_uuid()" in (await stalled(client, "order-1")).status_reason
            await client.resume_workflow("order-1")
        await stalled(client, "order-1")


async def test_by_default_it_is_only_said(here: EngineHere, caplog: pytest.LogCaptureFixture) -> None:
    """With `warn` the workflow completes, and its line is told of once for all its instances and replays."""

    async def charge(ctx: wf.WorkflowActivityContext, number: int) -> int:
        return number

    caplog.set_level(logging.WARNING, "tenuto.guard")
    workflow = charges(lambda ctx: time.time())
    async with served(here, workflows=[workflow], activities=[charge], max_sticky=0) as client:
        assert [await result(client, workflow) for _ in range(3)] == [3, 3, 3]
    told = [record.getMessage() for record in caplog.records if record.name == "tenuto.guard"]
    assert len(told) == 1
    assert "Workflow code calls time.time(): a clock" in told[0]


async def test_activities_do_as_they_like(here: EngineHere) -> None:
    """Activities, on the worker's own loop and on threads, are not watched, also while turns of others run."""

    async def on_the_loop(ctx: wf.WorkflowActivityContext) -> bool:
        return time.time() > 0 and bool(uuid.uuid4().int) and await asyncio.sleep(0, result=True)

    def on_a_thread(ctx: wf.WorkflowActivityContext) -> bool:
        return time.monotonic() > 0 and Path(__file__).exists() and bool(os.environ.get("PATH"))

    async def both(ctx: wf.WorkflowContext) -> list[bool]:
        calls = [
            ctx.call_activity(name, result_type=bool) for name in ("on_the_loop", "on_a_thread") for _ in range(20)
        ]
        return await wf.when_all(calls)

    async with served(here, workflows=[both], activities=[on_the_loop, on_a_thread], guard="raise") as client:
        assert await result(client, both) == [True] * 40


APP = """
import time
import tenuto as wf

wfr = wf.WorkflowRuntime()

@wfr.workflow
def order(ctx: wf.WorkflowContext):
    return time.time()
"""


@pytest.mark.parametrize(("variable", "status"), [("", "STALLED"), ("off", "COMPLETED")])
async def test_tenuto_dev_refuses_unless_told_otherwise(variable: str, status: str, tmp_path: Path) -> None:
    """Where code is written, a violation is met at once; TENUTO_GUARD says otherwise."""
    (tmp_path / "app.py").write_text(APP)
    with short_folder() as folder:
        address = f"unix:{folder}/engine.sock"
        environment = EngineProcess(folder).environment | ({"TENUTO_GUARD": variable} if variable else {})
        process = await asyncio.create_subprocess_exec(
            sys.executable, *("-m", "tenuto._cli.main", "dev", "app:wfr", "--state-store", "memory:"),
            *("--listen", address, "--http", "127.0.0.1:0"),
            env=environment, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with aio.WorkflowClient(engine=address) as client:
                instance_id = await started(client)
                while (state := await client.get_workflow_state(instance_id)) is None or state.runtime_status.name in (
                    "PENDING",
                    "RUNNING",
                ):
                    pass
        finally:
            process.terminate()
            await process.wait()
    assert state.runtime_status.name == status


async def started(client: aio.WorkflowClient) -> str:
    """Start the workflow as soon as there is an engine."""
    while True:
        try:
            return await client.schedule_new_workflow("order")
        except wf.EngineUnavailable:
            await asyncio.sleep(0)
