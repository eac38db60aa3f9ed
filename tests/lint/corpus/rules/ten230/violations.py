"""Waits while being closed."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def tidied(ctx: wf.WorkflowContext, job: dict):
    try:
        yield ctx.call_activity(act, input=job)
    finally:
        yield ctx.call_activity(act, input={"tidy": True})  # violation: TEN230: also when the generator is closed


@wfr.workflow
async def released(ctx: wf.WorkflowContext, job: dict) -> None:
    try:
        await ctx.call_activity(act, input=job)
    finally:
        await ctx.call_activity(act, input={"release": True})  # violation: TEN230: the same in a coroutine


class Lease:
    def __init__(self, ctx: wf.WorkflowContext) -> None:
        self.ctx = ctx

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *error: object) -> None:
        await self.ctx.call_activity(act, input={"release": True})  # violation(lease): TEN230: at the end of a block


@wfr.workflow
async def leased(ctx: wf.WorkflowContext, job: dict) -> None:
    async with Lease(ctx):  # via(lease)
        await ctx.call_activity(act, input=job)
