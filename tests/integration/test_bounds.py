"""Large turns and long histories: commits in series, and an end by name at the limit."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import tenuto as wf
from apps import result, run, served
from engines import EngineHere, make_settings

Steps = Generator[Any, Any, Any]


async def same(ctx: wf.WorkflowActivityContext, number: int) -> int:
    return number


def fan(ctx: wf.WorkflowContext, count: int) -> Steps:
    return sum((yield wf.when_all([ctx.call_activity(same, input=number) for number in range(count)])))


def children(ctx: wf.WorkflowContext, count: int) -> Steps:
    return sum((yield wf.when_all([ctx.call_child_workflow(leaf, input=number) for number in range(count)])))


def leaf(ctx: wf.WorkflowContext, number: int) -> int:
    return number


def chain(ctx: wf.WorkflowContext, count: int) -> Steps:
    for number in range(count):
        yield ctx.call_activity(same, input=number)


async def test_a_turn_larger_than_a_commit(on_store: EngineHere) -> None:
    """2,500 activities asked for in one turn are recorded in several commits, and all run."""
    async with served(on_store, workflows=[fan], activities=[same]) as client:
        assert await result(client, fan, 2_500) == sum(range(2_500))


async def test_many_children(on_store: EngineHere) -> None:
    """Hundreds of children of one turn start, in their own shards, and answer."""
    async with served(on_store, workflows=[children, leaf]) as client:
        assert await result(client, children, 300) == sum(range(300))


async def test_history_limit() -> None:
    """At the limit of events the execution fails by the limit's name; it can be purged, and others go on."""
    async with (
        EngineHere(make_settings(limits={"history_events": 100})) as engine,
        served(engine, workflows=[chain], activities=[same]) as client,
    ):
        state = await run(client, chain, 1_000, instance_id="endless")
        assert state.failure_details is not None
        assert state.failure_details.error_type == "LimitExceeded"
        assert "'endless'" in state.failure_details.message
        assert "history_events is 100; use continue_as_new" in state.failure_details.message
        assert state.history_length <= 100
        assert await client.purge_workflow("endless") == 1
        assert (await run(client, chain, 10)).runtime_status.name == "COMPLETED"


async def test_pending_operations_limit() -> None:
    """A fan-out beyond the limit of open operations fails by the limit's name before anything of it runs."""
    async with (
        EngineHere(make_settings(limits={"pending_operations": 100})) as engine,
        served(engine, workflows=[fan], activities=[same]) as client,
    ):
        assert await result(client, fan, 100) == sum(range(100))
        state = await run(client, fan, 101)
        assert state.failure_details is not None
        assert "the limit pending_operations is 100" in state.failure_details.message
