"""Handlers that take what was meant for the engine."""

import contextlib

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def kept_going(ctx: wf.WorkflowContext, jobs: list):
    for job in jobs:
        try:
            yield ctx.call_activity(act, input=job)
        except:  # noqa: E722  # violation: TEN228: everything
            continue


@wfr.workflow
async def answered(ctx: wf.WorkflowContext, job: dict) -> str:
    try:
        await ctx.call_activity(act, input=job)
    except (ValueError, BaseException):  # violation: TEN228: in a tuple
        return "failed"
    return "done"


def guarded(ctx: wf.WorkflowContext, job: dict):
    try:
        yield ctx.call_activity(act, input=job)
    except GeneratorExit:  # violation(exit): TEN228: goes on although it is being closed
        ctx.logger.info("closed")


@wfr.workflow
def delegated(ctx: wf.WorkflowContext, job: dict):
    yield from guarded(ctx, job)  # via(exit)
    with contextlib.suppress(BaseException):  # violation: TEN228: by a context manager
        yield ctx.call_activity(act, input=job)
