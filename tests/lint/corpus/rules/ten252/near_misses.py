"""Long activities that do, and short ones."""

import time
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity(heartbeat_timeout=timedelta(minutes=2))
def converted(ctx: wf.WorkflowActivityContext, files: list) -> int:
    for number, _ in enumerate(files):
        time.sleep(60)  # near miss: gives a sign of life below
        ctx.heartbeat(number)  # near miss: expected
    return len(files)


@wfr.activity
def added(ctx: wf.WorkflowActivityContext, numbers: list) -> int:
    total = 0
    for number in numbers:  # near miss: quick
        total += number
    return total


@wfr.workflow
def conversion(ctx: wf.WorkflowContext, files: list):
    yield ctx.call_activity(converted, input=files, start_to_close_timeout=timedelta(hours=2))
    yield ctx.call_activity(added, input=files, start_to_close_timeout=timedelta(hours=2))
