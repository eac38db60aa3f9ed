"""What workflow code may ask for, and what it gets: live, without a stream."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

import tenuto as wf
from replay_world import World, registry_of
from tenuto._replay import actions as a
from tenuto._replay import events as e
from tenuto._replay.definitions import make_options


def add(ctx: wf.WorkflowActivityContext, x: int) -> int:
    return x + 1


def world_of(workflow: Any, payload: Any = None, **options: Any) -> World:
    return World(registry_of(workflow, add, **options), payload)


def test_a_plain_function_completes_in_its_first_turn() -> None:
    """A function that never waits needs neither yield nor await."""
    assert world_of(lambda ctx, x: x * 2, 4).result() == 8


def test_an_activity_is_asked_for_once_and_gives_its_result() -> None:
    """The action carries name, input and source; the result comes back decoded."""

    def w(ctx: wf.WorkflowContext) -> Any:
        return (yield ctx.call_activity(add, input=1))

    world = world_of(w)
    (action,) = world.outcomes[0].actions
    assert isinstance(action, a.ScheduleActivity)
    assert (action.event_id, action.name, action.input) == (1, "add", b"1")
    assert action.source.startswith("sdk/test_replay_operations.py:")
    world.complete(1, 2)
    assert world.result() == 2
    assert isinstance(world.ending, a.CompleteExecution)
    assert world.ending.event_id == 2


def test_options_of_the_call_win_over_those_of_the_registration() -> None:
    """What the call leaves out is taken from where the activity was registered, also when it is called by name."""
    registered = make_options(
        retry_policy=wf.RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3),
        start_to_close_timeout=timedelta(seconds=10),
        schedule_to_close_timeout=None,
        heartbeat_timeout=None,
    )

    def w(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity("add", input=1, start_to_close_timeout=timedelta(seconds=2))

    (action,) = world_of(w, add=registered).outcomes[0].actions
    assert isinstance(action, a.ScheduleActivity)
    assert action.start_to_close_ms == 2000
    assert action.retry == e.RetryPolicy(first_interval_ms=1000, max_attempts=3)


@pytest.mark.parametrize("is_handled", [True, False])
def test_a_failed_activity_raises_at_its_wait(is_handled: bool) -> None:
    """The error carries the details; unhandled, it fails the workflow with the activity's failure as cause."""

    async def w(ctx: wf.WorkflowContext) -> str:
        try:
            await ctx.call_activity(add, input=1)
        except wf.TaskFailedError as error:
            if is_handled:
                return error.details.message
            raise
        return "no error"

    world = world_of(w)
    world.fail(1, e.Failure("shop.OutOfStock", "none left", bases=["LookupError"]))
    if is_handled:
        assert world.result() == "none left"
    else:
        assert isinstance(world.ending, a.FailExecution)
        assert world.ending.failure.type == "tenuto.errors.TaskFailedError"
        assert world.ending.failure.cause == e.Failure("shop.OutOfStock", "none left", bases=["LookupError"])


def test_a_workflow_failure_shows_user_frames_and_causes() -> None:
    """The recorded stack holds the user's lines and none of the SDK's; causes are kept."""

    def w(ctx: wf.WorkflowContext) -> None:
        try:
            raise KeyError("deep")
        except KeyError as error:
            raise ValueError("outer") from error

    ending = world_of(w).ending
    assert isinstance(ending, a.FailExecution)
    assert (ending.failure.type, ending.failure.message) == ("ValueError", "outer")
    assert "test_replay_operations.py" in ending.failure.stack
    assert "/_replay/" not in ending.failure.stack
    assert ending.failure.cause is not None
    assert ending.failure.cause.type == "KeyError"


def test_when_all_gives_results_in_the_order_asked() -> None:
    """However the activities end, results stand where their tasks stand."""

    def w(ctx: wf.WorkflowContext) -> Any:
        return (yield wf.when_all([ctx.call_activity(add, input=i) for i in range(3)]))

    world = world_of(w)
    for event_id, value in ((2, 20), (3, 30), (1, 10)):
        world.complete(event_id, value)
    assert world.result() == [10, 20, 30]


