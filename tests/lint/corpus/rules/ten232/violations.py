"""Loops without an end."""

from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def polled(ctx: wf.WorkflowContext, job: dict):
    while True:  # violation: TEN232: no way out
        yield ctx.call_activity(act, input=job)
        yield ctx.create_timer(timedelta(minutes=1))


@wfr.workflow
async def listened(ctx: wf.WorkflowContext, job: dict) -> None:
    while 1:  # violation: TEN232: true in other words
        try:
            event = await ctx.wait_for_external_event("changed")
        except TimeoutError:
            continue
        await ctx.call_activity(act, input=event)


def watch(ctx: wf.WorkflowContext, job: dict):
    while True:  # violation(watch): TEN232: in a helper
        yield ctx.call_activity(act, input=job)


@wfr.workflow
def watched(ctx: wf.WorkflowContext, job: dict):
    yield from watch(ctx, job)  # via(watch)


@wfr.workflow
def again(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input=job)
    yield from again(ctx, job)  # violation: TEN232: calls itself without an end
