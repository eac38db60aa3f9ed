"""Retry policies and time limits of activities and child workflows, kept by the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from datetime import timedelta
from typing import Any

import pytest

import tenuto as wf
from apps import Function, result, run, served
from engines import EngineHere
from tenuto import aio

Steps = Generator[Any, Any, Any]
BRIEF = timedelta(milliseconds=5)
THRICE = wf.RetryPolicy(first_retry_interval=BRIEF, max_number_of_attempts=3, backoff_coefficient=2.0, jitter=0.5)
Tries = dict[str, list[int]]


class Declined(Exception):
    pass


class CardDeclined(Declined):
    pass


@pytest.fixture
def tries() -> Tries:
    """The attempts that each activity saw, by call."""
    return {}


@pytest.fixture
async def client(here: EngineHere, tries: Tries) -> AsyncIterator[aio.WorkflowClient]:
    """A client of an app whose activities fail as their input says."""

    def noted(ctx: wf.WorkflowActivityContext) -> int:
        tries.setdefault(ctx.idempotency_key, []).append(ctx.attempt)
        return ctx.attempt

    def succeed_at(ctx: wf.WorkflowActivityContext, wanted: int) -> int:
        if noted(ctx) < wanted:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return ctx.attempt

    def decline(ctx: wf.WorkflowActivityContext, how: str) -> None:
        noted(ctx)
        if how == "final":
            raise wf.NonRetryableError("for good")
        raise CardDeclined("no money")

    async def hang(ctx: wf.WorkflowActivityContext, attempts: int) -> int:
        if noted(ctx) <= attempts:
            await asyncio.Event().wait()
        return ctx.attempt

    def try_it(ctx: wf.WorkflowContext, wanted: int) -> Steps:
        return (yield ctx.call_activity(succeed_at, input=wanted, retry_policy=THRICE))

    def try_declined(ctx: wf.WorkflowContext, name: str) -> Steps:
        policy = wf.RetryPolicy(first_retry_interval=BRIEF, max_number_of_attempts=5, non_retryable_errors=[name])
        return (yield ctx.call_activity(decline, input=name, retry_policy=policy))

    def try_in_time(ctx: wf.WorkflowContext, attempts: int) -> Steps:
        limit = timedelta(milliseconds=80)
        return (yield ctx.call_activity(hang, input=attempts, retry_policy=THRICE, start_to_close_timeout=limit))

    def try_within(ctx: wf.WorkflowContext) -> Steps:
        policy = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=30), max_number_of_attempts=None)
        limit = timedelta(milliseconds=200)
        return (yield ctx.call_activity(succeed_at, input=99, retry_policy=policy, schedule_to_close_timeout=limit))

    def try_child(ctx: wf.WorkflowContext, wanted: int) -> Steps:
        return (yield ctx.call_child_workflow(child, input=wanted, instance_id="child", retry_policy=THRICE))

    def child(ctx: wf.WorkflowContext, wanted: int) -> Steps:
        yield ctx.create_timer(BRIEF)
        attempt = int(ctx.instance_id.partition(":")[2] or 1)
        if attempt < wanted:
            raise ConnectionError(f"child {attempt}")
        return ctx.instance_id

    workflows: list[Function] = [try_it, try_declined, try_in_time, try_within, try_child, child]
    async with served(here, workflows=workflows, activities=[succeed_at, decline, hang]) as client:
        yield client


async def failure(client: aio.WorkflowClient, workflow: str, value: Any = None) -> wf.FailureDetails:
    """Run a workflow that fails; the failure behind its own."""
    state = await run(client, workflow, value)
    assert state.failure_details is not None, state
    return state.failure_details.cause or state.failure_details


async def test_attempts(client: aio.WorkflowClient, tries: Tries) -> None:
    """A call is tried until it succeeds, each attempt with its number, under one idempotency key."""
    assert await result(client, "try_it", 3) == 3
    assert list(tries.values()) == [[1, 2, 3]]


async def test_attempts_run_out(client: aio.WorkflowClient, tries: Tries) -> None:
    """After the last attempt the last error is the call's."""
    error = await failure(client, "try_it", 9)
    assert (error.error_type, error.message) == ("ConnectionError", "attempt 3")
    assert list(tries.values()) == [[1, 2, 3]]


@pytest.mark.parametrize("name", ["CardDeclined", "Declined", "final"])
async def test_non_retryable(name: str, client: aio.WorkflowClient, tries: Tries) -> None:
    """An error named in the policy, by its class or a base of it, and a NonRetryableError, end the call at once."""
    error = await failure(client, "try_declined", name)
    assert error.error_type.rpartition(".")[2] in {"CardDeclined", "NonRetryableError"}
    assert list(tries.values()) == [[1]]


async def test_start_to_close(client: aio.WorkflowClient, tries: Tries) -> None:
    """An attempt that takes too long has failed and is followed by the next; a late one is not waited for."""
    assert await result(client, "try_in_time", 1) == 2
    error = await failure(client, "try_in_time", 9)
    assert "start-to-close timeout of 80 ms" in error.message or error.error_type == "TimeoutError"
    assert list(tries.values())[1] == [1, 2, 3]


async def test_schedule_to_close(client: aio.WorkflowClient, tries: Tries) -> None:
    """A call whose policy has no end is ended by its schedule-to-close timeout, with the last failure told."""
    error = await failure(client, "try_within")
    assert error.message
    (seen,) = tries.values()
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) > 1


async def test_child_retries(client: aio.WorkflowClient) -> None:
    """A failed child is followed by another one under a fresh id; the failed ones stay as they are."""
    assert await result(client, "try_child", 3) == "child:3"
    states = [await client.get_workflow_state(name) for name in ("child", "child:2", "child:3")]
    assert [state.runtime_status.name for state in states if state] == ["FAILED", "FAILED", "COMPLETED"]
