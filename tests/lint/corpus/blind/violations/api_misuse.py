"""The workflow API used in ways that lose work, hide it, or break the replay."""

from contextlib import suppress
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def charge(ctx: wf.WorkflowActivityContext, order: dict) -> dict:
    return {"receipt": order["id"], "ok": True}


@wfr.activity
async def send_mail(ctx: wf.WorkflowActivityContext, order: dict) -> None: ...


@wfr.workflow
def ship_parcel(ctx: wf.WorkflowContext, order: dict):
    return (yield ctx.call_activity(charge, input=order))


@wfr.workflow
def forgotten(ctx: wf.WorkflowContext, order: dict):
    ctx.call_activity(charge, input=order)  # violation: api: nobody waits for it
    yield ctx.create_timer(timedelta(seconds=1))


@wfr.workflow
def forgotten_result(ctx: wf.WorkflowContext, order: dict):
    receipt = ctx.call_activity(charge, input=order)  # violation(task): api: a task, not the receipt
    yield ctx.create_timer(timedelta(seconds=1))
    return receipt["receipt"]  # via(task)


@wfr.workflow
def forgotten_timer(ctx: wf.WorkflowContext, order: dict):
    ctx.create_timer(timedelta(hours=1))  # violation: api: made, and not waited for
    yield ctx.call_activity(charge, input=order)


@wfr.workflow
def forgotten_fan_in(ctx: wf.WorkflowContext, orders: list):
    wf.when_all([ctx.call_activity(charge, input=order) for order in orders])  # violation: api: the fan-in is dropped
    yield ctx.create_timer(timedelta(seconds=1))


@wfr.workflow
async def forgotten_await(ctx: wf.WorkflowContext, order: dict) -> str:
    ctx.call_child_workflow(ship_parcel, input=order)  # violation: api: no await
    decision = ctx.wait_for_external_event("decision")  # violation(event): api: no await
    if decision:  # via(event)
        return "approved"
    return "declined"


@wfr.workflow
def called_directly(ctx: wf.WorkflowContext, order: dict):
    receipt = charge(ctx, order)  # violation: api: runs in the workflow, and again in each replay
    yield ctx.create_timer(timedelta(seconds=1))
    return receipt


@wfr.workflow
async def awaited_directly(ctx: wf.WorkflowContext, order: dict) -> None:
    await send_mail(ctx, order)  # violation: api: the activity's coroutine, not a call of the activity


@wfr.workflow
def child_directly(ctx: wf.WorkflowContext, order: dict):
    ship_parcel(ctx, order)  # violation: api: makes a generator that nobody runs
    yield ctx.create_timer(timedelta(seconds=1))


@wfr.workflow
def called_while_calling(ctx: wf.WorkflowContext, order: dict):
    yield ctx.call_activity("send_mail", input=charge(ctx, order))  # violation: api: the inner one runs here


@wfr.workflow
def for_ever(ctx: wf.WorkflowContext, order: dict):
    while True:  # violation: api: its history grows until it is refused
        yield ctx.call_activity(charge, input=order)
        yield ctx.create_timer(timedelta(hours=1))


@wfr.workflow
async def events_for_ever(ctx: wf.WorkflowContext, order: dict) -> None:
    while True:  # violation: api: the same with events
        event = await ctx.wait_for_external_event("changed")
        await ctx.call_activity(charge, input=event)


@wfr.workflow
def swallowed(ctx: wf.WorkflowContext, order: dict):
    try:
        yield ctx.call_activity(charge, input=order)
    except:  # noqa: E722  # violation: api: takes GeneratorExit too, and whatever stops the replay
        pass
    yield ctx.call_activity(send_mail, input=order)


@wfr.workflow
async def swallowed_by_base(ctx: wf.WorkflowContext, order: dict) -> str:
    try:
        await ctx.call_activity(charge, input=order)
    except BaseException:  # violation: api: the same by name
        return "failed"
    return "done"


@wfr.workflow
def suppressed(ctx: wf.WorkflowContext, order: dict):
    with suppress(BaseException):  # violation: api: the same by a context manager
        yield ctx.call_activity(charge, input=order)


@wfr.workflow
def only_the_first_time(ctx: wf.WorkflowContext, order: dict):
    if not ctx.is_replaying:  # violation(replaying): api: the operation is missing in every replay
        yield ctx.call_activity(charge, input=order)  # via(replaying)
    return (yield ctx.call_activity(send_mail, input=order))


@wfr.workflow
def goes_on(ctx: wf.WorkflowContext, rounds: int):
    yield ctx.create_timer(timedelta(minutes=5))
    ctx.continue_as_new(rounds + 1)  # violation(after): api: followed by more work
    yield ctx.call_activity(charge, input={"id": rounds})  # via(after)


@wfr.workflow
def loops_on(ctx: wf.WorkflowContext, rounds: int):
    while True:  # via(loop)
        yield ctx.create_timer(timedelta(minutes=5))
        if rounds > 100:
            ctx.continue_as_new(0)  # violation(loop): api: no return, so the loop goes on
        rounds += 1


@wfr.workflow
def plain(ctx: wf.WorkflowContext, order: dict):
    return ctx.call_activity(charge, input=order)  # violation: api: returns a task that nobody waited for


@wfr.workflow
def client_inside(ctx: wf.WorkflowContext, order: dict):
    with wf.WorkflowClient() as client:  # via(client)
        client.schedule_new_workflow(ship_parcel, input=order)  # violation(client): api: starts one more at every replay
    yield ctx.create_timer(timedelta(seconds=1))
