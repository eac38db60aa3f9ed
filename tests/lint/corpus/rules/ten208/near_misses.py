"""Copies."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def extended(ctx: wf.WorkflowContext, order: dict):
    quote = yield ctx.call_activity(act, input=order)
    quote = {**quote, "discount": 5}  # near miss: a copy
    mine = dict(order)
    mine["quote"] = quote  # near miss: a copy
    yield ctx.call_activity(act, input=mine)
