"""Payloads that are references."""

import base64

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def scanned(ctx: wf.WorkflowContext, page: dict):
    yield ctx.call_activity(act, input={"page": page["url"]})  # near miss: a reference
    yield ctx.call_activity(act, input=[0] * 10)  # near miss: ten numbers
    return base64.b64decode(page["tag"]).decode()  # near miss: reads a small one