def test_when_any_gives_the_first_and_leaves_the_others_open() -> None:
    """The winner is the task itself; a losing timer is cancelled only by its own cancel()."""

    def w(ctx: wf.WorkflowContext) -> Any:
        timer = ctx.create_timer(timedelta(hours=1))
        call = ctx.call_activity(add, input=1)
        winner = yield wf.when_any([timer, call])
        assert winner is call
        assert timer.cancel()
        assert not timer.cancel()
        return winner.get_result()

    world = world_of(w)
    outcome = world.complete(2, 5)
    assert world.result() == 5
    assert a.CancelTimer(1) in outcome.actions


def test_waiting_for_a_cancelled_timer_is_refused() -> None:
    """It would never fire, so the wait raises at once."""

    def w(ctx: wf.WorkflowContext) -> Any:
        timer = ctx.create_timer(timedelta(hours=1))
        timer.cancel()
        yield timer

    ending = world_of(w).ending
    assert isinstance(ending, a.FailExecution)
    assert ending.failure.type == "tenuto.errors.TaskCancelledError"


def test_timers_take_durations_and_moments() -> None:
    """Durations count from the turn's time; naive moments are UTC; fractions are rounded up to milliseconds."""

    def w(ctx: wf.WorkflowContext) -> Any:
        assert ctx.current_utc_datetime == datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC)
        ctx.create_timer(timedelta(microseconds=1))
        ctx.create_timer(datetime(1970, 1, 1, 0, 0, 1))
        yield ctx.create_timer(datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC))

    due = [action.due_at_ms for action in world_of(w).outcomes[0].actions if isinstance(action, a.CreateTimer)]
    assert due == [1_000_001, 1000, 2000]


