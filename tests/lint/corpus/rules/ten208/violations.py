"""Results changed in place."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def extended(ctx: wf.WorkflowContext, order: dict):
    quote = yield ctx.call_activity(act, input=order)
    quote["discount"] = 5  # violation: TEN208: changes the recorded result's object
    order["quote"] = quote  # violation: TEN208: changes the input
    yield ctx.call_activity(act, input=order)
