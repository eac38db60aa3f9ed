"""Activities that block a thread, or await."""

import asyncio
import time

import httpx

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def slow(ctx: wf.WorkflowActivityContext, url: str) -> str:
    time.sleep(1)  # near miss: in a thread
    return httpx.get(url).text  # near miss: in a thread


@wfr.activity
async def fetched(ctx: wf.WorkflowActivityContext, url: str) -> str:
    await asyncio.sleep(1)  # near miss: awaits
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).text  # near miss: awaits


@wfr.workflow
def page(ctx: wf.WorkflowContext, url: str):
    yield ctx.call_activity(slow, input=url)
    return (yield ctx.call_activity(fetched, input=url))
