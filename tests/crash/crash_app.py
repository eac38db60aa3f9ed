"""The application of the crash matrix: workflows that use every feature, and activities that keep a ledger.

Run as a program it serves until SIGTERM; `CRASH_LEDGER` names the ledger. Each run of an activity is one line, written
before the activity returns, so that a second run of the same attempt is seen even if its result never arrived.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import tenuto as wf

wfr = wf.WorkflowRuntime(worker_ready_timeout=0)

_BRIEF = timedelta(milliseconds=20)
_NEVER = timedelta(hours=1)
_RETRIES = wf.RetryPolicy(first_retry_interval=_BRIEF, max_number_of_attempts=5)
_FATAL = wf.RetryPolicy(first_retry_interval=_BRIEF, max_number_of_attempts=5, non_retryable_errors=[ZeroDivisionError])


def note(ctx: wf.WorkflowActivityContext, value: Any) -> None:
    """Add a line to the ledger; one write, so that lines of several threads never mix."""
    line = {
        "instance": ctx.workflow_id,
        "execution": ctx.execution_id,
        "event": ctx.task_id,
        "attempt": ctx.attempt,
        "activity": ctx.activity_name,
        "value": value,
    }
    with open(os.environ["CRASH_LEDGER"], "ab", buffering=0) as ledger:  # noqa: PTH123 - one unbuffered write
        ledger.write(json.dumps(line).encode() + b"\n")


@wfr.activity
def work(ctx: wf.WorkflowActivityContext, value: Any) -> Any:
    note(ctx, value)
    return value


@wfr.activity
async def work_async(ctx: wf.WorkflowActivityContext, value: Any) -> Any:
    note(ctx, value)
    return value


@wfr.activity(retry_policy=_RETRIES)
def work_at_third_try(ctx: wf.WorkflowActivityContext, value: Any) -> Any:
    note(ctx, value)
    if ctx.attempt < 3:
        raise ConnectionError(f"attempt {ctx.attempt} fails")
    return value


@wfr.activity(retry_policy=_FATAL)
def fail_at_once(ctx: wf.WorkflowActivityContext, value: int) -> float:
    note(ctx, value)
    return 1 / value


@wfr.workflow
def double(ctx: wf.WorkflowContext, number: int) -> Generator[Any, Any, int]:
    once: int = yield ctx.call_activity(work, input=number)
    return 2 * once


@wfr.workflow
async def break_down(ctx: wf.WorkflowContext, number: int) -> None:
    await ctx.call_activity(fail_at_once, input=number)


@wfr.workflow
def wait_forever(ctx: wf.WorkflowContext) -> Generator[Any, Any, None]:
    yield ctx.wait_for_external_event("never")


@wfr.workflow
def hold_a_child(ctx: wf.WorkflowContext) -> Generator[Any, Any, None]:
    """A tree that only ends by being terminated."""
    yield ctx.call_child_workflow(wait_forever, instance_id=f"{ctx.instance_id}/child")


@wfr.workflow
def collect(ctx: wf.WorkflowContext, count: int) -> Generator[Any, Any, list[Any]]:
    """Takes events in order, while it is suspended and resumed from outside."""
    taken: list[Any] = []
    while len(taken) < count:
        taken.append((yield ctx.wait_for_external_event("number")))
        ctx.set_custom_status(taken)
    return taken


@wfr.workflow
async def echo(ctx: wf.WorkflowContext, sender: str) -> str:
    """Answers another instance's event with one of its own."""
    said = await ctx.wait_for_external_event("ping")
    ctx.raise_event(sender, "pong", data=said)
    return f"echoed {said}"


def _tries(ctx: wf.WorkflowContext) -> Generator[Any, Any, list[Any]]:
    """Activities of both kinds: plain, retried, failing and compensated, fanned out."""
    seen: list[Any] = [(yield ctx.call_activity(work, input="first"))]
    seen.append((yield ctx.call_activity(work_at_third_try, input="third try")))
    try:
        yield ctx.call_activity(fail_at_once, input=0)
    except wf.TaskFailedError as error:
        seen.append(error.details.error_type)
        seen.append((yield ctx.call_activity(work_async, input="compensation")))
    fan = [ctx.call_activity(work if i % 2 else work_async, input=i) for i in range(4)]
    seen.append((yield wf.when_all(fan)))
    return seen


def _waits(ctx: wf.WorkflowContext) -> Generator[Any, Any, list[Any]]:
    """Timers that fire, lose a race and are cancelled; events that come and that do not."""
    seen: list[Any] = []
    began = ctx.current_utc_datetime
    yield ctx.create_timer(_BRIEF)
    seen.append(ctx.current_utc_datetime - began >= _BRIEF)
    late, quick = ctx.create_timer(_NEVER), ctx.call_activity(work, input="quick")
    winner = yield wf.when_any([late, quick])
    seen.append(winner is quick)
    late.cancel()
    seen.append((yield ctx.wait_for_external_event("GO")))
    try:
        yield ctx.wait_for_external_event("never", timeout=_BRIEF)
    except TimeoutError:
        seen.append("timeout")
    return seen


def _others(ctx: wf.WorkflowContext) -> Generator[Any, Any, list[Any]]:
    """Children that succeed and fail, and an exchange of events with another instance."""
    seen: list[Any] = []
    children = [ctx.call_child_workflow(double, input=n, instance_id=f"{ctx.instance_id}/{n}") for n in (3, 4)]
    seen.append((yield wf.when_all(children)))
    try:
        yield ctx.call_child_workflow(break_down, input=0, instance_id=f"{ctx.instance_id}/broken")
    except wf.TaskFailedError:
        seen.append("child failed")
    ctx.raise_event(ctx.instance_id.replace("main", "echo"), "ping", data="hello")
    seen.append((yield ctx.wait_for_external_event("pong")))
    return seen


@wfr.workflow
def everything(ctx: wf.WorkflowContext, seen: list[Any]) -> Generator[Any, Any, list[Any] | None]:
    """Uses every feature in three executions, each continued as a new one but the last."""
    generation = 1 + sum(isinstance(part, list) for part in seen)
    ctx.set_custom_status(f"generation {generation}")
    # Both must be the same in every replay: the ledger shows each value beside its call.
    yield ctx.call_activity(work_async, input=[str(ctx.new_uuid()), ctx.random().random(), ctx.is_patched("shiny")])
    if generation == 1:
        part = yield from _tries(ctx)
    elif generation == 2:
        part = yield from _waits(ctx)
    else:
        part = yield from _others(ctx)
    if generation < 3:
        ctx.continue_as_new([*seen, part], save_events=True)
        return None
    last = yield ctx.wait_for_external_event("last")
    ctx.set_custom_status("done")
    return [*seen, part, last]


if __name__ == "__main__":
    wfr.run()
