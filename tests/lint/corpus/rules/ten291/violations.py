"""Calls that nobody can follow."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def dispatched(ctx: wf.WorkflowContext, job: dict):
    handler = getattr(ctx, job["method"])  # via(dynamic)
    yield handler(act, input=job)  # violation(dynamic): TEN291: a method chosen by data
    function = globals()[job["function"]]  # via(global)
    yield ctx.call_activity(act, input=function(job))  # violation(global): TEN291: a function chosen by data
