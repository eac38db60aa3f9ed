"""Sums in order, and settings of one place."""

import decimal
import math
from decimal import Decimal

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def averaged(ctx: wf.WorkflowContext, prices: list):
    total = sum(float(price) for price in prices)  # near miss: a list has an order
    exact = math.fsum({float(price) for price in prices})  # near miss: exact in any order
    with decimal.localcontext() as local:  # near miss: only in this block
        local.prec = 10
        share = Decimal(prices[0]) / 3
    yield ctx.call_activity(act, input={"total": total, "exact": exact, "share": str(share)})
