"""Names under which nothing is registered."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity(name="charge_card")
def charge(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return order


@wfr.workflow
def ship(ctx: wf.WorkflowContext, order: dict):
    return (yield ctx.call_activity(act, input=order))


@wfr.workflow
def paid(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity("charge", input=order)  # violation: TEN224: it is registered as charge_card
    yield ctx.call_activity("Act", input=order)  # violation: TEN224: in the wrong case
    yield ctx.call_child_workflow("shipp", input=order)  # violation: TEN224: a slip of the pen


ACTIVITY = "charge-card"


@wfr.workflow
async def constant(ctx: wf.WorkflowContext, order: dict) -> None:
    await ctx.call_activity(ACTIVITY, input=order)  # violation: TEN224: by a constant
