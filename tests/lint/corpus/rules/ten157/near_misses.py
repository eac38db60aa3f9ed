"""Memory in the program, and plain dictionaries."""

import gc

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


gc.freeze()  # near miss: when the module is imported


@wfr.activity
def tidy(ctx: wf.WorkflowActivityContext, job: dict) -> int:
    return gc.collect()  # near miss: in an activity


@wfr.workflow
def collected(ctx: wf.WorkflowContext, job: dict):
    cache: dict = {}
    gc = job["gc"]
    cache["collect"] = gc.get("collect")  # near miss: a dictionary of that name
    yield ctx.call_activity(tidy, input=cache)
