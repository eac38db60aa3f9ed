"""Moments and durations that no timer can take."""

from datetime import datetime, timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def napped(ctx: wf.WorkflowContext, job: dict):
    yield ctx.create_timer(timedelta(seconds=-5))  # violation: TEN255: before now
    yield ctx.create_timer(datetime(2030, 1, 1))  # violation: TEN255: a moment without a zone
    yield ctx.create_timer(timedelta(seconds=float("nan")))  # violation: TEN255: not a number
