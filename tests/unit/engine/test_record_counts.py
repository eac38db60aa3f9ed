"""How many records an instance leaves in the store, against the numbers that the lesson teaches.

The lesson: start 5, activity 3, timer 3, event 3, child 8; ten chained activities 30 to 35. Counted are the records
that remain when the operation has completed: history, metadata and custom status. The end-to-end count over real
stores is elsewhere; this one says what the core asks a store to keep.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bare_core import BareCore, started
from tenuto_engine.core import actions as a
from tenuto_engine.core import events as e
from tenuto_engine.core.status import Status


def run(steps: list[tuple[a.Action, e.Event]]) -> int:
    """Records left by a workflow that does `steps` one after another, each answered by its event, and completes."""
    core = BareCore(started())
    answer: e.Event | None = None
    for asked, answered in steps:
        if answer is not None:
            core.receive(answer)
        core.turn([asked], custom_status=b'"working"')
        answer = answered
    if answer is not None:
        core.receive(answer)
    core.turn([a.CompleteExecution(len(steps))], custom_status=b'"done"')
    assert core.live.state.status is Status.COMPLETED
    return core.records


START = 5


def test_start() -> None:
    """Starting and completing a workflow that shows a custom status leaves 5 records at most."""
    assert run([]) <= START


STEPS: dict[str, tuple[int, Callable[[int], tuple[a.Action, e.Event]]]] = {
    "activity": (3, lambda i: (a.ScheduleActivity(i, "pack"), e.ActivityCompleted(i, b"7"))),
    "timer": (3, lambda i: (a.CreateTimer(i, 5_000), e.TimerFired(i))),
}


@pytest.mark.parametrize("count", [1, 2, 10])
@pytest.mark.parametrize("kind", STEPS)
def test_each_operation(kind: str, count: int) -> None:
    """Each further activity or timer adds 3 records at most."""
    ceiling, step = STEPS[kind]
    assert run([step(i) for i in range(count)]) <= START + ceiling * count


@pytest.mark.parametrize("count", [1, 10])
def test_each_external_event(count: int) -> None:
    """Each external event that is waited for adds 3 records at most."""
    core = BareCore(started())
    core.turn([], custom_status=b'"waiting"')
    for number in range(count):
        core.receive(e.EventRaised("paid", b"7"))
        core.turn([a.CompleteExecution(0)] if number == count - 1 else [])
    assert core.live.state.status is Status.COMPLETED
    assert core.records <= START + 3 * count


def test_child() -> None:
    """A child workflow adds 8 records at most, its own instance's counted."""
    parent = run([(a.StartChild(0, "bill", "bill-1", b"7"), e.ChildCompleted(0, b"7"))])
    child = run([])
    assert parent - START + child <= 8


def test_ten_chained_activities() -> None:
    """The lesson's own example: ten chained activities leave 30 to 35 records."""
    step = STEPS["activity"][1]
    assert 30 <= run([step(i) for i in range(10)]) <= 35


def test_retries_leave_no_records() -> None:
    """Attempts are counted in the activity's entry: a call that needed five of them is 3 records like any other."""
    asked = a.ScheduleActivity(0, "pack", retry=e.RetryPolicy(100, 5))
    assert run([(asked, e.ActivityCompleted(0, b"7", attempt=5))]) <= START + 3


def test_cancelled_timer_leaves_two_records_less() -> None:
    """The loser of a race costs its creation alone."""
    core = BareCore(started())
    core.turn([a.CreateTimer(0, 5_000)], custom_status=b'"waiting"')
    core.receive(e.EventRaised("paid"))
    core.turn([a.CancelTimer(0), a.CompleteExecution(1)])
    assert core.records <= START + 3 + 1


def test_generations_do_not_add_up() -> None:
    """Continue-as-new begins the count anew: the hundredth generation holds no more than the first."""
    core = BareCore(started())
    for number in range(100):
        core.turn([a.ContinueAsNew(0, b"%d" % number)], custom_status=b'"again"')
    core.turn([a.CompleteExecution(0)])
    assert core.live.state.generation == 101
    assert core.records <= START
