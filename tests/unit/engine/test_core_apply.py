"""How each event changes an execution, and what it makes the shell do."""

from __future__ import annotations

from typing import get_args

import pytest

from tenuto_engine.core import effects as f
from tenuto_engine.core import events as e
from tenuto_engine.core.apply import TRANSITIONS, apply, fold
from tenuto_engine.core.state import InstanceState, OpenChild
from tenuto_engine.core.status import TERMINAL, Hold, Status

PARENT = e.Parent("order-0", "x0", 4, "checkout")
FAILURE = e.Failure("ValueError", "no")
PACK = e.ActivityScheduled(0, "pack", b"in")
BILL = e.ChildCreated(2, "bill", "bill-1", b"in", "", "xb")


def state(*events: e.Event, parent: e.Parent | None = None) -> InstanceState:
    """A running execution after `events`."""
    made = InstanceState("order-1", "x1")
    for event in (e.TurnStarted(10), e.ExecutionStarted("ship", "order-1", "x1", parent=parent), *events):
        apply(made, event, size_bytes=1, effects=[])
    return made


def effects_of(made: InstanceState, event: e.Event) -> list[f.Effect]:
    """What applying `event` makes the shell do."""
    effects: list[f.Effect] = []
    apply(made, event, size_bytes=1, effects=effects)
    return effects


def test_every_event_has_a_transition() -> None:
    """The table and the union of events are the same set: nothing recorded can meet a fold that does not know it."""
    assert set(TRANSITIONS) == set(get_args(e.Event))


def test_the_start_tells_what_runs() -> None:
    """The first turn takes name, version, parent, generation and input from the start."""
    made = InstanceState("order-1", "x1")
    started = e.ExecutionStarted("ship", "order-1", "x1", b"in", "v1", PARENT, 3, "trace")
    assert effects_of(made, e.TurnStarted(10)) == effects_of(made, started) == []
    assert (made.name, made.input, made.version, made.parent) == ("ship", b"in", "v1", PARENT)
    assert (made.generation, made.trace_parent, made.status, made.last_turn_at_ms) == (3, "trace", Status.RUNNING, 10)


def test_length_and_size_count_every_event() -> None:
    """`length` and `size_bytes` grow with each event, whatever it means."""
    made = InstanceState("order-1", "x1")
    fold(made, [(e.TurnStarted(1), 5), (e.WokenUp(), 3), (e.EventRaised("paid"), 9)])
    assert (made.length, made.size_bytes) == (3, 17)


def test_activity_is_open_until_its_result() -> None:
    """Scheduling dispatches with the event's place in history; either result closes."""
    for result in (e.ActivityCompleted(0, b"7"), e.ActivityFailed(0, FAILURE)):
        made = state()
        assert effects_of(made, PACK) == [f.DispatchActivity(PACK, 2)]
        assert made.activities == {0: (PACK, 2)}
        assert effects_of(made, result) == []
        assert made.activities == {}


def test_timer_is_open_until_it_fires() -> None:
    """Creating arms the timer, firing closes it."""
    made = state()
    assert effects_of(made, e.TimerCreated(1, 5_000)) == [f.ArmTimer(1, 5_000)]
    assert made.timers == {1: 5_000}
    assert effects_of(made, e.TimerFired(1)) == []
    assert made.timers == {}


def test_child_is_open_until_its_end() -> None:
    """Creating starts the child; either end closes it."""
    for result in (e.ChildCompleted(2, b"7"), e.ChildFailed(2, FAILURE)):
        made = state()
        assert effects_of(made, BILL) == [f.StartChildInstance(BILL)]
        assert made.open_children() == [OpenChild(2, "bill-1", "xb")]
        assert effects_of(made, result) == []
        assert made.open_children() == []


def test_pending_operations_are_those_that_are_open() -> None:
    """Activities, timers and children count; events sent do not."""
    made = state(PACK, e.TimerCreated(1, 5), BILL, e.EventSent(3, "order-2", "paid"))
    assert made.pending_operations == 3


def test_events_raised_change_nothing() -> None:
    """What an external event means is known to the workflow's code alone."""
    made = state()
    assert effects_of(made, e.EventRaised("paid", b"7")) == []
    assert (made.status, made.pending_operations) == (Status.RUNNING, 0)


def test_events_sent_are_delivered_under_their_place_in_history() -> None:
    """The index makes the message's id unique and repeatable."""
    sent = e.EventSent(3, "order-2", "paid", b"7")
    assert effects_of(state(), sent) == [f.SendExternalEvent("order-2", "paid", b"7", 2)]


