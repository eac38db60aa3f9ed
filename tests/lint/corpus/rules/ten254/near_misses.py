"""Waits with an end."""

from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def approved(ctx: wf.WorkflowContext, order: dict):
    try:
        yield ctx.wait_for_external_event("approved", timeout=timedelta(days=1))  # near miss: a timeout
    except TimeoutError:
        return "too late"
    event = ctx.wait_for_external_event("paid")  # near miss: raced with a timer
    timer = ctx.create_timer(timedelta(days=1))
    winner = yield wf.when_any([event, timer])
    if winner is event:
        timer.cancel()
        return "paid"
    event.cancel()
    return "unpaid"
