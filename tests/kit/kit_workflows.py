"""The workflows that the tests of the test kit run: an application as a user has one."""

from __future__ import annotations

import random
import threading
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import tenuto as wf

wfr = wf.WorkflowRuntime()
Steps = Generator[Any, Any, Any]


@dataclass
class Receipt:
    """What `charge` returns."""

    order: int
    amount: int = 0


class Gate:
    """Lets an activity run until the test says so."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.may_end = threading.Event()

    def pass_through(self) -> None:
        """Called by the activity."""
        self.began.set()
        assert self.may_end.wait(60)


gates: dict[str, Gate] = {}


@wfr.activity(retry_policy=wf.RetryPolicy(first_retry_interval=timedelta(hours=1), max_number_of_attempts=5))
def charge(ctx: wf.WorkflowActivityContext, order: int) -> Receipt:
    return Receipt(order, 10)


@wfr.activity
async def notify(ctx: wf.WorkflowActivityContext, text: str) -> str:
    return text.upper()


@wfr.activity
def through_gate(ctx: wf.WorkflowActivityContext, name: str) -> str:
    gates[name].pass_through()
    return "through"


@wfr.activity
def bare() -> str:
    return "bare"


@wfr.workflow
def pay(ctx: wf.WorkflowContext, order: int) -> Generator[Any, Any, Receipt]:
    receipt: Receipt = yield ctx.call_activity(charge, input=order)
    return receipt


@wfr.workflow
def wait_long(ctx: wf.WorkflowContext, days: int) -> Steps:
    yield ctx.create_timer(timedelta(days=days))
    return ctx.current_utc_datetime.isoformat()


@wfr.workflow
def approve(ctx: wf.WorkflowContext, order: int) -> Steps:
    try:
        said = yield ctx.wait_for_external_event("approval", timeout=timedelta(days=3))
    except TimeoutError:
        return "nobody answered"
    return said


@wfr.workflow
def wait_for_ever(ctx: wf.WorkflowContext) -> Steps:
    said = yield ctx.wait_for_external_event("word")
    return said


@wfr.workflow
def gated(ctx: wf.WorkflowContext, name: str) -> Steps:
    activity = ctx.call_activity(through_gate, input=name)
    timer = ctx.create_timer(timedelta(seconds=1))
    first = yield wf.when_any([activity, timer])
    return "activity" if first is activity else "timer"


@wfr.workflow
def limited(ctx: wf.WorkflowContext, order: int) -> Steps:
    try:
        yield ctx.call_activity(charge, input=order, start_to_close_timeout=timedelta(minutes=10))
    except wf.TaskFailedError as error:
        return f"{error.details.error_type} at {ctx.current_utc_datetime:%H:%M}"
    return "charged"


@wfr.workflow
def race(ctx: wf.WorkflowContext, number: int) -> Steps:
    for _ in range(3):
        target = charge if number % 2 else notify
        activity = ctx.call_activity(target, input=number if number % 2 else "text")
        timer = ctx.create_timer(timedelta(milliseconds=1))
        first = yield wf.when_any([activity, timer])
        if first is timer:
            return "timer"
        timer.cancel()
    return "activity"


@wfr.workflow
def family(ctx: wf.WorkflowContext, order: int) -> Steps:
    order_id = str(ctx.new_uuid())
    receipt = yield ctx.call_activity(charge, input=order)
    both = yield wf.when_all([ctx.call_child_workflow(approve, input=order), ctx.call_activity(notify, input="paid")])
    yield ctx.create_timer(timedelta(days=1))
    return [order_id, receipt.amount, both]


@wfr.workflow
def by_name(ctx: wf.WorkflowContext) -> Steps:
    return (yield ctx.call_activity("elsewhere", input=1, result_type=int))


@wfr.workflow
def calls_bare(ctx: wf.WorkflowContext) -> Steps:
    return (yield ctx.call_activity(bare))


@wfr.workflow
def rolls_dice(ctx: wf.WorkflowContext) -> Steps:
    # Not deterministic on purpose: each run of this code calls another activity than the one before.
    global rolls  # noqa: PLW0603
    rolls += 1
    yield ctx.call_activity(charge if rolls % 2 else notify, input=1 if rolls % 2 else "x")
    return None


rolls = 0


@wfr.workflow
def never_returns(ctx: wf.WorkflowContext, name: str) -> Steps:
    yield ctx.create_timer(timedelta(seconds=1))
    gates[name].pass_through()


@wfr.workflow
def goes_on(ctx: wf.WorkflowContext, left: int) -> Steps:
    yield ctx.create_timer(timedelta(hours=1))
    if left:
        ctx.continue_as_new(left - 1)
    return "done"


@wfr.workflow
async def awaiting(ctx: wf.WorkflowContext, order: int) -> int:
    receipt = await ctx.call_activity(charge, input=order)
    await ctx.create_timer(timedelta(days=30))
    return receipt.amount + len(await ctx.call_activity(notify, input="ten"))


@wfr.workflow
def lucky(ctx: wf.WorkflowContext) -> Steps:
    yield ctx.create_timer(timedelta(seconds=1))
    return random.random() < 2


@wfr.workflow
def draws_input(ctx: wf.WorkflowContext) -> Steps:
    # Not deterministic on purpose: the same operation, with another input each time.
    global draws  # noqa: PLW0603
    draws += 1
    return (yield ctx.call_activity(notify, input=f"draw {draws}"))


draws = 0


@wfr.workflow
def gives_up_timer(ctx: wf.WorkflowContext) -> Steps:
    timer = ctx.create_timer(timedelta(days=1))
    yield ctx.wait_for_external_event("first")
    timer.cancel()
    yield ctx.wait_for_external_event("second")


@wfr.activity(
    heartbeat_timeout=timedelta(seconds=5),
    retry_policy=wf.RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3),
)
def copy(ctx: wf.WorkflowActivityContext, files: int) -> str:
    first = ctx.heartbeat_details or 0
    if ctx.attempt == 1:
        ctx.heartbeat(5)
        raise ConnectionError("lost")
    return f"{first} of {files}"


@wfr.workflow
def many(ctx: wf.WorkflowContext, files: int) -> Steps:
    copied = yield ctx.call_activity(copy, input=files)
    texts = yield wf.when_all([ctx.call_activity(notify, input="x") for _ in range(files)])
    ctx.set_custom_status({"copied": copied})
    return len(texts)
