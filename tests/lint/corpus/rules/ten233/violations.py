"""As many activities as there are items."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def fanned_out(ctx: wf.WorkflowContext, users: list):
    yield wf.when_all([ctx.call_activity(act, input=user) for user in users])  # violation: TEN233: a million users, a million events
