"""Which part of a finished history begins a rerun."""

from __future__ import annotations

import pytest

from tenuto_engine.core import effects as f
from tenuto_engine.core import events as e
from tenuto_engine.core.apply import apply, fold
from tenuto_engine.core.rerun import RerunPlan, RerunRefused, plan_rerun
from tenuto_engine.core.state import InstanceState

FAILURE = e.Failure("ValueError", "no")
START: e.Event = e.ExecutionStarted("ship", "order-1", "x1", b"in", parent=e.Parent("order-0", "x0", 4))
NEW_START: e.Event = e.ExecutionStarted("ship", "order-2", "x2", b"in")
FIRST: list[e.Event] = [e.TurnStarted(1), START]

CHAIN: list[e.Event] = [
    *FIRST,
    e.ActivityScheduled(0, "a", b"1"),
    e.TurnStarted(2),
    e.ActivityCompleted(0, b"A"),
    e.ActivityScheduled(1, "b", b"2"),
    e.TurnStarted(3),
    e.ActivityFailed(1, FAILURE),
    e.ExecutionFailed(2, FAILURE),
]


def rerun(history: list[e.Event], event_id: int, override: tuple[bytes | None] | None = None) -> RerunPlan:
    """A rerun of `history` from one operation."""
    return plan_rerun(history, event_id=event_id, instance_id="order-2", execution_id="x2", override=override)


def test_cut_at_an_activity_keeps_what_came_before() -> None:
    """Everything before the turn that received the result is kept under the new identity; the result is left out."""
    assert rerun(CHAIN, 1) == RerunPlan([FIRST[0], NEW_START, *CHAIN[2:6]], [])
    assert rerun(CHAIN, 0) == RerunPlan([FIRST[0], NEW_START, CHAIN[2]], [])


def test_copied_start_has_no_parent() -> None:
    """The parent got its answer from the first instance: a rerun reports to nobody."""
    kept = rerun(CHAIN, 1).history[1]
    assert isinstance(kept, e.ExecutionStarted)
    assert (kept.instance_id, kept.execution_id, kept.parent, kept.input) == ("order-2", "x2", None, b"in")


@pytest.mark.parametrize("payload", [b"new", b"", None])
def test_override_replaces_the_input(payload: bytes | None) -> None:
    """The chosen operation, and it alone, gets the new input; None is an input too."""
    inputs = [x.input for x in rerun(CHAIN, 1, (payload,)).history if isinstance(x, e.ActivityScheduled)]
    assert inputs == [b"1", payload]


def test_cut_at_a_timer() -> None:
    """A timer is an operation like any other, but has no input to replace."""
    history: list[e.Event] = [
        *FIRST,
        e.TimerCreated(0, 50),
        e.TurnStarted(50),
        e.TimerFired(0),
        e.TurnStarted(51),
        e.ExecutionCompleted(1),
    ]
    assert rerun(history, 0) == RerunPlan([FIRST[0], NEW_START, history[2]], [])
    with pytest.raises(RerunRefused, match="operation 0 is a timer"):
        rerun(history, 0, (b"new",))


def test_cut_at_a_child_gives_it_ids_of_its_own() -> None:
    """A child that starts again must not meet the first one; a child that had ended stays what it was."""
    history: list[e.Event] = [
        *FIRST,
        e.ChildCreated(0, "bill", "order-1:0000", b"1", "", "xa"),
        e.TurnStarted(2),
        e.ChildCompleted(0, b"A"),
        e.ChildCreated(1, "bill", "order-1:0001", b"2", "", "xb"),
        e.TurnStarted(3),
        e.ChildFailed(1, FAILURE),
        e.ExecutionFailed(2, FAILURE),
    ]
    children = [x for x in rerun(history, 1, (b"new",)).history if isinstance(x, e.ChildCreated)]
    assert children == [history[2], e.ChildCreated(1, "bill", "order-2:0001", b"new", "", "x2-1")]


FAN_OUT: list[e.Event] = [
    *FIRST,
    e.ActivityScheduled(0, "a"),
    e.ActivityScheduled(1, "b"),
    e.ActivityScheduled(2, "c"),
    e.TurnStarted(2),
    e.EventRaised("paid"),
    e.ActivityCompleted(1, b"B"),
    e.ActivityCompleted(0, b"A"),
    e.ActivityCompleted(2, b"C"),
    e.ExecutionCompleted(3),
]


def test_results_before_the_chosen_one_are_received_again() -> None:
    """What the same turn had received before the chosen result is received again; what came later runs again."""
    plan = rerun(FAN_OUT, 0)
    assert plan.history == [FIRST[0], NEW_START, *FAN_OUT[2:5]]
    assert plan.messages == [e.EventRaised("paid"), e.ActivityCompleted(1, b"B")]


def test_rerun_dispatches_only_what_is_open() -> None:
    """Received results are applied before the rerun begins, so their activities do not run a second time."""
    plan = rerun(FAN_OUT, 0)
    state = InstanceState("order-2", "x2")
    fold(state, [(event, 1) for event in plan.history])
    effects: list[f.Effect] = []
    for event in (e.TurnStarted(9), *plan.messages, e.RerunStarted("order-1", 0)):
        apply(state, event, size_bytes=1, effects=effects)
    dispatched = [x.event.event_id for x in effects if isinstance(x, f.DispatchActivity)]
    assert dispatched == [0, 2]


def test_operation_without_result_is_cut_at_the_end() -> None:
    """An operation that was open when the execution ended runs again from before that ending turn."""
    history: list[e.Event] = [*FIRST, e.ActivityScheduled(0, "a"), e.TurnStarted(2), e.ExecutionTerminated()]
    assert rerun(history, 0) == RerunPlan([FIRST[0], NEW_START, history[2]], [])


def test_operation_scheduled_in_the_ending_turn_runs_that_turn_again() -> None:
    """Where one turn scheduled it and ended, the turn itself is done again with the messages it had received."""
    history: list[e.Event] = [
        *FIRST,
        e.ActivityScheduled(0, "a"),
        e.TurnStarted(2),
        e.EventRaised("paid"),
        e.ActivityCompleted(0),
        e.ActivityScheduled(1, "b"),
        e.EventSent(2, "order-9", "go"),
        e.ExecutionFailed(3, FAILURE),
    ]
    assert rerun(history, 1) == RerunPlan(
        [FIRST[0], NEW_START, history[2]], [e.EventRaised("paid"), e.ActivityCompleted(0)]
    )
    with pytest.raises(RerunRefused, match="rerun without an input"):
        rerun(history, 1, (b"new",))


def test_rerun_from_the_first_and_only_turn_begins_anew() -> None:
    """Nothing is kept: the instance starts as the first one did."""
    history: list[e.Event] = [*FIRST, e.ActivityScheduled(0, "a"), e.ExecutionFailed(1, FAILURE)]
    assert rerun(history, 0) == RerunPlan([], [START])


@pytest.mark.parametrize("event_id", [2, 99, -1])
def test_unknown_operations_are_refused(event_id: int) -> None:
    """An event id that names no activity, timer or child is refused, with those that exist."""
    with pytest.raises(RerunRefused, match=rf"event id {event_id}; it has \[0, 1\]"):
        rerun(CHAIN, event_id)
