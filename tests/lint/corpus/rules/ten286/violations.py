"""Patches that change nothing."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def changed(ctx: wf.WorkflowContext, order: dict):
    if ctx.is_patched("same"):  # violation: TEN286: both sides are alike
        yield ctx.call_activity(act, input=order)
    else:
        yield ctx.call_activity(act, input=order)
