"""Defaults that are constants, or belong to others."""

from datetime import UTC, datetime, timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


LAUNCH = datetime(2024, 1, 1, tzinfo=UTC)


def since(moment: datetime, until: datetime = LAUNCH) -> float:  # near miss: a constant moment
    return (until - moment).total_seconds()


@wfr.workflow
def aged(ctx: wf.WorkflowContext, job: dict, patience: timedelta = timedelta(days=1)):  # noqa: B008  # near miss: a duration
    age = since(datetime.fromisoformat(job["at"]), ctx.current_utc_datetime)
    if age > patience.total_seconds():
        yield ctx.call_activity(act, input={"age": age})


@wfr.activity
def dated(ctx: wf.WorkflowActivityContext, job: dict, at: datetime = datetime.now(UTC)) -> str:  # noqa: B008  # near miss: an activity's default
    return at.isoformat()


def report(at: datetime = datetime.now(UTC)) -> str:  # noqa: B008  # near miss: no workflow calls it
    return at.isoformat()
