"""Endings that the workflow's own code reaches."""

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def tidied(ctx: wf.WorkflowContext, job: dict):
    try:
        yield ctx.call_activity(act, input=job)
    except wf.TaskFailedError:
        yield ctx.call_activity(act, input={"undo": True})  # near miss: a handler of a failure
        raise
    else:
        yield ctx.call_activity(act, input={"next": True})  # near miss: only when it went well
    finally:
        yield ctx.call_activity(act, input={"tidy": True})  # near miss: runs, and is recorded, at the end of the block
        ctx.logger.info("over")  # near miss: waits for nothing


class Lease:
    def __init__(self, ctx: wf.WorkflowContext) -> None:
        self.ctx = ctx

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *error: object) -> None:
        await self.ctx.call_activity(act, input={"release": True})  # near miss: at the end of the block


@wfr.workflow
async def leased(ctx: wf.WorkflowContext, job: dict) -> None:
    async with Lease(ctx):
        await ctx.call_activity(act, input=job)
    try:
        await ctx.call_activity(act, input=job)
    except GeneratorExit:  # near miss: asks for nothing
        job.clear()
        raise


@wfr.activity
def released(ctx: wf.WorkflowActivityContext, job: dict) -> None:
    try:
        job["n"] += 1
    finally:
        act(ctx, job)  # near miss: in an activity
