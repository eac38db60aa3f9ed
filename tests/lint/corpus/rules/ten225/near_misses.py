"""Inputs that fit."""

from typing import Any

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
def square(ctx: wf.WorkflowActivityContext, number: float) -> float:
    return number * number


@wfr.activity
def ping(ctx: wf.WorkflowActivityContext) -> str:
    return "pong"


@wfr.activity
def anything(ctx: wf.WorkflowActivityContext, value: Any = None) -> str:
    return str(value)


@wfr.workflow
def squared(ctx: wf.WorkflowContext, number: int):
    yield ctx.call_activity(square, input=number)  # near miss: a whole number for a float
    yield ctx.call_activity(ping)  # near miss: no input
    yield ctx.call_activity(anything)  # near miss: it has a default
    yield ctx.call_activity(anything, input=[1, "two"])  # near miss: takes anything
    return (yield ctx.call_activity(act, input={"n": number}))  # near miss: a dictionary
