"""Measurements taken again by each replay."""

from opentelemetry import trace
from prometheus_client import Counter

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


tracer = trace.get_tracer(__name__)
orders = Counter("orders", "Orders begun.")


@wfr.workflow
def measured(ctx: wf.WorkflowContext, order: dict):
    orders.inc()  # violation: TEN154: counted once per replay
    with tracer.start_as_current_span("order"):  # violation: TEN154: a span per replay
        yield ctx.call_activity(act, input=order)
