"""The lesson's table of record counts, measured in every store: its numbers are ceilings."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

import tenuto as wf
from apps import ended, run, served
from engines import EngineHere
from tenuto import aio
from tenuto_engine.core.sharding import shard_of

Steps = Generator[Any, Any, Any]
Client = aio.WorkflowClient


async def note(ctx: wf.WorkflowActivityContext, number: int) -> int:
    return number


def activities(ctx: wf.WorkflowContext, count: int) -> Steps:
    for number in range(count):
        yield ctx.call_activity(note, input=number)


def timers(ctx: wf.WorkflowContext, count: int) -> Steps:
    for _ in range(count):
        yield ctx.create_timer(timedelta(milliseconds=1))


def events(ctx: wf.WorkflowContext, count: int) -> Steps:
    for _ in range(count):
        yield ctx.wait_for_external_event("go")


def children(ctx: wf.WorkflowContext, count: int) -> Steps:
    for number in range(count):
        yield ctx.call_child_workflow(events, input=0, instance_id=f"{ctx.instance_id}/{number}")


WORKFLOWS = [activities, timers, events, children]
# Of one more operation of its kind, all instances that it makes included.
CEILINGS = {"activities": 3, "timers": 3, "events": 3, "children": 8}


async def record_count(engine: EngineHere, client: Client, name: str, count: int) -> int:
    """How many records an instance and its children leave that asks for `count` operations."""
    instance_id = f"{name}-{count}"
    await client.schedule_new_workflow(name, input=count, instance_id=instance_id)
    if name == "events":
        for _ in range(count):
            await client.raise_workflow_event(instance_id, "go")
            # One at a time: events that arrive together are recorded in one turn, and cost less.
            while (state := await client.get_workflow_state(instance_id)) and state.history_length < 2:
                pass
    await ended(client, instance_id)
    total = 0
    async for state in client.iter_workflows(id_prefix=instance_id):
        total += len(await engine.store.raw_records(shard_of(state.instance_id, 4), state.instance_id, limit=1_000))
    return total


@pytest.mark.parametrize("name", CEILINGS)
async def test_one_more_operation(name: str, on_store: EngineHere) -> None:
    """A start, and each further operation, leave at most as many records as the table says."""
    async with served(on_store, workflows=WORKFLOWS, activities=[note]) as client:
        start = await record_count(on_store, client, name, 0)
        one = await record_count(on_store, client, name, 1)
        five = await record_count(on_store, client, name, 5)
    assert start <= 5
    assert one - start <= CEILINGS[name]
    assert five - start <= 5 * CEILINGS[name]


async def test_ten_chained_activities(on_store: EngineHere) -> None:
    """Ten activities in a chain leave 30 to 35 records, none of them in the inbox."""
    async with served(on_store, workflows=WORKFLOWS, activities=[note]) as client:
        await run(client, activities, 10, instance_id="chain")
        names = [name for name, _ in await on_store.store.raw_records(shard_of("chain", 4), "chain", limit=1_000)]
    assert 30 <= len(names) <= 35
    assert {name.partition("-")[0] for name in names} == {"metadata", "history"}
