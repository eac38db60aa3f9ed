"""The event loop's own ways to wait for several things."""

import asyncio
from asyncio import gather, wait_for

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
async def gathered(ctx: wf.WorkflowContext, jobs: list) -> list:
    return await gather(*[ctx.call_activity(act, input=job) for job in jobs])  # violation: TEN163: wf.when_all is meant


@wfr.workflow
async def limited(ctx: wf.WorkflowContext, job: dict) -> dict:
    return await wait_for(ctx.call_activity(act, input=job), 30)  # violation: TEN163: the loop's clock


async def spawn(ctx: wf.WorkflowContext, job: dict) -> None:
    asyncio.ensure_future(step(ctx, job))  # violation(spawn): TEN163: in a helper


async def step(ctx: wf.WorkflowContext, job: dict) -> None:
    await ctx.call_activity(act, input=job)


@wfr.workflow
async def spawned(ctx: wf.WorkflowContext, jobs: list) -> None:
    await spawn(ctx, jobs[0])  # via(spawn)
    async with asyncio.TaskGroup() as group:  # violation(group): TEN163: a group of the loop's tasks
        for job in jobs:
            group.create_task(step(ctx, job))  # via(group)


@wfr.workflow
def generated(ctx: wf.WorkflowContext, jobs: list):
    yield asyncio.gather(*[ctx.call_activity(act, input=job) for job in jobs])  # violation: TEN163: in a generator
