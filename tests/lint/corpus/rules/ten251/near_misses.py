"""Calls that are bounded."""

from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()
ONCE_MORE = wf.RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)


@wfr.activity(start_to_close_timeout=timedelta(seconds=30))
def bounded(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return order


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return order


@wfr.workflow
def charged(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity(bounded, input=order)  # near miss: a timeout at the registration
    yield ctx.call_activity(act, input=order, retry_policy=ONCE_MORE)  # near miss: a policy at the call
    yield ctx.call_activity(act, input=order, schedule_to_close_timeout=timedelta(hours=1))  # near miss: a timeout at the call
