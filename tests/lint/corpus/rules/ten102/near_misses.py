"""Seconds that are given, or of the context."""

import time
from datetime import UTC, datetime

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def keyed(ctx: wf.WorkflowContext, job: dict):
    key = int(ctx.current_utc_datetime.timestamp())  # near miss: the context's clock
    moment = datetime.fromtimestamp(job["time"], tz=UTC)  # near miss: a given moment
    yield ctx.call_activity(act, input={"key": key, "at": moment.isoformat()})
    return time.struct_time(job["parts"])  # near miss: a tuple of given numbers


@wfr.activity
def measure(ctx: wf.WorkflowActivityContext, job: dict) -> float:
    began = time.perf_counter()  # near miss: measures in the activity
    sum(range(job["n"]))
    return time.perf_counter() - began  # near miss: the same


@wfr.workflow
def measured(ctx: wf.WorkflowContext, job: dict):
    time = yield ctx.call_activity(measure, input=job)
    return {"time": time, "rounded": round(time)}  # near miss: a local called time
