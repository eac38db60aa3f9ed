"""Limits by counting, and the loop's locks in activities."""

import asyncio

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


slots = asyncio.Semaphore(3)  # near miss: for the activities


@wfr.activity
async def limited(ctx: wf.WorkflowActivityContext, job: dict) -> None:
    async with slots:  # near miss: in an activity
        await asyncio.sleep(0)


@wfr.workflow
async def chunked(ctx: wf.WorkflowContext, jobs: list) -> None:
    for begin in range(0, len(jobs), 3):
        await wf.when_all([ctx.call_activity(limited, input=job) for job in jobs[begin : begin + 3]])  # near miss: three at once, by counting
