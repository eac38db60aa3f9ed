"""Measurements in activities, and counters of the execution."""

from collections import Counter as Bag

from prometheus_client import Counter

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


orders = Counter("orders", "Orders begun.")


@wfr.activity
def count(ctx: wf.WorkflowActivityContext, order: dict) -> None:
    orders.inc()  # near miss: in an activity


@wfr.workflow
def measured(ctx: wf.WorkflowContext, order: dict):
    kinds = Bag(item["kind"] for item in order["items"])  # near miss: another Counter
    kinds.update(["box"])  # near miss: of this execution
    yield ctx.call_activity(count, input=dict(kinds))
