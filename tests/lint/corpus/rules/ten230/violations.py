"""Operations asked for while the instance is being dropped from memory."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def tidied(ctx: wf.WorkflowContext, job: dict):
    try:
        yield ctx.call_activity(act, input=job)
    except GeneratorExit:
        ctx.call_activity(act, input={"tidy": True})  # violation: TEN230: recorded nowhere
        raise


@wfr.workflow
async def released(ctx: wf.WorkflowContext, job: dict) -> None:
    try:
        await ctx.call_activity(act, input=job)
    except GeneratorExit:
        ctx.raise_event(job["parent"], "dropped")  # violation: TEN230: the same in a coroutine
        raise


class Lease:
    def __init__(self, ctx: wf.WorkflowContext) -> None:
        self.ctx = ctx

    def __del__(self) -> None:
        self.ctx.call_activity(act, input={"release": True})  # violation(lease): TEN230: whenever memory is tidied up


@wfr.workflow
async def leased(ctx: wf.WorkflowContext, job: dict) -> None:
    lease = Lease(ctx)  # via(lease)
    await ctx.call_activity(act, input={"job": job, "lease": bool(lease)})
