"""Recorded data keeps its order."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def stock_of(ctx: wf.WorkflowActivityContext, skus: list) -> dict:
    return {sku: 1 for sku in sorted(skus)}


@wfr.workflow
def restocked(ctx: wf.WorkflowContext, skus: list):
    stock = yield ctx.call_activity(stock_of, input=skus)
    for sku in sorted(stock):  # near miss: sorted
        yield ctx.call_activity(act, input={"sku": sku})
    local = {sku: len(sku) for sku in skus}
    for sku in local:  # near miss: a dictionary of the workflow's own
        yield ctx.call_activity(act, input={"sku": sku})
