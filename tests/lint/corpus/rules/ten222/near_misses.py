"""Tasks waited for later, elsewhere, or not at all on purpose."""

from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


def begin(ctx: wf.WorkflowContext, trip: dict) -> wf.Task:
    return ctx.call_activity(act, input=trip)  # near miss: the caller waits


@wfr.workflow
def booked(ctx: wf.WorkflowContext, trip: dict):
    flight = ctx.call_activity(act, input={"flight": trip})  # near miss: waited for below
    hotel = begin(ctx, {"hotel": trip})  # near miss: the same, by a helper
    both = yield wf.when_all([flight, hotel])
    tasks = []
    tasks.append(ctx.call_activity(act, input=trip))  # near miss: collected
    tasks += [ctx.call_activity(act, input={"car": trip})]  # near miss: collected
    yield wf.when_all(tasks)
    timer = ctx.create_timer(timedelta(days=1))  # near miss: cancelled
    timer.cancel()
    ctx.raise_event(trip["id"], "booked")  # near miss: not a task
    ctx.set_custom_status("booked")  # near miss: not a task
    return both


@wfr.workflow
async def chosen(ctx: wf.WorkflowContext, trip: dict) -> bool:
    tasks = {"a": ctx.wait_for_external_event("a"), "b": ctx.wait_for_external_event("b")}  # near miss: in a dictionary
    winner = await wf.when_any(list(tasks.values()))
    slow = ctx.create_timer(timedelta(minutes=1))  # near miss: only awaited in one branch
    if winner is tasks["a"]:
        await slow
    return winner is tasks["a"]
