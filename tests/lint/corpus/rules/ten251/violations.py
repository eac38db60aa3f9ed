"""Calls that may wait for ever."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def charged(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity(act, input=order)  # violation: TEN251: no timeout and no retries, here or at the registration
