"""Virtual time: it jumps over timers, stands still for what runs, and nobody can catch it moving too early."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

import tenuto as wf
from kit.kit_workflows import Gate, approve, gated, gates, goes_on, limited, race, wait_for_ever, wait_long, wfr
from tenuto.testing import StillRunning, WorkflowBlocked, WorkflowEnvironment

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)


def test_a_timer_of_thirty_days_takes_no_time_and_exactly_thirty_days() -> None:
    """`result` moves time to the very moment of the timer."""
    with WorkflowEnvironment(wfr, now=NOON) as env:
        assert env.run(wait_long, input=30) == (NOON + timedelta(days=30)).isoformat()
        assert env.now == NOON + timedelta(days=30)


def test_time_begins_at_the_same_moment_in_every_run() -> None:
    """Two environments begin at one moment, so that a test does not depend on the day it runs."""
    with WorkflowEnvironment(wfr) as one, WorkflowEnvironment(wfr) as other:
        assert one.now == other.now == datetime(2030, 1, 1, tzinfo=UTC)


def test_a_test_that_only_looks_moves_no_time() -> None:
    """Starting, waiting until all is blocked, reading state and history leave the clock where it was."""
    with WorkflowEnvironment(wfr, now=NOON) as env:
        instance = env.start(wait_long, input=1)
        env.run_until_blocked()
        assert instance.state().runtime_status is wf.WorkflowStatus.RUNNING
        assert [item.type for item in instance.history()] == ["TurnStarted", "ExecutionStarted", "TimerCreated"]
        assert instance.waits_for() == ["a timer due at 2031-05-05 12:00:00.000Z (operation 1)"]
        assert env.now == NOON


def test_advance_stops_wherever_something_is_due() -> None:
    """Timers on the way fire at their own moments, and the clock ends where it was told to."""
    with WorkflowEnvironment(wfr, now=NOON) as env:
        instances = [env.start(wait_long, input=days) for days in (3, 1, 2, 9)]
        env.advance(timedelta(days=4))
        assert env.now == NOON + timedelta(days=4)
        assert [each.state().output for each in instances] == [
            *((NOON + timedelta(days=days)).isoformat() for days in (3, 1, 2)),
            None,
        ]


def test_advance_just_short_of_a_timer_does_not_fire_it() -> None:
    """A timer fires at its moment and not a millisecond before."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(wait_long, input=1)
        env.advance(timedelta(days=1) - timedelta(milliseconds=1))
        assert instance.state().runtime_status is wf.WorkflowStatus.RUNNING
        env.advance(timedelta(milliseconds=1))
        assert instance.state().runtime_status is wf.WorkflowStatus.COMPLETED


def test_advance_refuses_to_go_back() -> None:
    """A negative duration is an error."""
    with WorkflowEnvironment(wfr) as env, pytest.raises(ValueError, match="never goes back"):
        env.advance(timedelta(seconds=-1))


