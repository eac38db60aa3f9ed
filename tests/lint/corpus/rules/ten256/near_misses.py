"""Losers that are cancelled, or cannot be."""

from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def raced(ctx: wf.WorkflowContext, job: dict):
    event = ctx.wait_for_external_event("go")
    timer = ctx.create_timer(timedelta(days=30))
    winner = yield wf.when_any([event, timer])  # near miss: cancelled below
    if winner is event:
        timer.cancel()
    else:
        event.cancel()
    first = yield wf.when_any([ctx.call_activity(act, input=job), ctx.call_activity(act, input={})])  # near miss: activities cannot be cancelled
    return first is not None
