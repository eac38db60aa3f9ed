"""The workflow's ways, and the loop's ways elsewhere."""

import asyncio
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
async def gathered(ctx: wf.WorkflowContext, jobs: list) -> list:
    return await wf.when_all([ctx.call_activity(act, input=job) for job in jobs])  # near miss: when_all


@wfr.workflow
async def limited(ctx: wf.WorkflowContext, job: dict) -> dict | None:
    answer = ctx.wait_for_external_event("answer", timeout=timedelta(seconds=30))  # near miss: the context's timeout
    try:
        return await answer
    except (TimeoutError, asyncio.TimeoutError):  # near miss: classes
        return None


@wfr.activity
async def fetch_all(ctx: wf.WorkflowActivityContext, urls: list) -> list:
    async with asyncio.TaskGroup() as group:  # near miss: in an activity
        tasks = [group.create_task(asyncio.sleep(0, url)) for url in urls]  # near miss: the same
    return [task.result() for task in tasks]


class Harvest:
    def gather(self, items: list) -> list:
        return sorted(items)


@wfr.workflow
async def harvested(ctx: wf.WorkflowContext, items: list) -> None:
    await ctx.call_activity(act, input={"items": Harvest().gather(items)})  # near miss: a method of that name
