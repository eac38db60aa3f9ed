"""Activities that write the workflow's variables."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def totalled(ctx: wf.WorkflowContext, orders: list):
    total = 0
    lines: list = []

    @wfr.activity
    def add(actx: wf.WorkflowActivityContext, order: dict) -> None:
        nonlocal total
        total += order["cents"]  # violation: TEN206: lost when the activity is not run again
        lines.append(order["id"])  # violation: TEN206: the same

    for order in orders:
        yield ctx.call_activity(add, input=order)
    return {"total": total, "lines": lines}
