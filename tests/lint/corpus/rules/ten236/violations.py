"""Decisions by what a replay sees otherwise."""

import random
import time

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def decided(ctx: wf.WorkflowContext, job: dict):
    number = random.random()  # via(decided)
    lucky = number > 0.5
    if lucky:  # violation(decided): TEN236: two assignments after the draw
        yield ctx.call_activity(act, input=job)


def is_late() -> bool:
    return time.time() > 1_700_000_000  # via(late)


@wfr.workflow
async def hurried(ctx: wf.WorkflowContext, jobs: list) -> None:
    late = is_late()  # via(late)
    for job in jobs[: 1 if late else 9]:  # violation(late): TEN236: how often the loop runs
        await ctx.call_activity(act, input=job)
