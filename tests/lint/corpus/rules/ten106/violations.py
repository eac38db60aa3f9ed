"""Pauses that block the worker."""

import time
from time import sleep as pause

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def patient(ctx: wf.WorkflowContext, jobs: list):
    for job in jobs:
        yield ctx.call_activity(act, input=job)
        pause(0.5)  # violation: TEN106: sleep under another name


def wait_a_little(seconds: float) -> None:
    time.sleep(seconds)  # violation(little): TEN106: in a helper


@wfr.workflow
async def back_off(ctx: wf.WorkflowContext, job: dict) -> None:
    for attempt in range(3):
        try:
            await ctx.call_activity(act, input=job)
            return
        except wf.TaskFailedError:
            wait_a_little(2**attempt)  # via(little)


@wfr.workflow
def settled(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input=job)
    nap = lambda: time.sleep(5)  # noqa: E731  # violation(nap): TEN106: in a lambda
    nap()  # via(nap)
    return "settled"
