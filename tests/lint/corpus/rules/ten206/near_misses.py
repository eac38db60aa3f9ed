"""Activities that answer."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def cents(ctx: wf.WorkflowActivityContext, order: dict) -> int:
    found: list = []
    found.append(order["cents"])  # near miss: the activity's own
    return found[0]


@wfr.workflow
def totalled(ctx: wf.WorkflowContext, orders: list):
    total = 0
    for order in orders:
        total += yield ctx.call_activity(cents, input=order)  # near miss: the workflow adds what it was answered
    return total
