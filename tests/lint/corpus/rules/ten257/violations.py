"""Inputs that are no data."""

import threading

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: object) -> object:
    return value


@wfr.workflow
def sent(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input=lambda: 1)  # violation: TEN257: a function
    yield ctx.call_activity(act, input=(n for n in range(3)))  # violation: TEN257: a generator
    yield ctx.call_activity(act, input={"lock": threading.Lock()})  # violation: TEN257: a lock