def test_suspension_and_resumption() -> None:
    """Suspending holds with the reason; resuming ends both."""
    made = state()
    assert effects_of(made, e.ExecutionSuspended("audit")) == []
    assert (made.status, made.hold, made.reason) == (Status.SUSPENDED, Hold.SUSPENDED, "audit")
    assert effects_of(made, e.ExecutionResumed("done")) == []
    assert (made.status, made.hold, made.reason) == (Status.RUNNING, Hold.NONE, "")


def test_resuming_what_is_not_suspended_changes_nothing() -> None:
    """A resumption in a history means only the end of a suspension."""
    made = state()
    made.hold, made.status = Hold.STALLED, Status.STALLED
    effects_of(made, e.ExecutionResumed())
    assert (made.status, made.hold) == (Status.STALLED, Hold.STALLED)


@pytest.mark.parametrize(
    ("ending", "status", "failed", "told"),
    [
        (e.ExecutionCompleted(9, b"7"), Status.COMPLETED, False, f.NotifyParent(PARENT, b"7", None)),
        (e.ExecutionFailed(9, FAILURE), Status.FAILED, True, f.NotifyParent(PARENT, None, FAILURE)),
    ],
    ids=repr,
)
def test_ends_are_told_to_the_parent(ending: e.Event, status: Status, failed: bool, told: f.Effect) -> None:
    """An ending sets its status; a child reports it, and a root has nobody to report to."""
    assert effects_of(state(parent=PARENT), ending) == [f.EndExecution(failed), told]
    root = state()
    assert effects_of(root, ending) == [f.EndExecution(failed)]
    assert root.status is status


def test_termination_goes_down_the_tree() -> None:
    """A recursive termination names every open child, of earlier executions too; others leave them alone."""
    made = state(BILL, e.ChildCreated(3, "bill", "bill-2", child_execution_id="xc"), e.ChildCompleted(3))
    made.carried = [OpenChild(1, "bill-0", "xa")]
    assert effects_of(made, e.ExecutionTerminated(reason="fraud")) == [
        f.TerminateChild("bill-0", "xa", "fraud"),
        f.TerminateChild("bill-1", "xb", "fraud"),
        f.EndExecution(True),
    ]
    assert (made.status, made.reason) == (Status.TERMINATED, "fraud")
    assert effects_of(state(BILL), e.ExecutionTerminated(recursive=False)) == [f.EndExecution(True)]


@pytest.mark.parametrize(("reason", "said"), [("fraud", "terminated: fraud"), ("", "was terminated")])
def test_terminated_child_is_a_failure_to_its_parent(reason: str, said: str) -> None:
    """The parent learns which child was terminated and why, and no retry policy tries it again."""
    _, told = effects_of(state(parent=PARENT), e.ExecutionTerminated(reason=reason))
    assert isinstance(told, f.NotifyParent)
    assert told.failure is not None
    assert (told.failure.type, told.failure.non_retryable) == ("WorkflowTerminated", True)
    assert "'order-1'" in told.failure.message
    assert told.failure.message.endswith(said)


def test_continuing_begins_another_execution() -> None:
    """Continue-as-new leaves this execution's status as it was: it is replaced, not ended."""
    made = state()
    carried = [e.EventRaised("paid")]
    assert effects_of(made, e.ContinuedAsNew(9, b"again", False, "v2", carried)) == [
        f.BeginExecution(b"again", False, "v2", carried)
    ]
    assert made.status is Status.RUNNING


def test_rerun_starts_again_what_is_open() -> None:
    """Whatever the copied history left open is dispatched, armed and started, and nothing that was closed."""
    made = state(PACK, e.ActivityScheduled(5, "pack"), e.ActivityCompleted(5), e.TimerCreated(1, 5_000), BILL)
    assert effects_of(made, e.RerunStarted("order-0", 0)) == [
        f.DispatchActivity(PACK, 2),
        f.ArmTimer(1, 5_000),
        f.StartChildInstance(BILL),
    ]


def test_wake_up_means_nothing_to_history() -> None:
    """It is never stored, and if it were, the fold would pass over it."""
    made = state()
    assert effects_of(made, e.WokenUp()) == []
    assert made.status is Status.RUNNING


def test_statuses_that_end() -> None:
    """Exactly completed, failed and terminated are terminal."""
    assert {Status.COMPLETED, Status.FAILED, Status.TERMINATED} == TERMINAL
