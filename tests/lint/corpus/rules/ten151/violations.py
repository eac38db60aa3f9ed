"""Questions at the terminal."""

import sys

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def confirmed(ctx: wf.WorkflowContext, order: dict):
    if input("ship it? ") == "y":  # violation: TEN151: asks whoever sits there
        yield ctx.call_activity(act, input=order)
    return sys.stdin.readline()  # violation: TEN151: reads what is piped in
