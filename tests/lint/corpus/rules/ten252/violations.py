"""Long activities that give no sign of life."""

import time
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def converted(ctx: wf.WorkflowActivityContext, files: list) -> int:  # via(silent)
    for _ in files:
        time.sleep(60)  # violation(silent): TEN252: an hour without a heartbeat
    return len(files)


@wfr.activity
def beating(ctx: wf.WorkflowActivityContext, files: list) -> int:  # via(beat)
    for number, _ in enumerate(files):
        ctx.heartbeat(number)  # violation(beat): TEN252: heartbeats that nobody expects: no heartbeat_timeout
    return len(files)


@wfr.workflow
def conversion(ctx: wf.WorkflowContext, files: list):
    yield ctx.call_activity(converted, input=files, start_to_close_timeout=timedelta(hours=2))
    yield ctx.call_activity(beating, input=files, start_to_close_timeout=timedelta(hours=2))
