"""Pauses of the event loop."""

import asyncio
from asyncio import sleep

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
async def polite(ctx: wf.WorkflowContext, jobs: list) -> None:
    for job in jobs:
        await ctx.call_activity(act, input=job)
        await sleep(1)  # violation: TEN107: imported from asyncio


@wfr.workflow
def generator(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input=job)
    yield asyncio.sleep(1)  # violation: TEN107: a coroutine, where a task is due


async def breathe() -> None:
    await asyncio.sleep(0)  # violation(breathe): TEN107: even nought seconds are the loop's


@wfr.workflow
async def breathing(ctx: wf.WorkflowContext, job: dict) -> None:
    await breathe()  # via(breathe)
    await ctx.call_activity(act, input=job)
