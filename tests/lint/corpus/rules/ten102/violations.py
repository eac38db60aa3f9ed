"""Seconds of the machine."""

import time
from time import perf_counter, time as seconds

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def throttled(ctx: wf.WorkflowContext, jobs: list):
    began = seconds()  # violation: TEN102: time.time under another name
    for job in jobs:
        yield ctx.call_activity(act, input=job)
        if seconds() - began > 60:  # violation: TEN102: decides how far the loop goes
            break


class Stopwatch:
    def __init__(self) -> None:
        self.began = perf_counter()  # violation(began): TEN102: in a constructor

    def __enter__(self) -> "Stopwatch":
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = perf_counter() - self.began  # violation(ended): TEN102: at the end of a with block


@wfr.workflow
async def timed(ctx: wf.WorkflowContext, job: dict) -> float:
    with Stopwatch() as watch:  # via(began) via(ended)
        await ctx.call_activity(act, input=job)
    return watch.seconds


@wfr.workflow
def keyed(ctx: wf.WorkflowContext, job: dict):
    key = f"{job['id']}-{time.time_ns()}"  # violation: TEN102: in a string
    yield ctx.call_activity(act, input={"key": key})
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # violation: TEN102: the system call's name
