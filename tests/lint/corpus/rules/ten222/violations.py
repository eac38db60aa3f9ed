"""Tasks that nobody waits for."""

from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def booked(ctx: wf.WorkflowContext, trip: dict):
    flight = yield ctx.call_activity(act, input=trip)
    ctx.call_activity(act, input={"hotel": trip})  # violation: TEN222: no yield
    return flight


@wfr.workflow
async def waited(ctx: wf.WorkflowContext, trip: dict) -> None:
    ctx.wait_for_external_event("paid")  # violation: TEN222: no await
    await ctx.call_activity(act, input=trip)
    wf.when_any([ctx.create_timer(timedelta(days=1))])  # violation: TEN222: the choice is dropped


def remind(ctx: wf.WorkflowContext, trip: dict) -> None:
    ctx.call_activity(act, input=trip)  # violation(remind): TEN222: in a helper that returns nothing


@wfr.workflow
def reminded(ctx: wf.WorkflowContext, trip: dict):
    remind(ctx, trip)  # via(remind)
    yield ctx.create_timer(timedelta(days=1))
    for child in trip["children"]:
        ctx.call_child_workflow(booked, input=child)  # violation: TEN222: in a loop


@wfr.workflow
def unused(ctx: wf.WorkflowContext, trip: dict):
    ticket = ctx.call_activity(act, input=trip)  # noqa: F841  # violation: TEN222: kept in a name that nobody reads
    yield ctx.create_timer(timedelta(days=1))
