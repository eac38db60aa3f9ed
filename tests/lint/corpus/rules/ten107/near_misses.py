"""Pauses of the event loop outside workflows."""

import asyncio
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
async def slow(ctx: wf.WorkflowActivityContext, job: dict) -> None:
    await asyncio.sleep(1)  # near miss: an asynchronous activity


@wfr.workflow
async def polite(ctx: wf.WorkflowContext, job: dict) -> None:
    await ctx.create_timer(timedelta(seconds=1))  # near miss: a durable timer
    await ctx.call_activity(slow, input=job)


async def main() -> None:
    async with wfr:
        await asyncio.sleep(3600)  # near miss: the program


if __name__ == "__main__":
    asyncio.run(main())
