"""Imports that hide what is called."""

from os.path import *  # noqa: F403  # violation: TEN293: which names came from there

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def joined(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input={"path": join(job["folder"], "a")})  # noqa: F405
