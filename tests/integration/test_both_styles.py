"""Every feature works alike in workflows written as generators and as coroutines, live and replayed from history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tenuto as wf
from apps import Function, ended, result, run, served
from engines import EngineHere
from tenuto import aio

Steps = Generator[Any, Any, Any]
BRIEF = timedelta(milliseconds=10)
NEVER = timedelta(hours=1)


def add_one(ctx: wf.WorkflowActivityContext, number: int) -> int:
    return number + 1


async def add_two(ctx: wf.WorkflowActivityContext, number: int) -> int:
    return number + 2


def refuse(ctx: wf.WorkflowActivityContext, number: int) -> int:
    raise LookupError(f"no {number}")


def chain_g(ctx: wf.WorkflowContext, number: int) -> Steps:
    once = yield ctx.call_activity(add_one, input=number)
    return (yield ctx.call_activity("add_two", input=once))


async def chain_a(ctx: wf.WorkflowContext, number: int) -> int:
    once = await ctx.call_activity(add_one, input=number)
    return await ctx.call_activity(add_two, input=once)


def fan_g(ctx: wf.WorkflowContext, count: int) -> Steps:
    return sum((yield wf.when_all([ctx.call_activity(add_two, input=i) for i in range(count)])))


async def fan_a(ctx: wf.WorkflowContext, count: int) -> int:
    return sum(await wf.when_all([ctx.call_activity(add_two, input=i) for i in range(count)]))


def catch_g(ctx: wf.WorkflowContext, number: int) -> Steps:
    try:
        yield ctx.call_activity(refuse, input=number)
    except wf.TaskFailedError as error:
        return [error.details.error_type, error.details.message]


async def catch_a(ctx: wf.WorkflowContext, number: int) -> Any:
    try:
        await ctx.call_activity(refuse, input=number)
    except wf.TaskFailedError as error:
        return [error.details.error_type, error.details.message]


def race_g(ctx: wf.WorkflowContext, number: int) -> Steps:
    late, quick = ctx.create_timer(NEVER), ctx.call_activity(add_one, input=number)
    first = yield wf.when_any([late, quick])
    late.cancel()
    began = ctx.current_utc_datetime
    yield ctx.create_timer(began + BRIEF)
    return [first is quick, (yield quick), ctx.current_utc_datetime - began >= BRIEF]


async def race_a(ctx: wf.WorkflowContext, number: int) -> Any:
    late, quick = ctx.create_timer(NEVER), ctx.call_activity(add_one, input=number)
    first = await wf.when_any([late, quick])
    late.cancel()
    began = ctx.current_utc_datetime
    await ctx.create_timer(began + BRIEF)
    return [first is quick, await quick, ctx.current_utc_datetime - began >= BRIEF]


def listen_g(ctx: wf.WorkflowContext, count: int) -> Steps:
    heard: list[Any] = []
    for _ in range(count):
        heard.append((yield ctx.wait_for_external_event("news")))
        ctx.set_custom_status({"heard": len(heard)})
    try:
        yield ctx.wait_for_external_event("news", timeout=BRIEF)
    except TimeoutError:
        return heard


async def listen_a(ctx: wf.WorkflowContext, count: int) -> Any:
    heard: list[Any] = []
    for _ in range(count):
        heard.append(await ctx.wait_for_external_event("news"))
        ctx.set_custom_status({"heard": len(heard)})
    try:
        await ctx.wait_for_external_event("news", timeout=BRIEF)
    except TimeoutError:
        return heard


def tell_g(ctx: wf.WorkflowContext, listener: str) -> Steps:
    for number in range(3):
        ctx.raise_event(listener, "NEWS", data=number)
    yield ctx.create_timer(BRIEF)


async def tell_a(ctx: wf.WorkflowContext, listener: str) -> None:
    for number in range(3):
        ctx.raise_event(listener, "NEWS", data=number)
    await ctx.create_timer(BRIEF)


def family_g(ctx: wf.WorkflowContext, number: int) -> Steps:
    good = yield ctx.call_child_workflow(chain_g, input=number)
    try:
        yield ctx.call_child_workflow("broken_g", input=number)
    except wf.TaskFailedError as error:
        return [good, "no" in str(error)]


async def family_a(ctx: wf.WorkflowContext, number: int) -> Any:
    good = await ctx.call_child_workflow(chain_a, input=number)
    try:
        await ctx.call_child_workflow("broken_a", input=number)
    except wf.TaskFailedError as error:
        return [good, "no" in str(error)]


def broken_g(ctx: wf.WorkflowContext, number: int) -> Steps:
    yield ctx.call_activity(refuse, input=number)


async def broken_a(ctx: wf.WorkflowContext, number: int) -> None:
    await ctx.call_activity(refuse, input=number)


def rounds_g(ctx: wf.WorkflowContext, left: int) -> Steps:
    heard = yield ctx.wait_for_external_event("go")
    if left:
        ctx.continue_as_new(left - 1, save_events=True)
        return None
    return heard


async def rounds_a(ctx: wf.WorkflowContext, left: int) -> Any:
    heard = await ctx.wait_for_external_event("go")
    if left:
        ctx.continue_as_new(left - 1, save_events=True)
        return None
    return heard


def _facts(ctx: wf.WorkflowContext) -> list[Any]:
    return [
        str(ctx.new_uuid()),
        str(ctx.new_uuid()),
        ctx.random().random(),
        ctx.is_patched("new"),
        ctx.current_utc_datetime.isoformat(),
        ctx.instance_id,
        ctx.workflow_name,
        ctx.version,
        ctx.parent_instance_id,
    ]


def facts_g(ctx: wf.WorkflowContext, number: int) -> Steps:
    before = _facts(ctx)
    yield ctx.call_activity(add_one, input=number)
    return [before, ctx.random().random(), str(ctx.new_uuid())]


async def facts_a(ctx: wf.WorkflowContext, number: int) -> Any:
    before = _facts(ctx)
    await ctx.call_activity(add_one, input=number)
    return [before, ctx.random().random(), str(ctx.new_uuid())]


WORKFLOWS: list[Function] = [
    chain_g,
    chain_a,
    fan_g,
    fan_a,
    catch_g,
    catch_a,
    race_g,
    race_a,
    listen_g,
    listen_a,
    tell_g,
    tell_a,
]
WORKFLOWS += [family_g, family_a, broken_g, broken_a, rounds_g, rounds_a, facts_g, facts_a]
Client = aio.WorkflowClient
style = pytest.mark.parametrize("style", ["g", "a"])


@pytest.fixture(params=[2_000, 0], ids=["live", "replayed"])
async def client(request: pytest.FixtureRequest, here: EngineHere) -> AsyncIterator[Client]:
    """A client of an app that keeps live instances, and of one that replays the whole history in each turn."""
    async with served(
        here, workflows=WORKFLOWS, activities=[add_one, add_two, refuse], max_sticky=request.param
    ) as client:
        yield client


@style
async def test_activities(style: str, client: Client) -> None:
    """Activities in threads and on the loop, by function and by name, one after the other and side by side."""
    assert await result(client, f"chain_{style}", 1) == 4
    assert await result(client, f"fan_{style}", 50) == sum(range(50)) + 100


@style
async def test_failed_activity(style: str, client: Client) -> None:
    """The error of an activity is caught where it is awaited, with its type and text."""
    assert await result(client, f"catch_{style}", 7) == ["LookupError", "no 7"]


@style
async def test_timers(style: str, client: Client) -> None:
    """A timer that lost its race is cancelled; one for a moment fires at it."""
    assert await result(client, f"race_{style}", 1) == [True, 2, True]


@style
async def test_events(style: str, client: Client) -> None:
    """Events of another workflow arrive in order, whatever the case of their name; a wait without one ends in time."""
    await client.schedule_new_workflow(f"listen_{style}", input=3, instance_id="listener")
    await run(client, f"tell_{style}", "listener")
    state = await ended(client, "listener")
    assert (state.result(), state.custom_status) == ([0, 1, 2], {"heard": 3})


@style
async def test_children(style: str, client: Client) -> None:
    """A child's result and a child's failure reach the parent."""
    assert await result(client, f"family_{style}", 1) == [4, True]


@style
async def test_continue_as_new(style: str, client: Client) -> None:
    """Events that came early are taken one by one by the executions that follow."""
    await client.schedule_new_workflow(f"rounds_{style}", input=3, instance_id="rounds")
    for number in range(4):
        await client.raise_workflow_event("rounds", "go", data=number)
    state = await ended(client, "rounds")
    assert (state.result(), state.generation) == (3, 4)


@style
async def test_context(style: str, client: Client) -> None:
    """Ids, randomness, time and identity are the same whether the code went on living or was replayed."""
    name = f"facts_{style}"
    started = datetime.now(UTC)
    await client.schedule_new_workflow(name, input=1, instance_id="facts")
    before, drawn, uuid = (await ended(client, "facts")).result()
    first, second, random, patched, at, *identity = before
    assert len({first, second, uuid}) == 3
    assert random != drawn
    assert patched is True
    assert abs(datetime.fromisoformat(at) - started) < timedelta(minutes=1)
    assert identity == ["facts", name, "", None]
    recorded = await client.rerun_workflow_from_event("facts", 1, new_instance_id="again")
    assert (await ended(client, recorded)).result()[0][4] == at
