"""Payloads that are fine alone and too much together: cut into messages, or refused for the one instance concerned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import tenuto as wf
from apps import served
from engines import EngineHere, make_settings

MIB = 1 << 20


@pytest.fixture
async def narrow() -> AsyncIterator[EngineHere]:
    """An engine whose messages are hardly larger than what both sides put into one."""
    async with EngineHere(make_settings(limits={"message_bytes": 12 * MIB})) as engine:
        yield engine


def length(_ctx: wf.WorkflowActivityContext, text: str) -> int:
    return len(text)


def make(_ctx: wf.WorkflowActivityContext, size: int) -> str:
    return "x" * size


def sends(ctx: wf.WorkflowContext, count: int) -> Any:
    """Asks for `count` activities with large inputs in one turn."""
    found = yield wf.when_all([ctx.call_activity(length, input="x" * MIB) for _ in range(count)])
    return sum(found)


def receives(ctx: wf.WorkflowContext, count: int) -> Any:
    """Receives the large results of `count` activities."""
    found = yield wf.when_all([ctx.call_activity(make, input=MIB) for _ in range(count)])
    return sum(map(len, found))


def echo(_ctx: wf.WorkflowContext, text: str) -> str:
    return text


APP: dict[str, Any] = {"workflows": [sends, receives, echo], "activities": [length, make]}


async def test_many_large_requests_at_once(narrow: EngineHere) -> None:
    """Calls that together exceed the limit of a message travel in several, as their answers do."""
    async with served(narrow, **APP) as client:
        starts = [client.schedule_new_workflow(echo, input="x" * MIB, instance_id=f"i{n}") for n in range(20)]
        ids = await asyncio.gather(*starts)
        states = await asyncio.gather(*(client.wait_for_workflow_completion(one) for one in ids))
        assert {len(state.result(str)) for state in states} == {MIB}


async def test_many_large_results_at_once(narrow: EngineHere) -> None:
    """Results that arrive together reach the workflow over several turns, each within the limit of a message."""
    async with served(narrow, **APP) as client:
        await client.schedule_new_workflow(receives, input=30, instance_id="r")
        assert (await client.wait_for_workflow_completion("r")).result(int) == 30 * MIB


async def test_a_turn_that_asks_for_too_much(narrow: EngineHere) -> None:
    """It fails, naming the limit; another instance of the same worker goes on undisturbed."""
    async with served(narrow, **APP) as client:
        await client.schedule_new_workflow(sends, input=2, instance_id="fits")
        await client.schedule_new_workflow(sends, input=20, instance_id="too-much")
        assert (await client.wait_for_workflow_completion("fits")).result(int) == 2 * MIB
        state = await client.wait_for_workflow_completion("too-much")
        failure = state.failure_details
        assert failure is not None
        assert failure.error_type == "LimitExceeded"
        assert "'too-much' asks for 20 operations" in failure.message
        assert "pass references" in failure.message
        assert state.history_length > 0
        assert (await client.get_engine()).workers == 1
