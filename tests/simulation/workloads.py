"""The workflows that are simulated: real code for the real replay executor, with results that can be foretold.

Each says in `EXPECTED` what it must come to. Those that gather events are judged by what clients were promised.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

from tenuto._replay.definitions import NO_OPTIONS
from tenuto._replay.policy import RetryPolicy
from tenuto._replay.tasks import when_all, when_any
from tenuto._worker.registry import Registry
from tenuto.errors import TaskFailedError

Flow = Generator[Any, Any, Any]
STOP = "stop"


def _ms(value: int) -> timedelta:
    return timedelta(milliseconds=value)


def chain(ctx: Any, steps: int) -> Flow:
    total = 0
    for number in range(steps):
        total += yield ctx.call_activity("add", input=number)
        ctx.set_custom_status({"step": number})
    return total


def fan(ctx: Any, width: int) -> Flow:
    results = yield when_all([ctx.call_activity("add", input=number) for number in range(width)])
    return sum(results)


def sleeper(ctx: Any, delays: list[int]) -> Flow:
    """True where no timer came early."""
    in_time = True
    for delay in delays:
        due = ctx.current_utc_datetime + _ms(delay)
        yield ctx.create_timer(_ms(delay))
        in_time = in_time and ctx.current_utc_datetime >= due
    return in_time


def race(ctx: Any, delay: int) -> Flow:
    """A short timer against a long one, which is cancelled and must never fire."""
    short, long = ctx.create_timer(_ms(delay)), ctx.create_timer(_ms(delay + 4_000))
    winner = yield when_any([short, long])
    long.cancel()
    yield ctx.create_timer(_ms(50))
    return winner is short


def collect(ctx: Any, seen: list[str]) -> Flow:
    """All events until the one that says stop, in the order in which they came."""
    while True:
        event = yield ctx.wait_for_external_event("e")
        if event == STOP:
            return seen
        seen.append(event)


def collect_renewing(ctx: Any, seen: list[str]) -> Flow:
    """As `collect`, in a new execution after every second event."""
    for _ in range(2):
        event = yield ctx.wait_for_external_event("e")
        if event == STOP:
            return seen
        seen.append(event)
    ctx.continue_as_new(seen, save_events=True)
    return None


def counter(ctx: Any, left: int) -> Flow:
    """One activity in each of several executions."""
    yield ctx.call_activity("add", input=left)
    if left:
        ctx.continue_as_new(left - 1)
    return left


def parent(ctx: Any, spec: list[list[Any]]) -> Flow:
    """Children of several kinds, side by side; their results in order."""
    children = [
        ctx.call_child_workflow(name, input=given, instance_id=f"{ctx.instance_id}.{number}")
        for number, (name, given) in enumerate(spec)
    ]
    return (yield when_all(children))


def twins(ctx: Any, _: Any) -> Flow:
    """Two children under one id: the second is refused, and its parent is told."""
    name = f"{ctx.instance_id}.twin"
    first = ctx.call_child_workflow("sleeper", input=[2_500], instance_id=name)
    second = ctx.call_child_workflow("chain", input=1, instance_id=name)
    try:
        yield second
    except TaskFailedError:
        return (yield first)
    return "both ran"


def renewing_parent(ctx: Any, left: int) -> Flow:
    """Starts a child in each execution and waits for none; ends only when told to."""
    ctx.call_child_workflow("collect", input=[], instance_id=f"{ctx.instance_id}.{left}")
    if left:
        yield ctx.create_timer(_ms(30))
        ctx.continue_as_new(left - 1, save_events=True)
        return None
    while (yield ctx.wait_for_external_event("e")) != STOP:
        pass
    return 0


def sender(ctx: Any, given: list[Any]) -> Flow:
    """Events for another instance, some of them from one turn."""
    target, count = given
    for number in range(count):
        ctx.raise_event(target, "e", data=f"{ctx.instance_id}/{number}")
        if number % 2:
            yield ctx.create_timer(_ms(20))
    return count


def flaky(ctx: Any, failures: int) -> Flow:
    """An activity that fails a few times, within its policy."""
    policy = RetryPolicy(first_retry_interval=_ms(100), max_number_of_attempts=5, backoff_coefficient=2.0)
    return (yield ctx.call_activity("fail_first", input=failures, retry_policy=policy))


def hopeless(ctx: Any, attempts: int) -> Flow:
    """An activity that always fails; the workflow goes on."""
    policy = RetryPolicy(first_retry_interval=_ms(100), max_number_of_attempts=attempts)
    try:
        yield ctx.call_activity("fail_first", input=1_000, retry_policy=policy)
    except TaskFailedError:
        return "failed"
    return "impossible"


def impatient(ctx: Any, _: Any) -> Flow:
    """An activity that is too slow for its timeout at the first attempt."""
    policy = RetryPolicy(first_retry_interval=_ms(100), max_number_of_attempts=4)
    result = yield ctx.call_activity(
        "slow_first", input=7, retry_policy=policy, start_to_close_timeout=timedelta(milliseconds=1_500)
    )
    return result


def beating(ctx: Any, _: Any) -> Flow:
    """An activity that falls silent at its first attempt, and shows signs of life at the next ones."""
    policy = RetryPolicy(first_retry_interval=_ms(100), max_number_of_attempts=6)
    return (
        yield ctx.call_activity("beat", input=7, retry_policy=policy, heartbeat_timeout=timedelta(milliseconds=900))
    )


def bounded(ctx: Any, _: Any) -> Flow:
    """An activity that never ends within its time."""
    try:
        yield ctx.call_activity("stuck", input=0, schedule_to_close_timeout=timedelta(milliseconds=1_200))
    except TaskFailedError:
        return "timeout"
    return "impossible"


WORKFLOWS: tuple[Callable[..., Flow], ...] = (
    chain,
    fan,
    sleeper,
    race,
    collect,
    collect_renewing,
    counter,
    parent,
    twins,
    renewing_parent,
    sender,
    flaky,
    hopeless,
    impatient,
    beating,
    bounded,
)
GATHERING = frozenset({"collect", "collect_renewing", "renewing_parent"})
ACTIVITIES = ("add", "fail_first", "slow_first", "beat", "stuck")
# The most attempts that any workflow here allows for a call.
MOST_ATTEMPTS = {"add": 1, "fail_first": 5, "slow_first": 4, "beat": 6, "stuck": 1}


def expected(name: str, given: Any) -> Any:
    """What a workflow comes to, where that follows from its input alone; None for the gathering ones."""
    match name:
        case "chain" | "fan":
            return sum(number + 1 for number in range(given))
        case "sleeper" | "race" | "twins":
            return True
        case "counter":
            return 0
        case "parent":
            return [expected(child, child_input) for child, child_input in given]
        case "sender":
            return given[1]
        case "flaky":
            return given + 1
        case "hopeless":
            return "failed"
        case "impatient" | "beating":
            return 7
        case "bounded":
            return "timeout"
        case "renewing_parent":
            return 0
        case _:
            return None


def _unused(ctx: Any, given: Any) -> Any:
    raise AssertionError("activities are simulated by the application's machine")


def registry() -> Registry:
    """The application's code."""
    made = Registry()
    for workflow in WORKFLOWS:
        made.add_workflow(workflow, workflow.__name__)
    for name in ACTIVITIES:

        def activity(ctx: Any, given: Any) -> Any:
            return _unused(ctx, given)

        made.add_activity(activity, name, NO_OPTIONS)
    return made
