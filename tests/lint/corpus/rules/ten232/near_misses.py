"""Loops that end, or continue as new."""

import itertools
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def polled(ctx: wf.WorkflowContext, job: dict):
    while True:  # near miss: left by a return
        done = yield ctx.call_activity(act, input=job)
        if done["ok"]:
            return done
        yield ctx.create_timer(timedelta(minutes=1))


@wfr.workflow
def renewed(ctx: wf.WorkflowContext, rounds: int):
    while True:  # near miss: continues as new
        yield ctx.create_timer(timedelta(minutes=1))
        rounds += 1
        if rounds % 50 == 0:
            ctx.continue_as_new(rounds)
            return


@wfr.workflow
def bounded(ctx: wf.WorkflowContext, jobs: list):
    for number in itertools.count():  # near miss: left by a break
        if number >= len(jobs):
            break
        yield ctx.call_activity(act, input=jobs[number])
    while jobs:  # near miss: ends with the list
        yield ctx.call_activity(act, input=jobs.pop())
    n = 0
    while True:  # near miss: computes, and waits for nothing
        n += 1
        if n > 3:
            break


@wfr.activity
def served(ctx: wf.WorkflowActivityContext, job: dict) -> None:
    while True:  # near miss: in an activity
        if ctx.is_cancelled:
            raise TimeoutError


def serve_for_ever() -> None:
    while True:  # near miss: a program
        wfr.wait_for_worker_ready()
