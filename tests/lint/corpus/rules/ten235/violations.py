"""Work after the execution was ended."""

from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def renewed(ctx: wf.WorkflowContext, rounds: int):
    ctx.continue_as_new(rounds + 1)  # violation(renewed): TEN235: and then more work
    yield ctx.create_timer(timedelta(hours=1))  # via(renewed)


@wfr.workflow
async def looped(ctx: wf.WorkflowContext, rounds: int) -> None:
    for number in range(10):
        await ctx.call_activity(act, input={"n": number})
        if number == 5:
            ctx.continue_as_new(rounds + 1)  # violation: TEN235: no return


@wfr.workflow
def cleaned(ctx: wf.WorkflowContext, rounds: int):
    yield ctx.create_timer(timedelta(hours=1))
    if rounds < 10:
        ctx.continue_as_new(rounds + 1)  # violation(cleaned): TEN235: falls through
    yield ctx.call_activity(act, input={"done": rounds})  # via(cleaned)
