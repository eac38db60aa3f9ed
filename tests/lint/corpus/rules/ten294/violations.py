"""Wrappers around workflows that do who knows what."""

from ddtrace import tracer
from tenacity import retry, stop_after_attempt

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
@retry(stop=stop_after_attempt(3))  # violation(retry): TEN294: runs the workflow's function again, past the engine
def retried(ctx: wf.WorkflowContext, job: dict):  # via(retry)
    yield ctx.call_activity(act, input=job)


@wfr.workflow
@tracer.wrap()  # violation(traced): TEN294: a wrapper nobody here knows
def traced(ctx: wf.WorkflowContext, job: dict):  # via(traced)
    yield ctx.call_activity(act, input=job)
