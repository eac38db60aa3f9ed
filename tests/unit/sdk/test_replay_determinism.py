"""Code against history: what is accepted, what is refused, and with which words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import tenuto as wf
from replay_world import World, registry_of
from tenuto._replay import actions as a
from tenuto._replay import events as e
from tenuto._replay.executor import TurnOutcome, UnknownWorkflow
from tenuto._worker.registry import Registry


def one(ctx: wf.WorkflowActivityContext) -> int:
    return 1


def two(ctx: wf.WorkflowActivityContext) -> int:
    return 2


def calls_one_twice(ctx: wf.WorkflowContext) -> Any:
    yield ctx.call_activity(one)
    yield ctx.call_activity(one)
    return "done"


def replayed_by(changed: Callable[..., Any]) -> TurnOutcome:
    """What happens when `changed` meets the history that `calls_one_twice` wrote in two turns."""
    world = World(registry_of(calls_one_twice, one, two))
    world.complete(1, 1)
    world.registry = registry_of(changed, one, two)
    return world.restart()


def other_activity(ctx: wf.WorkflowContext) -> Any:
    yield ctx.call_activity(two)


def timer_instead(ctx: wf.WorkflowContext) -> Any:
    yield ctx.create_timer(timedelta(seconds=1))


def ends_early(ctx: wf.WorkflowContext) -> Any:
    yield ctx.call_activity(one)


def asks_less(ctx: wf.WorkflowContext) -> Any:
    yield ctx.call_activity(one)
    yield ctx.wait_for_external_event("x")


def asks_more(ctx: wf.WorkflowContext) -> Any:
    ctx.create_timer(timedelta(hours=1))
    yield ctx.call_activity(one)


def asks_more_behind(ctx: wf.WorkflowContext) -> Any:
    first = ctx.call_activity(one)
    ctx.create_timer(timedelta(hours=1))
    yield first


@pytest.mark.parametrize(
    ("changed", "code", "recorded", "attempted"),
    [
        (other_activity, "UNEXPECTED_ACTIVITY", "activity 'one' (operation 1", "activity 'two' (operation 1"),
        (timer_instead, "NON_DETERMINISTIC", "activity 'one' (operation 1", "timer (operation 1"),
        (ends_early, "NON_DETERMINISTIC", "activity 'one' (operation 2", "the workflow completes (operation 2"),
        (asks_less, "NON_DETERMINISTIC", "activity 'one' (operation 2", "nothing at this point"),
        (asks_more, "NON_DETERMINISTIC", "activity 'one' (operation 1", "timer (operation 1"),
        (asks_more_behind, "NON_DETERMINISTIC", "nothing at this point", "timer (operation 2"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_changed_code_is_refused_with_recorded_and_attempted(
    changed: Callable[..., Any], code: str, recorded: str, attempted: str
) -> None:
    """Each kind of difference has the lesson's words as first line, and shows both sides below."""
    problem = replayed_by(changed).problem
    assert isinstance(problem, wf.NonDeterminismError)
    lines = str(problem).splitlines()
    assert lines[0] in (
        "NON_DETERMINISTIC: Workflow code changed or behaves differently",
        "UNEXPECTED_ACTIVITY: Workflow tried to call different activity than recorded",
    )
    assert problem.code == code
    assert problem.recorded.startswith(recorded)
    assert problem.attempted.startswith(attempted)
    assert problem.instance_id == "i"


def test_unchanged_code_is_accepted() -> None:
    """Replaying its own history asks for nothing."""
    outcome = replayed_by(calls_one_twice)
    assert outcome.problem is None
    assert outcome.actions == []


def test_code_that_differs_only_behind_history_is_accepted() -> None:
    """What has not run yet may change freely."""

    def changed(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity(one)
        yield ctx.call_activity(one)
        yield ctx.call_activity(two)

    assert replayed_by(changed).problem is None


def test_a_turn_recorded_in_part_asks_for_the_rest() -> None:
    """An oversized turn is recorded in pieces: what is missing at the end is asked for again, without an error."""

    def fan_out(ctx: wf.WorkflowContext) -> Any:
        yield wf.when_all([ctx.call_activity(one) for _ in range(5)])

    world = World(registry_of(fan_out, one))
    del world.history[-2:]
    assert [action.event_id for action in world.restart().actions] == [4, 5]


def test_the_rest_of_a_turn_may_be_recorded_behind_another_turn() -> None:
    """A recovered turn that received nothing may carry what the one before it lacked."""

    def fan_out(ctx: wf.WorkflowContext) -> Any:
        return (yield wf.when_all([ctx.call_activity(one) for _ in range(3)]))

    world = World(registry_of(fan_out, one))
    world.history.insert(-1, e.TurnStarted(2_000_000))
    world.turns += 1
    assert world.restart().actions == []
    for event_id in (1, 2, 3):
        world.complete(event_id, event_id)
    assert world.result() == [1, 2, 3]


def test_a_completion_in_a_partly_recorded_turn_is_asked_for_again() -> None:
    """The end of an execution comes in the last piece of its turn."""
    world = World(registry_of(lambda ctx: 7))
    assert isinstance(world.history.pop(), e.ExecutionCompleted)
    (action,) = world.restart().actions
    assert action == a.CompleteExecution(1, b"7")


def test_cancelled_timers_leave_no_record_and_replay() -> None:
    """A cancellation has no event, so replay does not look for one."""

    def w(ctx: wf.WorkflowContext) -> Any:
        ctx.create_timer(timedelta(hours=1)).cancel()
        yield ctx.call_activity(one)
        yield ctx.call_activity(two)

    world = World(registry_of(w, one, two))
    world.complete(2, 1)
    outcome = world.restart()
    assert outcome.problem is None
    assert [x for x in outcome.actions if not isinstance(x, a.CancelTimer)] == []


def test_an_end_imposed_by_the_engine_is_no_difference() -> None:
    """A limit may end an execution whose code would go on."""
    world = World(registry_of(calls_one_twice, one))
    world.history.append(e.ExecutionFailed(0, e.Failure("LimitExceeded", "history_events")))
    assert world.restart().problem is None


def test_a_recorded_result_differs_from_a_failure() -> None:
    """A workflow that completed and now fails is refused."""
    world = World(registry_of(lambda ctx: 7))

    def fails(ctx: wf.WorkflowContext) -> None:
        raise ValueError("now")

    world.registry = registry_of(fails)
    problem = world.restart().problem
    assert isinstance(problem, wf.NonDeterminismError)
    assert problem.attempted == "the workflow fails (ValueError: now) (operation 1)"


def test_an_execution_stays_on_the_variant_it_began_with() -> None:
    """Of a versioned workflow new executions take the latest; the choice is recorded."""

    def first(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity(one)
        return "first"

    def second(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity(two)
        return "second"

    def registry(latest: str) -> Registry:
        both = Registry()
        both.add_variant(first, "w", "v1", is_latest=latest == "v1")
        both.add_variant(second, "w", "v2", is_latest=latest == "v2")
        return both

    world = World(registry("v1"))
    world.registry = registry("v2")
    assert world.restart().problem is None
    world.complete(1, 1)
    assert world.result() == "first"
    fresh = World(registry("v2"))
    fresh.complete(1, 1)
    assert fresh.result() == "second"
    only_second = Registry()
    only_second.add_variant(second, "w", "v2", is_latest=True)
    world.registry = only_second
    with pytest.raises(UnknownWorkflow, match="without its version 'v1'"):
        world.restart()
