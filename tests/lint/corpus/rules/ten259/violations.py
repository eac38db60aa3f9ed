"""Payloads that are large."""

import base64

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def scanned(ctx: wf.WorkflowContext, page: bytes):
    yield ctx.call_activity(act, input={"page": base64.b64encode(page)})  # violation: TEN259: a whole file in history
    yield ctx.call_activity(act, input=[0] * 1_000_000)  # violation: TEN259: a million numbers
