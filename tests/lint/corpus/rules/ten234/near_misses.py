"""Loops that are short, or ask for nothing."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def counted(ctx: wf.WorkflowContext, job: dict):
    for number in range(10):  # near miss: ten
        yield ctx.call_activity(act, input={"n": number})
    total = 0
    for number in range(20_000):  # near miss: only adds
        total += number
    return total
