"""Sums whose last digits depend on the order."""

import decimal

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def averaged(ctx: wf.WorkflowContext, prices: list):
    total = sum({float(price) for price in prices})  # violation: TEN186: a sum of floats over a set
    decimal.getcontext().prec = 10  # violation: TEN186: a setting that all executions of the thread share
    yield ctx.call_activity(act, input={"total": total})
