"""Patches that do."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def changed(ctx: wf.WorkflowContext, order: dict):
    if ctx.is_patched("other"):  # near miss: another input
        yield ctx.call_activity(act, input={**order, "v": 2})
    else:
        yield ctx.call_activity(act, input=order)
