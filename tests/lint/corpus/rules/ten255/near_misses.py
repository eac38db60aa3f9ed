"""Moments and durations that are fine."""

from datetime import UTC, datetime, timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def napped(ctx: wf.WorkflowContext, job: dict):
    yield ctx.create_timer(timedelta(seconds=5))  # near miss: a duration
    yield ctx.create_timer(datetime(2030, 1, 1, tzinfo=UTC))  # near miss: with a zone
    yield ctx.create_timer(ctx.current_utc_datetime + timedelta(hours=1))  # near miss: from the context's clock
    yield ctx.create_timer(timedelta(hours=1) - timedelta(minutes=5))  # near miss: still positive
