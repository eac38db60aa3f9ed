"""Crashes of engine and worker, at chosen places and at every place, and code that does not replay."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

import tenuto as wf
from kit import kit_workflows
from kit.kit_workflows import (
    Gate,
    Receipt,
    approve,
    awaiting,
    charge,
    draws_input,
    family,
    gates,
    gives_up_timer,
    lucky,
    never_returns,
    notify,
    pay,
    rolls_dice,
    wait_for_ever,
    wait_long,
    wfr,
)
from tenuto.testing import CRASH_PLACES, StillRunning, WorkflowBlocked, WorkflowEnvironment, WorkflowStalled


def test_a_workflow_survives_a_crash_of_its_worker() -> None:
    """After the crash history is replayed, and what has run does not run again."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(awaiting, input=1)
        env.run_until_blocked()
        env.crash_worker()
        assert instance.result() == 13
        instance.assert_activity_called(charge, times=1, attempts=1)
        assert len(instance.activity_calls(charge)) == 1


def test_a_workflow_survives_a_crash_of_the_engine() -> None:
    """A timer set before the crash fires at its moment after it."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(wait_long, input=9)
        env.run_until_blocked()
        begun_at = env.now
        env.crash_engine()
        env.crash_engine()
        instance.result()
        assert env.now == begun_at + timedelta(days=9)


def test_an_activity_whose_result_was_lost_runs_again() -> None:
    """At least once: it has run when its worker dies, nobody knows, and the next worker runs it; recorded once."""
    with WorkflowEnvironment(wfr) as env:
        env.crash_worker(at="activity:ran")
        instance = env.start(pay, input=1)
        assert instance.result() == Receipt(1, 10)
        assert len(instance.activity_calls(charge)) == 2
        instance.assert_activity_called(charge, times=1, attempts=1)
        recorded = [item.type for item in instance.history() if item.type.startswith("Activity")]
        assert recorded == ["ActivityScheduled", "ActivityCompleted"]


@pytest.mark.parametrize("place", ["append:before", "append:after", "commit:before", "commit:after", "activity:after"])
def test_an_engine_may_crash_around_the_recording_of_a_result(place: str) -> None:
    """Before and after the result is stored, and before and after the turn that takes it is: one outcome."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(approve, input=1)
        env.run_until_blocked()
        env.crash_engine(at=place)
        paid = env.start(pay, input=1)
        instance.raise_event("approval", "yes")
        assert (instance.result(), paid.result()) == ("yes", Receipt(1, 10))
        paid.assert_activity_called(charge, times=1)


def test_a_crash_at_a_place_that_does_not_exist_is_refused() -> None:
    """The message lists the places; `activity:ran` is none of the engine's."""
    with WorkflowEnvironment(wfr) as env:
        with pytest.raises(ValueError, match="there is no place 'commit' for the worker; known are create:before"):
            env.crash_worker(at="commit")
        with pytest.raises(ValueError, match="for the engine"):
            env.crash_engine(at="activity:ran")
        with pytest.raises(ValueError, match="counted from 1"):
            env.crash_engine(at="commit:before", nth=0)
    assert "activity:ran" in CRASH_PLACES


def test_every_crash_comes_to_the_same() -> None:
    """A child, an event, a retry and two timers: engine and worker crash at every place there is."""
    reached: list[str] = []

    def scenario(env: WorkflowEnvironment) -> Any:
        env.fake_activity(notify, sequence=["once"])
        env.fake_activity(charge, sequence=[ConnectionError("down"), Receipt(1, 5)])
        instance = env.start(family, input=1)
        env.advance(timedelta(hours=2))
        child = env.instance(instance.waits_for()[0].split("'")[3])
        child.raise_event("approval", "yes")
        result = instance.result()
        instance.assert_activity_called(charge, times=1, attempts=2)
        instance.assert_activity_called(notify, times=1, attempts=1)
        reached.append(result[0])
        return result

    report = WorkflowEnvironment.crash_everywhere(wfr, scenario)
    assert report.crashes > 100
    assert len(reached) == 2 * len(report.places) + 1
    assert {place.split()[0] for place in report.places} >= {
        "create:before",
        "append:after",
        "commit:before",
        "reminder:after",
        "deliver:before",
        "activity:ran",
        "turn:after",
    }


