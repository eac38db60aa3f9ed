"""Losers that are left open."""

from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def raced(ctx: wf.WorkflowContext, job: dict):
    event = ctx.wait_for_external_event("go")
    timer = ctx.create_timer(timedelta(days=30))  # via(open)
    winner = yield wf.when_any([event, timer])  # violation(open): TEN256: the timer stays for thirty days
    return winner is event
