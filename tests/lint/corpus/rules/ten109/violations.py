"""Defaults that are the moment, or the chance, of the import."""

import random
import time
from datetime import UTC, date, datetime

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def since(moment: datetime, until: datetime = datetime.now(UTC)) -> float:  # noqa: B008  # violation(until): TEN109: a helper's default
    return (until - moment).total_seconds()


@wfr.workflow
def aged(ctx: wf.WorkflowContext, job: dict):
    age = since(datetime.fromisoformat(job["at"]))  # via(until)
    yield ctx.call_activity(act, input={"age": age})


@wfr.workflow
def dated(ctx: wf.WorkflowContext, job: dict, day: date = date.today()):  # noqa: B008  # violation: TEN109: the workflow's own default
    yield ctx.call_activity(act, input={**job, "day": day.isoformat()})


@wfr.workflow
def delayed(ctx: wf.WorkflowContext, job: dict):
    def stamp(value: dict, at: float = time.time()) -> dict:  # noqa: B008  # violation: TEN109: a nested function's default
        return {**value, "at": at}

    yield ctx.call_activity(act, input=stamp(job))
