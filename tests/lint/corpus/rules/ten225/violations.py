"""Inputs that do not fit."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def square(ctx: wf.WorkflowActivityContext, number: int) -> int:
    return number * number


@wfr.activity
def ping(ctx: wf.WorkflowActivityContext) -> str:
    return "pong"


@wfr.workflow
def squared(ctx: wf.WorkflowContext, number: int):
    yield ctx.call_activity(square, input="seven")  # violation: TEN225: a text for a number
    yield ctx.call_activity(ping, input=number)  # violation: TEN225: it takes no input
    return (yield ctx.call_activity(square))  # violation: TEN225: it needs an input


@wfr.workflow
async def cubed(ctx: wf.WorkflowContext, number: int) -> int:
    return await ctx.call_activity(square, input=[number, 3])  # violation: TEN225: a list for a number
