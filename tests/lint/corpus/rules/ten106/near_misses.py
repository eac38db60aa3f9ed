"""Pauses that do not block, or not here."""

import time
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


class Bed:
    def sleep(self, hours: int) -> int:
        return hours


@wfr.workflow
def patient(ctx: wf.WorkflowContext, jobs: list):
    for job in jobs:
        yield ctx.call_activity(act, input=job)
        yield ctx.create_timer(timedelta(seconds=0.5))  # near miss: a durable timer
    return Bed().sleep(8)  # near miss: another sleep


@wfr.activity
def slow(ctx: wf.WorkflowActivityContext, job: dict) -> None:
    time.sleep(0.5)  # near miss: in an activity


def warm_up() -> None:
    time.sleep(1)  # near miss: called by the program below


if __name__ == "__main__":
    warm_up()
    wfr.run()
