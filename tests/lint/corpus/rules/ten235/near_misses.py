"""Continuing as new as the last thing."""

from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def renewed(ctx: wf.WorkflowContext, rounds: int):
    yield ctx.create_timer(timedelta(hours=1))
    if rounds < 10:
        ctx.continue_as_new(rounds + 1)  # near miss: returns
        return None
    elif rounds == 10:
        return ctx.continue_as_new(0)  # near miss: returned
    yield ctx.call_activity(act, input={"done": rounds})
    return rounds


@wfr.workflow
async def ended(ctx: wf.WorkflowContext, rounds: int) -> None:
    await ctx.call_activity(act, input={"n": rounds})
    if rounds < 5:
        ctx.continue_as_new(rounds + 1)  # near miss: nothing follows
    else:
        await ctx.call_activity(act, input={"last": True})
    ctx.logger.info("round %d is over", rounds)  # near miss: asks for nothing


def next_round(ctx: wf.WorkflowContext, rounds: int) -> None:
    ctx.continue_as_new(rounds + 1, save_events=True)  # near miss: a helper's last line


@wfr.workflow
def helped(ctx: wf.WorkflowContext, rounds: int):
    yield ctx.create_timer(timedelta(hours=1))
    return next_round(ctx, rounds)  # near miss: returned
