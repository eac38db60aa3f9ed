"""Results that are data."""

import copy

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def answered(ctx: wf.WorkflowContext, job: dict):
    mine = copy.deepcopy(job)  # near miss: a copy of data
    task = ctx.call_activity(act, input=mine)
    result = yield task
    return {"task": result, "ids": list(n for n in range(3))}  # noqa: C400  # near miss: a list


@wfr.workflow
async def awaited(ctx: wf.WorkflowContext, job: dict) -> dict:
    return await ctx.call_activity(act, input=job)  # near miss: the result
