"""Waits that nobody may end."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def approved(ctx: wf.WorkflowContext, order: dict):
    yield ctx.wait_for_external_event("approved")  # violation: TEN254: for ever, if nobody answers
    yield ctx.call_activity(act, input=order)
