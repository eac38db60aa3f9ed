"""Suspending, terminating, purging, starting again: an instance's life as clients steer it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tenuto as wf
from apps import SECONDS, Function, ended, run, served
from engines import EngineHere
from tenuto import aio
from tenuto.client import WorkflowIdReusePolicy, WorkflowStatus

Steps = Generator[Any, Any, Any]
S = WorkflowStatus
Client = aio.WorkflowClient


def double(ctx: wf.WorkflowActivityContext, number: int) -> int:
    return 2 * number


def collect(ctx: wf.WorkflowContext, count: int) -> Steps:
    taken: list[Any] = []
    while len(taken) < count:
        taken.append((yield ctx.wait_for_external_event("item")))
    return taken


def parent(ctx: wf.WorkflowContext, depth: int) -> Steps:
    if depth:
        yield ctx.call_child_workflow(parent, input=depth - 1, instance_id=f"{ctx.instance_id}.{depth}")
    yield ctx.wait_for_external_event("never")


def once(ctx: wf.WorkflowContext, number: int) -> Steps:
    return (yield ctx.call_activity(double, input=number))


def fail(ctx: wf.WorkflowContext) -> None:
    raise ValueError("broken")


def quarrel(ctx: wf.WorkflowContext, child_id: str) -> Steps:
    return (yield ctx.call_child_workflow(once, input=1, instance_id=child_id))


def renew(ctx: wf.WorkflowContext, left: int) -> Steps:
    """Leaves a child open in each execution."""
    ctx.call_child_workflow(collect, input=1, instance_id=f"child-{left}")
    yield ctx.create_timer(timedelta(milliseconds=1))
    if left:
        ctx.continue_as_new(left - 1)
        return
    yield ctx.wait_for_external_event("never")


@pytest.fixture
async def client(here: EngineHere) -> AsyncIterator[Client]:
    workflows: list[Function] = [collect, parent, once, fail, quarrel, renew]
    async with served(here, workflows=workflows, activities=[double]) as client:
        yield client


async def status(client: Client, instance_id: str) -> WorkflowStatus | None:
    state = await client.get_workflow_state(instance_id)
    return None if state is None else state.runtime_status


async def started(client: Client, instance_id: str) -> None:
    await client.wait_for_workflow_start(instance_id, timeout_in_seconds=SECONDS)


async def became(client: Client, instance_id: str, wanted: WorkflowStatus) -> None:
    """Wait until an instance has a status: commands are answered when they are durable, and take effect after."""
    while await status(client, instance_id) is not wanted:
        pass


async def test_suspended_instances_keep_what_arrives(client: Client) -> None:
    """Events that arrive while an instance is suspended are kept in order, and taken when it is resumed."""
    await client.schedule_new_workflow(collect, input=3, instance_id="held")
    await started(client, "held")
    await client.pause_workflow("held", reason="inspection")
    await became(client, "held", S.SUSPENDED)
    for number in range(3):
        await client.raise_workflow_event("held", "Item", data=number)
    state = await client.get_workflow_state("held")
    assert state is not None
    assert (state.runtime_status, state.status_reason) == (S.SUSPENDED, "inspection")
    await client.resume_workflow("held")
    assert (await ended(client, "held")).result() == [0, 1, 2]


async def test_terminating_a_tree(client: Client) -> None:
    """A recursive termination ends the children too, another one only the instance itself."""
    for name, recursive in (("all", True), ("one", False)):
        await client.schedule_new_workflow(parent, input=2, instance_id=name)
        await became(client, f"{name}.2.1", S.RUNNING)
        await client.terminate_workflow(name, output={"stopped": name}, recursive=recursive, reason="enough")
        state = await ended(client, name)
        assert (state.runtime_status, state.serialized_output) == (S.TERMINATED, f'{{"stopped":"{name}"}}')
    assert (await ended(client, "all.2.1")).runtime_status is S.TERMINATED
    assert await status(client, "one.2") is S.RUNNING


async def test_purging(client: Client) -> None:
    """A purge erases an ended tree, children first; a running one is refused, or terminated first where forced."""
    await client.schedule_new_workflow(parent, input=2, instance_id="tree")
    await became(client, "tree.2.1", S.RUNNING)
    with pytest.raises(wf.PreconditionFailed, match=r"'tree' is still running.*terminate it first"):
        await client.purge_workflow("tree")
    assert await client.purge_workflow("tree", force=True) == 3
    assert [await status(client, name) for name in ("tree", "tree.2", "tree.2.1")] == [None, None, None]
    await run(client, once, 1, instance_id="single")
    assert await client.purge_workflow("single", recursive=False) == 1
    with pytest.raises(wf.InstanceNotFound, match="'single'"):
        await client.purge_workflow("single")


async def test_delayed_start(client: Client) -> None:
    """An instance with a start time waits for it as PENDING, and can be terminated before."""
    moment = datetime.now(UTC) + timedelta(milliseconds=200)
    await client.schedule_new_workflow(once, input=1, instance_id="soon", start_at=moment)
    far = datetime.now(UTC) + timedelta(days=3650)
    await client.schedule_new_workflow(once, input=1, instance_id="far", start_at=far)
    assert await status(client, "far") is S.PENDING
    await client.terminate_workflow("far")
    assert (await ended(client, "far")).runtime_status is S.TERMINATED
    state = await ended(client, "soon")
    history = await client.get_workflow_history("soon")
    assert state.result() == 2
    assert history[0].at is not None
    assert history[0].at >= moment - timedelta(milliseconds=1)


async def test_a_start_due_soon_is_not_early_after_a_suspension(client: Client) -> None:
    """Suspending and resuming an instance shortly before its start time does not begin it before that time."""
    moment = datetime.now(UTC) + timedelta(milliseconds=500)
    await client.schedule_new_workflow(once, input=1, instance_id="soon", start_at=moment)
    await client.pause_workflow("soon")
    await client.resume_workflow("soon")
    await ended(client, "soon")
    turns = [event for event in await client.get_workflow_history("soon") if event.type == "TurnStarted"]
    assert len(turns) >= 3
    assert turns[-2].at is not None
    assert turns[-2].at >= moment - timedelta(milliseconds=1)


async def test_id_reuse(client: Client) -> None:
    """A running id is never taken; an ended one as the policy says."""
    policy = WorkflowIdReusePolicy
    await client.schedule_new_workflow(collect, input=1, instance_id="used")
    for each in (policy.REJECT, policy.REPLACE_TERMINAL, policy.REPLACE_FAILED):
        with pytest.raises(wf.InstanceExists, match="'used' already exists and is"):
            await client.schedule_new_workflow(collect, input=1, instance_id="used", reuse_id_policy=each)
    await client.schedule_new_workflow(collect, input=1, instance_id="used", reuse_id_policy=policy.IGNORE)
    await client.raise_workflow_event("used", "item", data="first life")
    assert (await ended(client, "used")).result() == ["first life"]
    for each in (policy.REJECT, policy.REPLACE_FAILED):
        with pytest.raises(wf.InstanceExists, match="is COMPLETED"):
            await client.schedule_new_workflow(once, input=4, instance_id="used", reuse_id_policy=each)
    await client.schedule_new_workflow(fail, instance_id="used", reuse_id_policy=policy.REPLACE_TERMINAL)
    assert (await ended(client, "used")).runtime_status is S.FAILED
    await client.schedule_new_workflow(once, input=4, instance_id="used", reuse_id_policy=policy.REPLACE_FAILED)
    assert (await ended(client, "used")).result() == 8


async def test_child_with_a_taken_id(client: Client) -> None:
    """A child whose id belongs to a running instance fails, and says so; the other instance is not touched."""
    await client.schedule_new_workflow(collect, input=1, instance_id="taken")
    await started(client, "taken")
    state = await run(client, quarrel, "taken")
    assert state.failure_details is not None
    assert "an instance 'taken' is already running" in str(state.failure_details)
    assert await status(client, "taken") is S.RUNNING


async def test_children_open_over_continue_as_new(client: Client) -> None:
    """Children of earlier executions belong to the instance still: terminated and purged with it."""
    await client.schedule_new_workflow(renew, input=2, instance_id="renewed")
    for left in (2, 1, 0):
        await became(client, f"child-{left}", S.RUNNING)
    await client.terminate_workflow("renewed")
    for left in (2, 1, 0):
        assert (await ended(client, f"child-{left}")).runtime_status is S.TERMINATED
    assert (await ended(client, "renewed")).generation == 3


async def test_rerun(client: Client) -> None:
    """A rerun repeats one operation of an ended instance, as recorded or with another input, and what followed it."""
    await run(client, once, 5, instance_id="original")
    await client.rerun_workflow_from_event("original", 1, new_instance_id="same")
    await client.rerun_workflow_from_event("original", 1, new_instance_id="other", input=50)
    states = [await ended(client, name) for name in ("same", "other")]
    assert [(state.result(), state.rerun_of) for state in states] == [(10, "original"), (100, "original")]
    with pytest.raises(wf.InvalidRequest, match="'original' cannot be rerun from event 77"):
        await client.rerun_workflow_from_event("original", 77)


async def test_commands_to_ended_and_missing_instances(client: Client) -> None:
    """Whoever steers what has ended, or never was, is told; an event for an ended instance is dropped."""
    await run(client, once, 1, instance_id="over")
    for command in (client.pause_workflow, client.resume_workflow, client.terminate_workflow):
        with pytest.raises(wf.PreconditionFailed, match="'over' has already ended"):
            await command("over")
        with pytest.raises(wf.InstanceNotFound, match="'missing'"):
            await command("missing")
    await client.raise_workflow_event("over", "item")
    with pytest.raises(wf.InstanceNotFound, match="'missing'"):
        await client.raise_workflow_event("missing", "item")


def for_ever(ctx: wf.WorkflowContext, generation: int) -> Steps:
    yield ctx.wait_for_external_event("on")
    ctx.continue_as_new(generation + 1)


def guardian(ctx: wf.WorkflowContext) -> Steps:
    yield ctx.call_child_workflow(for_ever, input=0, instance_id="ward")


def heir(ctx: wf.WorkflowContext) -> Steps:
    yield ctx.wait_for_external_event("never")


async def generation_of(client: Client, instance_id: str) -> int:
    state = await client.get_workflow_state(instance_id)
    return 0 if state is None or state.runtime_status is S.PENDING else state.generation


async def test_terminating_reaches_a_child_that_has_continued_as_new(on_store: EngineHere) -> None:
    """A child is terminated with its parent in whichever execution it is by then."""
    async with served(on_store, workflows=[guardian, for_ever]) as client:
        await client.schedule_new_workflow(guardian, instance_id="guardian")
        while not await generation_of(client, "ward"):
            pass
        await client.raise_workflow_event("ward", "on")
        while await generation_of(client, "ward") < 2:
            pass
        await client.terminate_workflow("guardian", reason="enough")
        ward = await ended(client, "ward")
        assert (ward.runtime_status, ward.status_reason, ward.generation) == (S.TERMINATED, "enough", 2)


async def test_terminating_leaves_an_instance_alone_that_took_a_childs_id(on_store: EngineHere) -> None:
    """The id of a child that has ended may be used again: the instance under it now is nobody's child."""
    async with served(on_store, workflows=[guardian, for_ever, heir]) as client:
        await client.schedule_new_workflow(guardian, instance_id="guardian")
        while not await generation_of(client, "ward"):
            pass
        # The parent is held, so that it does not learn of its child's end.
        await client.pause_workflow("guardian")
        await client.terminate_workflow("ward")
        await ended(client, "ward")
        await client.schedule_new_workflow(
            heir, instance_id="ward", reuse_id_policy=WorkflowIdReusePolicy.REPLACE_TERMINAL
        )
        await client.terminate_workflow("guardian")
        await ended(client, "guardian")
        # A message that comes after the termination is taken after it.
        await client.raise_workflow_event("ward", "never")
        assert (await ended(client, "ward")).runtime_status is S.COMPLETED
