"""Locks and queues of the event loop, shared by all executions."""

import asyncio

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


slots = asyncio.Semaphore(3)  # via(slots)
inbox: asyncio.Queue = asyncio.Queue()  # via(inbox)


@wfr.workflow
async def limited(ctx: wf.WorkflowContext, job: dict) -> None:
    async with slots:  # violation(slots): TEN165: who gets a slot depends on the others
        await ctx.call_activity(act, input=job)
    await inbox.put(job)  # violation(inbox): TEN165: a queue of the module
