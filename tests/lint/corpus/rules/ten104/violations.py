"""Moments that take the machine's time zone."""

import time
from datetime import date, datetime

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def local_day(ctx: wf.WorkflowContext, job: dict):
    day = datetime.fromtimestamp(job["epoch"]).date()  # violation: TEN104: no zone
    yield ctx.call_activity(act, input={"day": day.isoformat()})
    return ctx.current_utc_datetime.astimezone().hour  # violation: TEN104: to the machine's zone


@wfr.workflow
def epoch(ctx: wf.WorkflowContext, job: dict):
    day = date.fromtimestamp(job["epoch"])  # violation: TEN104: a date has no zone at all
    seconds = time.mktime(day.timetuple())  # violation: TEN104: local time to seconds
    yield ctx.call_activity(act, input={"seconds": seconds})
