"""Branches that only the first run takes."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def greeted(ctx: wf.WorkflowContext, user: dict):
    if not ctx.is_replaying:  # violation(greeted): TEN231: the activity is missing in every replay
        yield ctx.call_activity(act, input=user)  # via(greeted)
    yield ctx.call_activity(act, input={"done": True})


@wfr.workflow
async def chosen(ctx: wf.WorkflowContext, user: dict) -> str:
    mode = "replay" if ctx.is_replaying else "live"  # violation: TEN231: ends up in an input
    await ctx.call_activity(act, input={"mode": mode})
    return mode


def is_first_time(ctx: wf.WorkflowContext) -> bool:
    return not ctx.is_replaying  # violation(first): TEN231: in a helper


@wfr.workflow
def welcomed(ctx: wf.WorkflowContext, user: dict):
    if is_first_time(ctx):  # via(first)
        yield ctx.call_activity(act, input=user)
    while ctx.is_replaying:  # violation: TEN231: a loop
        yield ctx.call_activity(act, input=user)
