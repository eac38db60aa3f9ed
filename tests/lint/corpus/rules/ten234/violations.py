"""Histories that are sure to be long."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def counted(ctx: wf.WorkflowContext, job: dict):
    for number in range(20_000):  # violation: TEN234: forty thousand events
        yield ctx.call_activity(act, input={"n": number})
