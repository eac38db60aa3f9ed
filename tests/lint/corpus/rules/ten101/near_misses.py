"""Dates that nobody asks a clock for."""

import datetime as dt
from datetime import UTC, date, datetime, timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@wfr.workflow
def renew(ctx: wf.WorkflowContext, subscription: dict):
    today = ctx.current_utc_datetime.date()  # near miss: the context's clock
    if today >= date.fromisoformat(subscription["until"]):  # near miss: parsed
        yield ctx.call_activity(act, input=subscription)
    return (datetime.max.replace(tzinfo=UTC) - EPOCH) > timedelta(days=1)  # near miss: constants


class Calendar:
    def today(self) -> str:
        return "monday"

    def now(self) -> str:
        return "noon"


@wfr.workflow
def scheduled(ctx: wf.WorkflowContext, plan: dict):
    calendar = Calendar()
    day = calendar.today()  # near miss: another class's method
    hour = calendar.now()  # near miss: the same
    yield ctx.call_activity(act, input={**plan, "day": day, "hour": hour})
    return dt.datetime.fromisoformat(plan["at"]).astimezone(UTC).isoformat()  # near miss: an explicit zone


def started() -> datetime:
    return datetime.now(UTC)  # near miss: called by the starter below


def start(plan: dict) -> None:
    with wf.WorkflowClient() as client:
        client.schedule_new_workflow(scheduled, input={**plan, "started": started().isoformat()})
