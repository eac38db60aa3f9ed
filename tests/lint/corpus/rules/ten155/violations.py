"""Code loaded in the middle of a turn."""

import importlib

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def plugged(ctx: wf.WorkflowContext, job: dict):
    plugin = importlib.import_module(f"plugins.{job['kind']}")  # violation: TEN155: whatever is installed there
    yield ctx.call_activity(act, input=plugin.prepare(job))
    other = __import__(job["module"])  # violation: TEN155: the same
    return str(other)
