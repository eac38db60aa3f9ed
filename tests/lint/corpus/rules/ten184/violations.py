"""Dictionaries made of sets in activities."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def stock_of(ctx: wf.WorkflowActivityContext, skus: list) -> dict:
    return {sku: 1 for sku in set(skus)}  # via(stock)


@wfr.workflow
def restocked(ctx: wf.WorkflowContext, skus: list):
    stock = yield ctx.call_activity(stock_of, input=skus)
    for sku in stock:  # violation(stock): TEN184: in the order that the activity's set happened to have
        yield ctx.call_activity(act, input={"sku": sku})