def test_a_scenario_that_depends_on_a_crash_is_found() -> None:
    """Counting runs instead of calls fails, and a note says which crash it was."""

    def scenario(env: WorkflowEnvironment) -> int:
        instance = env.start(pay, input=1)
        instance.result()
        return len(instance.activity_calls(charge))

    with pytest.raises(AssertionError, match="the scenario returned 2, and without a crash 1") as caught:
        WorkflowEnvironment.crash_everywhere(wfr, scenario)
    assert any("crashed at place" in note for note in caught.value.__notes__)


def test_a_worker_that_stays_away_is_waited_for() -> None:
    """Without a worker the workflow waits and says so; with one it goes on where it stood."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(awaiting, input=1)
        env.run_until_blocked()
        env.stop_worker()
        env.advance(timedelta(days=40))
        with pytest.raises(WorkflowBlocked, match="there is no worker"):
            instance.result()
        env.start_worker()
        assert instance.result() == 13


def test_a_store_that_refuses_writes_delays_and_loses_nothing() -> None:
    """Commands are repeated, turns are stored later."""
    with WorkflowEnvironment(wfr) as env:
        env.fail_store(writes=2)
        instance = env.start(pay, input=1)
        env.fail_store(writes=3)
        assert instance.result() == Receipt(1, 10)
        instance.assert_activity_called(charge, times=1)


def test_code_that_does_not_replay_fails_the_test_by_itself() -> None:
    """Nothing crashed, and yet the replay of the whole history at the end finds the difference."""
    kit_workflows.rolls = 0
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(rolls_dice)
        with pytest.raises(WorkflowStalled, match="UNEXPECTED_ACTIVITY"):
            instance.result()


def test_leaving_the_environment_replays_what_nobody_looked_at() -> None:
    """Also an instance whose result was not asked for is replayed when the test ends."""
    kit_workflows.rolls = 0
    with pytest.raises(WorkflowStalled, match="UNEXPECTED_ACTIVITY"), WorkflowEnvironment(wfr) as env:
        env.start(rolls_dice)


def test_another_input_when_replayed_fails_the_test() -> None:
    """The operations are the same, and what they are given is not."""
    with WorkflowEnvironment(wfr) as env, pytest.raises(WorkflowStalled, match="INPUT_DIFFERS"):
        env.run(draws_input)


def test_a_cancelled_timer_is_no_difference() -> None:
    """A cancellation leaves no record, and an instance that waits after one replays all the same."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(gives_up_timer)
        instance.raise_event("first")
        assert instance.waits_for() == ["event 'second'"]


def test_the_guard_refuses_what_no_replay_can_repeat() -> None:
    """In tests the guard raises, and the error names call and replacement; it can be told otherwise."""
    with WorkflowEnvironment(wfr) as env, pytest.raises(WorkflowStalled, match=r"random\.random"):
        env.run(lucky)
    with WorkflowEnvironment(wfr, guard="off") as env:
        assert env.run(lucky) is True


def test_an_instance_that_stalls_is_told_once() -> None:
    """A crash in the middle makes such code stall: `result` says so at once, and what was said is not said again."""
    kit_workflows.rolls = 0
    with WorkflowEnvironment(wfr) as env:
        env.crash_worker(at="activity:ran")
        instance = env.start(rolls_dice)
        with pytest.raises(WorkflowStalled, match="is stalled: UNEXPECTED_ACTIVITY"):
            instance.result()


