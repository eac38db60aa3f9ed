"""Names under which something is registered."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity(name="charge_card")
def charge(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return order


def refund(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return order


wfr.register_activity(refund, name="refund-v2")


@wfr.workflow(name="shipping")
def ship(ctx: wf.WorkflowContext, order: dict):
    return (yield ctx.call_activity("act", input=order))  # near miss: the function's name


@wfr.workflow
def paid(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity("charge_card", input=order)  # near miss: the given name
    yield ctx.call_activity("refund-v2", input=order)  # near miss: given at the registration
    yield ctx.call_child_workflow("shipping", input=order)  # near miss: a workflow's given name
    yield ctx.call_activity(f"step_{order['kind']}", input=order)  # near miss: known only at run time
