"""Whichever is done first, by the event loop: a set, in no order."""

import asyncio
from asyncio import as_completed

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
async def first_done(ctx: wf.WorkflowContext, jobs: list) -> list:
    tasks = [ctx.call_activity(act, input=job) for job in jobs]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)  # violation(wait): TEN164: two sets
    return [task.get_result() for task in done]  # via(wait)


@wfr.workflow
async def as_they_come(ctx: wf.WorkflowContext, jobs: list) -> list:
    results = []
    for task in as_completed([ctx.call_activity(act, input=job) for job in jobs]):  # violation: TEN164: in the order of the loop
        results.append(await task)
    return results


async def both(left: object, right: object) -> None:
    await asyncio.wait({left, right})  # violation(both): TEN164: in a helper


@wfr.workflow
async def pair(ctx: wf.WorkflowContext, jobs: list) -> None:
    await both(ctx.call_activity(act, input=jobs[0]), ctx.call_activity(act, input=jobs[1]))  # via(both)
