"""Imports that show it."""

from os.path import join  # near miss: by name

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def joined(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input={"path": join(job["folder"], "a")})
