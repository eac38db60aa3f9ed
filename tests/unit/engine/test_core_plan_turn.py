"""Which unread messages a turn takes, in which order, and what it does with the rest."""

from __future__ import annotations

from typing import Any

import pytest

from tenuto_engine.core import events as e
from tenuto_engine.core.apply import apply
from tenuto_engine.core.decide import TurnPlan, plan_turn
from tenuto_engine.core.state import InstanceState
from tenuto_engine.core.status import Hold

STARTED = e.ExecutionStarted("ship", "order-1", "x1")
TERMINATED = e.ExecutionTerminated()
SUSPENDED = e.ExecutionSuspended()
RESUMED = e.ExecutionResumed()
WOKEN = e.WokenUp()
RAISED = e.EventRaised("paid")


def running(*events: e.Event, hold: Hold = Hold.NONE) -> InstanceState:
    """An execution with one activity (0), timer (1) and child (2) open, and `events` after them."""
    state = InstanceState("order-1", "x1")
    opened: tuple[e.Event, ...] = (
        e.TurnStarted(1),
        STARTED,
        e.ActivityScheduled(0, "pack"),
        e.TimerCreated(1, 5_000),
        e.ChildCreated(2, "bill", "bill-1"),
    )
    for event in (*opened, *events):
        apply(state, event, size_bytes=1, effects=[])
    state.hold = hold
    return state


def test_nothing_unread_is_nothing_to_do() -> None:
    """Without unread messages there is no turn."""
    assert plan_turn(running(), []) is None


def test_messages_are_taken_in_their_order() -> None:
    """All unread messages that mean something become one turn, in the order given."""
    unread: list[e.Event] = [RAISED, e.ActivityCompleted(0), RAISED, e.TimerFired(1), e.ChildCompleted(2)]
    assert plan_turn(running(), unread) == TurnPlan([0, 1, 2, 3, 4], [], needs_worker=True)


@pytest.mark.parametrize(
    "event",
    [
        e.ActivityCompleted(9),
        e.ActivityFailed(9, e.Failure("E", "no")),
        e.TimerFired(9),
        e.ChildCompleted(9),
        e.ChildFailed(9, e.Failure("E", "no")),
        e.TimerFired(0),
        e.ActivityCompleted(1),
    ],
    ids=repr,
)
def test_results_of_nothing_open_are_void(event: e.Event) -> None:
    """A result whose operation is not open, or is of another kind, is consumed without record and without a worker."""
    assert plan_turn(running(), [event]) == TurnPlan([], [0], needs_worker=False)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (e.ActivityCompleted(0), e.ActivityCompleted(0)),
        (e.ActivityFailed(0, e.Failure("E", "no")), e.ActivityCompleted(0)),
        (e.TimerFired(1), e.TimerFired(1)),
        (e.ChildCompleted(2), e.ChildFailed(2, e.Failure("E", "no"))),
    ],
    ids=repr,
)
def test_second_result_of_one_turn_is_void(first: e.Event, second: e.Event) -> None:
    """Of two results for one operation in the same turn the first counts."""
    assert plan_turn(running(), [first, RAISED, second]) == TurnPlan([0, 1], [2], needs_worker=True)


def test_events_with_equal_names_are_all_taken() -> None:
    """External events are never duplicates of one another: each was raised."""
    assert plan_turn(running(), [RAISED, RAISED]) == TurnPlan([0, 1], [], needs_worker=True)


@pytest.mark.parametrize("hold", [Hold.SUSPENDED, Hold.STALLED, Hold.DELAYED])
def test_holds_keep_ordinary_messages_unread(hold: Hold) -> None:
    """While an instance is held, ordinary messages wait."""
    assert plan_turn(running(hold=hold), [RAISED, e.ActivityCompleted(0)]) is None


@pytest.mark.parametrize("control", [SUSPENDED, RESUMED, TERMINATED, WOKEN], ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("hold", list(Hold))
def test_control_goes_first_without_a_worker(hold: Hold, control: e.Event) -> None:
    """Control passes every hold, in a turn of its own that needs no worker; ordinary messages stay or are void."""
    plan = plan_turn(running(hold=hold), [RAISED, control])
    assert plan is not None
    assert not plan.needs_worker
    assert 0 not in plan.recorded
    assert 1 in {*plan.recorded, *plan.void}


def test_suspending_twice_is_recorded_once() -> None:
    """A suspension of a suspended instance means nothing, in one turn and over turns."""
    assert plan_turn(running(), [SUSPENDED, SUSPENDED]) == TurnPlan([0], [1], needs_worker=False)
    assert plan_turn(running(hold=Hold.SUSPENDED), [SUSPENDED]) == TurnPlan([], [0], needs_worker=False)


def test_suspension_and_resumption_follow_each_other() -> None:
    """Several of one turn are taken in order: each counts for where the one before left the instance."""
    unread: list[e.Event] = [SUSPENDED, RESUMED, RESUMED, SUSPENDED]
    assert plan_turn(running(), unread) == TurnPlan([0, 1, 3], [2], needs_worker=False)


def test_resume_ends_a_stall_without_record() -> None:
    """A stall is not part of history, so neither is its end."""
    assert plan_turn(running(hold=Hold.STALLED), [RESUMED]) == TurnPlan([], [0], needs_worker=False, releases=True)


def test_resume_of_a_running_instance_changes_nothing() -> None:
    """It is consumed, not recorded, and releases nothing."""
    assert plan_turn(running(), [RESUMED]) == TurnPlan([], [0], needs_worker=False)


@pytest.mark.parametrize(("hold", "releases"), [(Hold.DELAYED, True), (Hold.NONE, False), (Hold.SUSPENDED, False)])
def test_wake_up_ends_only_a_delay(hold: Hold, releases: bool) -> None:
    """A wake-up that comes late must not resume what a user suspended."""
    assert plan_turn(running(hold=hold), [WOKEN]) == TurnPlan([], [0], needs_worker=False, releases=releases)


def test_terminate_ends_all_else() -> None:
    """A termination is recorded, and everything that would have followed it is void."""
    unread: list[e.Event] = [RAISED, SUSPENDED, TERMINATED, RESUMED, e.ActivityCompleted(0), TERMINATED]
    assert plan_turn(running(), unread) == TurnPlan([1, 2], [0, 3, 4, 5], needs_worker=False, releases=True)


def test_terminate_before_the_start_records_the_start() -> None:
    """An instance terminated before its first turn still says what it was."""
    unread: list[e.Event] = [STARTED, RAISED, TERMINATED]
    assert plan_turn(InstanceState("order-1", "x1"), unread) == TurnPlan([0, 2], [1], needs_worker=False, releases=True)


def test_planning_changes_nothing() -> None:
    """The state is read only, so a plan may be made again."""
    state: Any = running()
    before = repr(state)
    plan_turn(state, [RAISED, e.ActivityCompleted(0), SUSPENDED])
    assert repr(state) == before
