"""The application of the chaos run: workflows that use every feature, and activities that keep a ledger.

Run as a program it serves until SIGTERM; `CHAOS_LEDGER` names the ledger, in the form that `tenuto verify` reads. Each
run of an activity is one line, written before it does anything else.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import tenuto as wf

wfr = wf.WorkflowRuntime(worker_ready_timeout=0)
Steps = Generator[Any, Any, Any]

_BRIEF = timedelta(milliseconds=30)
_NEVER = timedelta(hours=1)
_RETRIES = wf.RetryPolicy(first_retry_interval=_BRIEF, max_number_of_attempts=6)
_FATAL = wf.RetryPolicy(first_retry_interval=_BRIEF, max_number_of_attempts=4, non_retryable_errors=[ZeroDivisionError])
_TAKEN_BEFORE_RENEWAL = 4


def note(ctx: wf.WorkflowActivityContext) -> None:
    """Add a line to the ledger; one write, so that lines of several threads and processes never mix."""
    line = {
        "instance": ctx.workflow_id,
        "execution": ctx.execution_id,
        "event": ctx.task_id,
        "attempt": ctx.attempt,
        "key": getattr(ctx, "idempotency_key", f"{ctx.execution_id}/{ctx.task_id}"),
        "activity": ctx.activity_name,
        "at_ms": time.time_ns() // 1_000_000,
    }
    with open(os.environ["CHAOS_LEDGER"], "ab", buffering=0) as ledger:  # noqa: PTH123 - one unbuffered write
        ledger.write(json.dumps(line).encode() + b"\n")


@wfr.activity
def work(ctx: wf.WorkflowActivityContext, value: Any) -> Any:
    note(ctx)
    return value


@wfr.activity
async def work_async(ctx: wf.WorkflowActivityContext, value: Any) -> Any:
    note(ctx)
    await asyncio.sleep(0.01)
    return value


@wfr.activity(retry_policy=_RETRIES)
def flaky(ctx: wf.WorkflowActivityContext, value: Any) -> Any:
    note(ctx)
    if ctx.attempt < 3:
        raise ConnectionError(f"attempt {ctx.attempt} fails")
    return value


@wfr.activity(retry_policy=_FATAL)
def hopeless(ctx: wf.WorkflowActivityContext, value: int) -> float:
    note(ctx)
    return 1 / value


@wfr.activity(retry_policy=_RETRIES, start_to_close_timeout=timedelta(seconds=2))
async def hangs_once(ctx: wf.WorkflowActivityContext, value: Any) -> Any:
    note(ctx)
    if ctx.attempt == 1:
        await asyncio.sleep(60)
    return value


@wfr.workflow
def chain(ctx: wf.WorkflowContext, count: int) -> Steps:
    """Calls one after the other; every third fails twice before it succeeds."""
    total = 0
    for number in range(count):
        kind = flaky if number % 3 == 2 else work
        total += yield ctx.call_activity(kind, input=number)
        ctx.set_custom_status(number)
    return total


@wfr.workflow
async def fan(ctx: wf.WorkflowContext, count: int) -> int:
    """Calls all at once."""
    calls = [ctx.call_activity(work if number % 2 else work_async, input=number) for number in range(count)]
    return sum(await wf.when_all(calls))


@wfr.workflow
def collect(ctx: wf.WorkflowContext, taken: list[Any]) -> Steps:
    """Takes notes until it is told to stop, in executions of a few notes each."""
    ctx.set_custom_status(len(taken))
    for _ in range(_TAKEN_BEFORE_RENEWAL):
        said = yield ctx.wait_for_external_event("note")
        if said == "stop":
            return taken
        taken = [*taken, said]
    ctx.continue_as_new(taken, save_events=True)
    return None


@wfr.workflow
def waits(ctx: wf.WorkflowContext, rounds: int) -> Steps:
    """Timers that fire, lose a race and are cancelled; an event that never comes; a call that hangs once."""
    seen: list[Any] = []
    for number in range(rounds):
        began = ctx.current_utc_datetime
        yield ctx.create_timer(_BRIEF)
        seen.append(ctx.current_utc_datetime - began >= _BRIEF)
        late, quick = ctx.create_timer(_NEVER), ctx.call_activity(work, input=number)
        yield wf.when_any([late, quick])
        late.cancel()
        seen.append((yield quick))
        try:
            yield ctx.wait_for_external_event("never", timeout=_BRIEF)
        except TimeoutError:
            seen.append("timeout")
    seen.append((yield ctx.call_activity(hangs_once, input="late")))
    return seen


@wfr.workflow
async def family(ctx: wf.WorkflowContext, depth: int) -> Any:
    """Children that succeed, one that fails, and a grandchild; ids follow from the parent's."""
    calls = [ctx.call_child_workflow(chain, input=n, instance_id=f"{ctx.instance_id}/c{n}") for n in (2, 4)]
    results = await wf.when_all(calls)
    try:
        await ctx.call_child_workflow(breaks, input=0, instance_id=f"{ctx.instance_id}/b")
    except wf.TaskFailedError:
        results.append("failed")
    if depth:
        results.append(await ctx.call_child_workflow(family, input=depth - 1, instance_id=f"{ctx.instance_id}/f"))
    return results


@wfr.workflow
async def breaks(ctx: wf.WorkflowContext, number: int) -> None:
    await ctx.call_activity(hopeless, input=number)


@wfr.workflow
def listens(ctx: wf.WorkflowContext) -> Steps:
    yield ctx.wait_for_external_event("never")


@wfr.workflow
def renews_for_ever(ctx: wf.WorkflowContext, generation: int) -> Steps:
    """A child that is another execution every time its parent's termination looks for it."""
    yield ctx.create_timer(timedelta(milliseconds=200))
    ctx.continue_as_new(generation + 1)


@wfr.workflow
def tree(ctx: wf.WorkflowContext) -> Steps:
    """Only ends by being terminated, with its children."""
    yield wf.when_all(
        [
            ctx.call_child_workflow(listens, instance_id=f"{ctx.instance_id}/l"),
            ctx.call_child_workflow(renews_for_ever, input=0, instance_id=f"{ctx.instance_id}/r"),
        ]
    )


@wfr.workflow
async def ping(ctx: wf.WorkflowContext, other: str) -> Any:
    """Sends to another instance, in another shard as a rule, and takes its answer."""
    ctx.raise_event(other, "ping", data=ctx.instance_id)
    return await ctx.wait_for_external_event("pong")


@wfr.workflow
def pong(ctx: wf.WorkflowContext) -> Steps:
    sender = yield ctx.wait_for_external_event("ping")
    ctx.raise_event(sender, "pong", data=f"from {ctx.instance_id}")
    return sender


if __name__ == "__main__":
    wfr.run()
