"""Uses of the workflow API that look like mistakes: tasks made before they are waited for, calls that need no yield."""

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from datetime import timedelta

import httpx

import tenuto as wf

wfr = wf.WorkflowRuntime()


@dataclass(frozen=True)
class Poll:
    job: str
    rounds: int = 0


@wfr.activity
def step(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.activity
async def status(ctx: wf.WorkflowActivityContext, job: str) -> str:
    return "done"


@wfr.workflow
def parallel(ctx: wf.WorkflowContext, order: dict):
    reserve = ctx.call_activity(step, input={"reserve": order})  # near miss: waited for below
    charge = ctx.call_activity(step, input={"charge": order})  # near miss: the same
    reserved, charged = yield wf.when_all([reserve, charge])
    tasks = []
    for item in order["items"]:
        tasks.append(ctx.call_activity(step, input=item))  # near miss: collected, then waited for
    done = yield wf.when_all(tasks)
    return [reserved, charged, *done]


@wfr.workflow
def started_early(ctx: wf.WorkflowContext, order: dict):
    invoice = ctx.call_activity(step, input=order)  # near miss: started here, waited for at the end
    yield ctx.create_timer(timedelta(minutes=5))
    result = yield invoice
    return result["id"]


@wfr.workflow
def raced(ctx: wf.WorkflowContext, order: dict):
    event = ctx.wait_for_external_event("paid")  # near miss: waited for by when_any
    timer = ctx.create_timer(timedelta(days=3))  # near miss: the same
    winner = yield wf.when_any([event, timer])
    if winner is event:
        timer.cancel()  # near miss: needs no yield
        return winner.get_result()
    event.cancel()
    return None


@wfr.workflow
def no_yield_needed(ctx: wf.WorkflowContext, order: dict):
    ctx.set_custom_status({"state": "begun"})  # near miss: not a task
    ctx.raise_event(order["parent"], "begun", data=order["id"])  # near miss: sends, and waits for nothing
    ctx.logger.warning("begun")
    yield ctx.call_activity(step, input=order)


def make_task(ctx: wf.WorkflowContext, item: dict):
    return ctx.call_activity(step, input=item)  # near miss: a helper that makes tasks; the caller waits


def polled(ctx: wf.WorkflowContext, job: str, times: int):
    for _ in range(times):
        if (yield ctx.call_activity(status, input=job)) == "done":
            return True
        yield ctx.create_timer(timedelta(seconds=10))
    return False


@wfr.workflow
def with_helpers(ctx: wf.WorkflowContext, order: dict):
    first = yield make_task(ctx, order)  # near miss: waits for the helper's task
    rest = yield wf.when_all([make_task(ctx, item) for item in order["items"]])  # near miss: the same, several
    done = yield from polled(ctx, order["id"], 10)  # near miss: a sub-generator is part of the workflow
    return {"first": first, "rest": rest, "done": done}


@wfr.workflow
async def with_async_helper(ctx: wf.WorkflowContext, order: dict) -> dict:
    return await both(ctx, order)  # near miss: an awaited coroutine of the workflow's own


async def both(ctx: wf.WorkflowContext, order: dict) -> dict:
    left, right = await wf.when_all([make_task(ctx, order), ctx.call_activity(step, input={"other": order})])
    return {**left, **right}


@wfr.workflow
def polling(ctx: wf.WorkflowContext, poll: Poll):
    while True:  # near miss: bounded by continue_as_new and a return
        if (yield ctx.call_activity(status, input=poll.job)) == "done":
            return poll.job
        yield ctx.create_timer(timedelta(minutes=1))
        poll = replace(poll, rounds=poll.rounds + 1)
        if poll.rounds % 100 == 0:
            ctx.continue_as_new(poll)
            return None


@wfr.workflow
async def for_ever(ctx: wf.WorkflowContext, poll: Poll) -> None:
    await ctx.create_timer(timedelta(hours=1))
    await ctx.call_activity(status, input=poll.job)
    ctx.continue_as_new(replace(poll, rounds=poll.rounds + 1), save_events=True)  # near miss: the last thing it does


@wfr.workflow
def drained(ctx: wf.WorkflowContext, items: list):
    left = deque(items)
    while left:  # near miss: ends with the list
        yield ctx.call_activity(step, input=left.popleft())
    while True:  # near miss: left by a break
        event = yield ctx.wait_for_external_event("more")
        if event is None:
            break
        yield ctx.call_activity(step, input=event)


@wfr.workflow
def compensating(ctx: wf.WorkflowContext, order: dict):
    try:
        yield ctx.call_activity(step, input=order)
    except wf.TaskFailedError:  # near miss: a failure that is meant to be ignored
        pass
    try:
        yield ctx.wait_for_external_event("paid", timeout=timedelta(days=1))
    except TimeoutError:  # near miss: no event in time is an answer
        yield ctx.call_activity(step, input={"remind": order})
    try:
        return (yield ctx.call_activity(step, input={"book": order}))
    except Exception:
        ctx.set_custom_status("undoing")
        raise  # near miss: caught widely, and raised again
    finally:
        ctx.logger.info("over")


@wfr.workflow
def classes_of_errors(ctx: wf.WorkflowContext, order: dict):
    try:
        return (yield ctx.call_activity(step, input=order))
    except (asyncio.TimeoutError, httpx.HTTPError) as error:  # near miss: only the classes
        return f"failed: {error}"


@wfr.workflow
def said_once(ctx: wf.WorkflowContext, order: dict):
    if not ctx.is_replaying:
        print("first time")  # near miss: the idiom for saying a thing once
    if ctx.is_patched("two-steps"):  # near miss: the recorded way to change code
        yield ctx.call_activity(step, input=order)
    return (yield ctx.call_activity(step, input=order))


@wfr.workflow
def children(ctx: wf.WorkflowContext, orders: list):
    ids = [f"{ctx.instance_id}/{number}" for number, _ in enumerate(orders)]
    kids = [
        ctx.call_child_workflow(parallel, input=order, instance_id=child)  # near miss: in a list that is waited for
        for child, order in zip(ids, orders, strict=True)
    ]
    return (yield wf.when_all(kids))


@wfr.workflow
def own_state(ctx: wf.WorkflowContext, orders: list):
    totals: dict = {}
    done: list = []

    def note(order: dict) -> None:
        totals[order["id"]] = order["cents"]  # near miss: a dictionary of this execution
        done.append(order["id"])  # near miss: a list of this execution

    for order in orders:
        yield ctx.call_activity(step, input=order)
        note(order)
    orders.sort(key=lambda order: order["id"])  # near miss: the input is the execution's own
    return {"totals": totals, "done": done}
