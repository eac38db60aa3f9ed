"""Tasks and contexts as values."""

import copy

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def answered(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input=job)
    task = ctx.call_activity(act, input=job)
    return {"task": task}  # violation: TEN238: a task in the result


@wfr.workflow
def copied(ctx: wf.WorkflowContext, job: dict):
    other = copy.deepcopy(ctx)  # violation: TEN238: a copy of the context
    yield other.call_activity(act, input=job)
    return (n for n in range(3))  # violation: TEN238: a generator as the result