def test_time_passes_by_a_duration() -> None:
    """A number is no duration: seconds or days, nobody knows."""
    with WorkflowEnvironment(wfr) as env, pytest.raises(TypeError, match=r"advance\(timedelta\(days=1\)\)"):
        env.advance(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what is tested


def test_time_stands_still_while_an_activity_runs() -> None:
    """A timer of one second does not fire while an activity runs, however long that takes and whoever waits."""
    gate = gates["still"] = Gate()
    with WorkflowEnvironment(wfr, now=NOON) as env, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(env.run, gated, input="still")
        assert gate.began.wait(30)
        for _ in range(200):
            env._control.engines.touch()  # the engine looks again whether all is idle
        assert env.now == NOON
        assert not waiting.done()
        gate.may_end.set()
        assert waiting.result(30) == "activity"
        assert env.now == NOON


def test_no_timer_ever_overtakes_an_activity() -> None:
    """Two hundred instances race an activity against a timer of a millisecond: the timer never wins.

    Whatever is under way between engine, worker and threads keeps time from moving; a single moment that was taken for
    idle too early would let a timer fire first.
    """
    for _ in range(3):
        with WorkflowEnvironment(wfr) as env:
            instances = [env.start(race, input=number) for number in range(200)]
            assert {instance.result() for instance in instances} == {"activity"}


def test_an_advance_while_an_activity_runs_is_done_once_it_has_returned() -> None:
    """`advance` waits for what runs; then time moves."""
    gate = gates["advance"] = Gate()
    with WorkflowEnvironment(wfr, now=NOON) as env, ThreadPoolExecutor(1) as pool:
        instance = env.start(gated, input="advance")
        advancing = pool.submit(env.advance, timedelta(seconds=5))
        assert gate.began.wait(30)
        assert env.now == NOON
        gate.may_end.set()
        advancing.result(30)
        assert env.now == NOON + timedelta(seconds=5)
        assert instance.result() == "activity"


def test_a_timeout_of_an_activity_that_hangs_passes_in_virtual_time() -> None:
    """A fake that hangs holds no time, so the call's timeout of ten minutes ends each of its five attempts."""
    with WorkflowEnvironment(wfr, now=NOON) as env:
        env.fake_activity("charge", hangs=True)
        for number in range(50):  # each attempt begins while the one before it is being cancelled
            began_at = env.now
            assert env.run(limited, input=number).startswith("ActivityTimeout at ")
            assert env.now - began_at == timedelta(hours=4, minutes=50)  # five attempts, four waits of an hour


def test_an_activity_that_does_not_return_is_named_when_patience_ends() -> None:
    """Real time is bounded, and the error says what runs and what to do."""
    gate = gates["stuck"] = Gate()
    text = r"runs: through_gate\('stuck'\), operation 1, attempt 1: still runs"
    with pytest.raises(StillRunning, match=text) as caught, WorkflowEnvironment(wfr) as env:
        instance = env.start(gated, input="stuck")
        assert gate.began.wait(30)
        env._driver.patience_s = 0.2
        instance.result()
    assert "fake it" in str(caught.value)
    gate.may_end.set()


def test_a_workflow_that_waits_for_what_never_comes_is_told_at_once() -> None:
    """Where nothing is due any more the wait ends with the name of the event, and not with a timeout."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(wait_for_ever)
        with pytest.raises(WorkflowBlocked, match="it waits for event 'word'"):
            instance.result()
        instance.raise_event("word", "hello")
        assert instance.result() == "hello"


def test_a_workflow_without_end_ends_the_patience() -> None:
    """Timers without end are told apart from an activity that hangs."""
    patience = timedelta(seconds=4)  # so that time has moved in its second half, however busy the machine
    with pytest.raises(StillRunning, match="goes on for ever"), WorkflowEnvironment(wfr, patience=patience) as env:
        env.run(goes_on, input=1_000_000)


def test_an_event_in_time_and_one_too_late() -> None:
    """An event's timeout is virtual: it passes in `advance`, and in `result` where no event came."""
    with WorkflowEnvironment(wfr, now=NOON) as env:
        in_time, too_late = env.start(approve, input=1), env.start(approve, input=2)
        env.advance(timedelta(days=2))
        in_time.raise_event("approval", "yes")
        assert in_time.result() == "yes"
        assert env.now == NOON + timedelta(days=2)
        assert too_late.result() == "nobody answered"
        assert env.now == NOON + timedelta(days=3)


def test_a_thousand_sleepers_wake_in_order() -> None:
    """A thousand instances with timers of their own end each at its moment."""
    with WorkflowEnvironment(wfr) as env:
        instances = [env.start(wait_long, input=1 + number % 50) for number in range(1_000)]
        env.advance(timedelta(days=60))
        ended = [instance.state().output for instance in instances]
        assert ended == [
            (datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=1 + number % 50)).isoformat() for number in range(1_000)
        ]


def test_generations_follow_one_another_on_virtual_time() -> None:
    """A workflow that continues as new a hundred times has slept a hundred and one hours."""
    with WorkflowEnvironment(wfr, now=NOON) as env:
        assert env.run(goes_on, input=100) == "done"
        assert env.now == NOON + timedelta(hours=101)


def test_results_awaited_on_several_threads_share_one_time() -> None:
    """Waits side by side do not make time skip what one of them needs."""
    with WorkflowEnvironment(wfr, now=NOON) as env, ThreadPoolExecutor(8) as pool:
        instances = [env.start(wait_long, input=days) for days in range(1, 30)]
        found = list(pool.map(lambda instance: instance.result(), instances))
        assert found == [(NOON + timedelta(days=days)).isoformat() for days in range(1, 30)]


def test_nothing_is_left_behind() -> None:
    """An environment ends its threads, also after a test that failed."""
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError), WorkflowEnvironment(wfr) as env:
        env.start(approve, input=1)
        _ = 1 / 0
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(10)  # a watchdog and idle threads of activities end by themselves
    assert not [thread for thread in left if thread.is_alive()]
