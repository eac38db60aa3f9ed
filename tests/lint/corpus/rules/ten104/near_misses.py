"""The same with a zone."""

import calendar
from datetime import UTC, datetime, timezone

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def utc_day(ctx: wf.WorkflowContext, job: dict):
    day = datetime.fromtimestamp(job["epoch"], UTC).date()  # near miss: a zone by position
    other = datetime.fromtimestamp(job["epoch"], tz=timezone.utc)  # near miss: a zone by keyword
    third = ctx.current_utc_datetime.astimezone(UTC)  # near miss: to a given zone
    seconds = calendar.timegm(day.timetuple())  # near miss: UTC to seconds
    yield ctx.call_activity(act, input={"days": [str(day), str(other), str(third)], "seconds": seconds})