def test_an_instance_that_stalls_unseen_fails_the_test() -> None:
    """Leaving the environment says it where nobody asked."""
    kit_workflows.rolls = 0
    with pytest.raises(WorkflowStalled, match="is stalled: UNEXPECTED_ACTIVITY"), WorkflowEnvironment(wfr) as env:
        env.crash_worker(at="activity:ran")
        env.start(rolls_dice)


def test_workflow_code_that_does_not_return_is_shown_where_it_stands() -> None:
    """The error names the instance and shows the line."""
    gate = gates["turn"] = Gate()
    text = "workflow code of instance 'never_returns-1' does not return"
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(StillRunning, match=text) as caught,
        WorkflowEnvironment(wfr) as env,
    ):
        instance = env.start(never_returns, input="turn")
        advancing = pool.submit(env.advance, timedelta(seconds=1))
        assert gate.began.wait(30)
        env._driver.patience_s = 0.2
        try:
            instance.result()
        finally:
            gate.may_end.set()
            advancing.result(30)
    assert "in pass_through" in str(caught.value)


def test_a_failing_test_shows_the_trace() -> None:
    """The trace of an instance that has not ended is a note of the test's own error."""
    with pytest.raises(AssertionError, match=r"^mine") as caught, WorkflowEnvironment(wfr) as env:
        env.start(wait_for_ever)
        env.run_until_blocked()
        raise AssertionError("mine")
    assert any("trace of wait_for_ever-1" in note for note in caught.value.__notes__)


def test_an_environment_is_used_in_its_block_and_once() -> None:
    """Before, after, and a second time are errors that say what to do."""
    env = WorkflowEnvironment(wfr)
    with pytest.raises(RuntimeError, match="has not begun; use it as `with"):
        env.start(pay, input=1)
    with env:
        instance = env.start(pay, input=1)
    for use in (lambda: env.start(pay, input=1), instance.result, env.run_until_blocked, env.crash_worker):
        with pytest.raises(RuntimeError, match="this environment is closed"):
            use()
    with pytest.raises(RuntimeError, match="used once"), env:
        pass


def test_a_worker_that_fails_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the kit or the SDK itself does not look like a workflow that hangs."""

    def fail(_self: object) -> None:
        raise OSError("no worker today")

    monkeypatch.setattr("tenuto.testing._control.Control.make_worker", fail)
    with (
        pytest.raises(RuntimeError, match="has failed: OSError\\('no worker today'\\)"),
        WorkflowEnvironment(wfr) as env,
    ):
        env.run(pay, input=1)


def test_a_workflow_that_is_not_registered_is_told() -> None:
    """Its instance is accepted, as in life, never begins, and is nothing that a replay could find fault with."""
    with WorkflowEnvironment(wfr) as env, pytest.raises(WorkflowBlocked, match="has no workflow of this name"):
        env.run("nobodys")


def test_an_instance_that_does_not_exist_is_not_found() -> None:
    """As a client would be told."""
    with WorkflowEnvironment(wfr) as env:
        for use in (env.instance("none").result, env.instance("none").state, env.instance("none").resume):
            with pytest.raises(wf.InstanceNotFound, match="'none'"):
                use()


def test_the_same_id_twice_is_refused_in_one_environment_and_free_in_another() -> None:
    """An id is taken only where it was used."""
    with WorkflowEnvironment(wfr) as one, WorkflowEnvironment(wfr) as other:
        one.start(wait_long, input=1, instance_id="mine")
        other.start(wait_long, input=1, instance_id="mine")
        with pytest.raises(wf.InstanceExists, match="mine"):
            one.start(wait_long, input=1, instance_id="mine")


def test_ids_are_the_same_in_every_run() -> None:
    """What a workflow draws from `ctx.new_uuid` does not vary from run to run, so it can be compared."""
    drawn: list[Any] = []
    for _ in range(2):
        with WorkflowEnvironment(wfr) as env:
            instance = env.start(family, input=1)
            drawn.append(instance.result()[0])
            assert instance.id == "family-1"
    assert drawn[0] == drawn[1]
