"""Secrets in histories."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def logged_in(ctx: wf.WorkflowContext, user: dict):
    yield ctx.call_activity(act, input={"user": user["name"], "password": user["password"]})  # violation: TEN258: readable in history
    yield ctx.call_activity(act, input={"api_key": "sk-live-0123456789abcdef"})  # violation: TEN258: a key in the code, and in history