def test_events_are_matched_without_case_and_in_order() -> None:
    """Events that come early are kept, by name, for the waits that follow."""

    def w(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity(add, input=1)
        first = yield ctx.wait_for_external_event("Approved")
        other = yield ctx.wait_for_external_event("OTHER")
        second = yield ctx.wait_for_external_event("approved")
        return [first, other, second]

    world = world_of(w)
    world.turn(e.EventRaised("approved", b"1"), e.EventRaised("other", b"2"), e.EventRaised("APPROVED", b"3"))
    world.complete(1, 0)
    assert world.result() == [1, 2, 3]


def test_a_wait_that_got_its_event_cancels_its_timer() -> None:
    """Only one of the two happens; an event that is already there needs no timer at all."""

    def w(ctx: wf.WorkflowContext) -> Any:
        first = yield ctx.wait_for_external_event("e", timeout=timedelta(minutes=1))
        second = yield ctx.wait_for_external_event("e", timeout=timedelta(minutes=1))
        return [first, second]

    world = world_of(w)
    outcome = world.turn(e.EventRaised("e", b"1"), e.EventRaised("e", b"2"))
    assert world.result() == [1, 2]
    assert [type(action) for action in outcome.actions].count(a.CancelTimer) == 2
    assert world.open == {}


def test_a_wait_that_timed_out_leaves_the_event_to_the_next() -> None:
    """TimeoutError is raised at the wait, and a late event is not swallowed by the wait that gave up."""

    async def w(ctx: wf.WorkflowContext) -> Any:
        try:
            await ctx.wait_for_external_event("e", timeout=timedelta(minutes=1))
        except TimeoutError as error:
            return [str(error), await ctx.wait_for_external_event("e")]

    world = world_of(w)
    world.complete(1)
    world.turn(e.EventRaised("e", b'"late"'))
    assert world.result() == ["no event 'e' came within 0:01:00 (instance 'i')", "late"]


def test_a_cancelled_wait_takes_no_event() -> None:
    """cancel() gives the place in the queue up."""

    def w(ctx: wf.WorkflowContext) -> Any:
        ctx.wait_for_external_event("e").cancel()
        return (yield ctx.wait_for_external_event("e"))

    world = world_of(w)
    world.turn(e.EventRaised("e", b"1"))
    assert world.result() == 1


def test_an_event_that_does_not_fit_fails_its_wait() -> None:
    """The error names the event and the type, at the wait that asked for it."""

    async def w(ctx: wf.WorkflowContext) -> str:
        try:
            await ctx.wait_for_external_event("e", data_type=int)
        except wf.PayloadError as error:
            return str(error)
        return "fits"

    world = world_of(w)
    world.turn(e.EventRaised("e", b'"text"'))
    assert world.result() == "the event 'e' does not fit int: Expected `int`, got `str`"


def test_a_failed_child_is_started_again_under_a_fresh_id() -> None:
    """Retries of children are durable timers of the parent, up to the policy's attempts."""
    policy = wf.RetryPolicy(
        first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3, backoff_coefficient=2.0
    )

    def w(ctx: wf.WorkflowContext) -> Any:
        return (yield ctx.call_child_workflow("kid", instance_id="kid-1", retry_policy=policy))

    world = world_of(w)
    failure = e.Failure("E", "no")
    ids: list[str] = []
    for event_id in (1, 3):
        child = world.open[event_id]
        assert isinstance(child, a.StartChild)
        ids.append(child.instance_id)
        world.fail(event_id, failure)
        timer = world.open[event_id + 1]
        assert isinstance(timer, a.CreateTimer)
        assert timer.due_at_ms - (1_000_000 + 1000 * (world.turns - 1)) == 1000 * len(ids)
        world.complete(event_id + 1)
    world.fail(5, failure)
    assert ids == ["kid-1", "kid-1:2"]
    assert isinstance(world.ending, a.FailExecution)
    assert world.ending.failure.cause == failure


def test_default_ids_of_children_tell_executions_apart() -> None:
    """Numbers begin again after continue-as-new, so the id holds a part of the execution's id."""

    def w(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_child_workflow("kid")

    (action,) = world_of(w).outcomes[0].actions
    assert isinstance(action, a.StartChild)
    assert action.instance_id == "i:x:0001"


def test_continue_as_new_replaces_the_result_and_carries_unread_events() -> None:
    """Events nobody waited for go along, oldest first, unless they are to be dropped."""

    def w(ctx: wf.WorkflowContext, keep: bool) -> Any:
        yield ctx.wait_for_external_event("go")
        ctx.continue_as_new({"n": 2}, save_events=keep)

    for keep in (True, False):
        world = world_of(w, keep)
        world.turn(e.EventRaised("b", b"1"), e.EventRaised("a", b"2"), e.EventRaised("go"))
        kept = [e.EventRaised("b", b"1"), e.EventRaised("a", b"2")] if keep else []
        assert world.ending == a.ContinueAsNew(1, b'{"n":2}', keep, "", kept)


def test_ids_and_random_numbers_are_the_same_in_every_replay() -> None:
    """new_uuid and random() follow from the execution, and each call gives another value."""
    seen: list[tuple[UUID, UUID, float]] = []

    def w(ctx: wf.WorkflowContext) -> Any:
        seen.append((ctx.new_uuid(), ctx.new_uuid(), ctx.random().random()))
        yield ctx.call_activity(add, input=1)

    world_of(w).restart()
    assert seen[0] == seen[1]
    assert seen[0][0] != seen[0][1]
    assert seen[0][0].version == 5


def test_the_logger_is_silent_while_replaying(caplog: pytest.LogCaptureFixture) -> None:
    """Each line is logged once, by the turn that did it first."""
    caplog.set_level(logging.INFO, "tenuto.workflow")

    def w(ctx: wf.WorkflowContext) -> Any:
        ctx.logger.info("before")
        yield ctx.call_activity(add, input=1)
        ctx.logger.info("after")

    world = world_of(w)
    world.restart()
    world.complete(1, 2)
    assert [(record.message, record.__dict__["instance_id"]) for record in caplog.records] == [
        ("before", "i"),
        ("after", "i"),
    ]


def test_custom_status_and_patches_belong_to_the_turn_that_set_them() -> None:
    """A replay does not send them again; None clears the status."""

    def w(ctx: wf.WorkflowContext) -> Any:
        ctx.set_custom_status({"at": 1})
        assert ctx.is_patched("new")
        yield ctx.call_activity(add, input=1)
        ctx.set_custom_status(None)
        assert ctx.is_patched("new")

    world = world_of(w)
    assert (world.outcomes[0].custom_status, world.outcomes[0].patches) == (b'{"at":1}', ["new"])
    replayed = world.restart()
    assert (replayed.custom_status, replayed.patches) == (None, [])
    outcome = world.complete(1, 2)
    assert (outcome.custom_status, outcome.patches) == (b"null", [])


def test_an_execution_that_passed_before_a_patch_never_takes_it() -> None:
    """While replaying an unrecorded patch is False, and stays so for that execution."""
    answers: list[bool] = []

    def old(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity(add, input=1)

    def new(ctx: wf.WorkflowContext) -> Any:
        answers.append(ctx.is_patched("p"))
        yield ctx.call_activity(add, input=1)
        answers.append(ctx.is_patched("p"))

    world = world_of(old)
    world.registry = registry_of(new, add)
    world.restart()
    world.complete(1, 2)
    assert answers == [False, False]


def test_waiting_for_anything_but_a_task_is_explained() -> None:
    """The error is raised at the wait, so that the stack shows the line."""

    def w(ctx: wf.WorkflowContext) -> Any:
        yield [ctx.call_activity(add, input=1)]

    ending = world_of(w).ending
    assert isinstance(ending, a.FailExecution)
    assert "waited for a builtins.list; wait for several with when_all or when_any" in ending.failure.message
    assert "test_replay_operations.py" in ending.failure.stack


def test_code_dropped_from_memory_asks_for_nothing() -> None:
    """Clean-up code runs when a live instance is dropped, but nothing it asks for leaves it."""
    cleaned: list[str] = []

    def w(ctx: wf.WorkflowContext) -> Any:
        try:
            yield ctx.call_activity(add, input=1)
        finally:
            cleaned.append("cleaned")
            yield ctx.call_activity(add, input=2)
            cleaned.append("never")

    world = world_of(w)
    world.executor.close()
    assert cleaned == ["cleaned"]


def test_late_and_unknown_completions_are_ignored() -> None:
    """An event for an operation that is not open changes nothing."""

    def w(ctx: wf.WorkflowContext) -> Any:
        return (yield ctx.call_activity(add, input=1))

    world = world_of(w)
    world.turn(e.ActivityCompleted(9, b"1"), e.TimerFired(8), e.ChildFailed(7, e.Failure("E", "")))
    assert world.ending is None
    world.complete(1, 3)
    assert world.turn(e.ActivityCompleted(1, b"4")).actions == []
    assert world.result() == 3


def test_lifecycle_events_do_not_concern_the_code() -> None:
    """Suspending, resuming and rerunning leave their records, which replay passes over."""

    def w(ctx: wf.WorkflowContext) -> Any:
        return (yield ctx.call_activity(add, input=1))

    world = world_of(w)
    world.turn(e.ExecutionSuspended(), e.ExecutionResumed(), e.RerunStarted("other", 1))
    world.restart()
    world.complete(1, 3)
    assert world.result() == 3


def test_a_result_that_cannot_be_encoded_fails_the_workflow() -> None:
    """The failure says which workflow, and which type has no JSON form."""
    ending = world_of(lambda ctx: object()).ending
    assert isinstance(ending, a.FailExecution)
    assert ending.failure.message.startswith("the result of workflow 'w' holds a value of type object")


def test_another_application_is_refused_with_a_sentence() -> None:
    """app_id is accepted by name, so that the refusal can explain itself."""

    def w(ctx: wf.WorkflowContext) -> Any:
        yield ctx.call_activity("add", app_id="other")  # type: ignore[call-overload]

    ending = world_of(w).ending
    assert isinstance(ending, a.FailExecution)
    assert "an application calls only its own functions" in ending.failure.message
