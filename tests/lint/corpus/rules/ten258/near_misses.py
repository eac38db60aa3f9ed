"""References to secrets, and words that are none."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def logged_in(ctx: wf.WorkflowContext, user: dict):
    yield ctx.call_activity(act, input={"user": user["name"], "secret_ref": "vault/users/1"})  # near miss: a reference
    yield ctx.call_activity(act, input={"tokens": 128, "keyboard": "de"})  # near miss: a number of tokens
