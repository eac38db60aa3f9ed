"""What events the workflow's requests become, and which of them are refused by the name of a limit."""

from __future__ import annotations

from typing import get_args

import pytest

from tenuto_engine.core import actions as a
from tenuto_engine.core import decide
from tenuto_engine.core import events as e
from tenuto_engine.core.decide import Decision, custom_status_refusal, decide_actions, history_refusal
from tenuto_engine.core.limits import (
    MAX_CAUSES,
    MAX_EVENT_ID,
    MAX_FAILURE_TEXT,
    MAX_INSTANCE_ID_BYTES,
    MAX_MOMENT_MS,
    MAX_NAME_BYTES,
    TERMINAL_ROOM_BYTES,
    TERMINAL_ROOM_EVENTS,
    Limits,
)
from tenuto_engine.core.state import InstanceState, derived_id

LIMITS = Limits()
SMALL = Limits(payload_bytes=4)
POLICY = e.RetryPolicy(100, 3, 2.0, 1_000, 60_000, 0.5, ["ValueError"])
FAILURE = e.Failure("ValueError", "no", "line 1")


def state(**values: object) -> InstanceState:
    """An execution `x1` of version `v1` at the end of seven records."""
    made = InstanceState("order-1", "x1", version="v1", length=7)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def failure_of(decision: Decision) -> e.Failure:
    """The failure with which a decision ends."""
    last = decision.events[-1]
    assert isinstance(last, e.ExecutionFailed)
    return last.failure


def test_every_action_has_an_event() -> None:
    """The table is complete: each action but the cancelling of a timer becomes an event."""
    assert {*decide._EVENT_OF, a.CancelTimer} == set(get_args(a.Action))


CHILD_ID = derived_id("x1", "child", 7)


@pytest.mark.parametrize(
    ("action", "event"),
    [
        (
            a.ScheduleActivity(0, "pack", b"in", POLICY, 1, 2, 3, "app.py:7"),
            e.ActivityScheduled(0, "pack", b"in", POLICY, 1, 2, 3, "app.py:7"),
        ),
        (a.CreateTimer(1, 5_000, "app.py:8"), e.TimerCreated(1, 5_000, "app.py:8")),
        (
            a.StartChild(2, "bill", "bill-1", b"in", "", "app.py:9"),
            e.ChildCreated(2, "bill", "bill-1", b"in", "v1", CHILD_ID, "app.py:9"),
        ),
        (a.StartChild(2, "bill", "bill-1", version="v2"), e.ChildCreated(2, "bill", "bill-1", None, "v2", CHILD_ID)),
        (a.SendEvent(3, "order-2", "paid", b"7", "app.py:1"), e.EventSent(3, "order-2", "paid", b"7", "app.py:1")),
        (a.CompleteExecution(4, b"done"), e.ExecutionCompleted(4, b"done")),
        (a.CompleteExecution(4), e.ExecutionCompleted(4, None)),
        (a.FailExecution(5, FAILURE), e.ExecutionFailed(5, FAILURE)),
        (a.ContinueAsNew(6, b"again"), e.ContinuedAsNew(6, b"again", True, "v1", [])),
        (
            a.ContinueAsNew(6, b"again", False, "v2", [e.EventRaised("paid")]),
            e.ContinuedAsNew(6, b"again", False, "v2", [e.EventRaised("paid")]),
        ),
    ],
    ids=repr,
)
def test_actions_become_events(action: a.Action, event: e.Event) -> None:
    """Each action becomes its event; a child and the next execution keep the version unless the call names another."""
    assert decide_actions(state(), [action], LIMITS) == Decision([event])


def test_order_is_kept() -> None:
    """Events stand in the order in which the code asked."""
    actions: list[a.Action] = [a.CreateTimer(1, 5), a.ScheduleActivity(0, "pack"), a.SendEvent(2, "order-2", "paid")]
    found = decide_actions(state(), actions, LIMITS).events
    assert [type(event) for event in found] == [e.TimerCreated, e.ActivityScheduled, e.EventSent]


def test_cancelled_timers_leave_no_event() -> None:
    """A cancelled timer is named beside the events, and is no part of history."""
    decision = decide_actions(state(), [a.CancelTimer(1), a.ScheduleActivity(2, "pack")], LIMITS)
    assert decision == Decision([e.ActivityScheduled(2, "pack")], [1])


@pytest.mark.parametrize(
    "ending",
    [a.CompleteExecution(1), a.FailExecution(1, FAILURE), a.ContinueAsNew(1)],
    ids=lambda action: type(action).__name__,
)
def test_nothing_follows_an_ending(ending: a.Action) -> None:
    """What code asks for behind its end is left out."""
    decision = decide_actions(state(), [a.CreateTimer(0, 5), ending, a.ScheduleActivity(2, "pack")], LIMITS)
    assert decision.events[0] == e.TimerCreated(0, 5)
    assert len(decision.events) == 2


def test_children_of_one_turn_have_ids_of_their_own() -> None:
    """Derived execution ids differ within a turn and between turns, and the same turn makes the same ones."""
    two: list[a.Action] = [a.StartChild(i, "bill", f"bill-{i}") for i in range(2)]
    ids = [
        event.child_execution_id
        for length in (7, 12)
        for event in decide_actions(state(length=length), two, LIMITS).events
        if isinstance(event, e.ChildCreated)
    ]
    assert len(set(ids)) == 4
    assert decide_actions(state(), two, LIMITS) == decide_actions(state(), two, LIMITS)


@pytest.mark.parametrize(
    ("action", "limits", "words"),
    [
        (a.ScheduleActivity(0, "pack", b"12345"), SMALL, ("activity 'pack'", "payload_bytes", "5 bytes", "reference")),
        (a.StartChild(0, "bill", "b-1", b"12345"), SMALL, ("child workflow 'bill'", "payload_bytes")),
        (a.SendEvent(0, "order-2", "paid", b"12345"), SMALL, ("event 'paid'", "payload_bytes")),
        (a.CompleteExecution(0, b"12345"), SMALL, ("workflow's result", "payload_bytes")),
        (a.ContinueAsNew(0, b"12345"), SMALL, ("next execution", "payload_bytes")),
        (a.ScheduleActivity(0, ""), LIMITS, ("activity name", "empty")),
        (a.ScheduleActivity(0, "n" * (MAX_NAME_BYTES + 1)), LIMITS, ("activity name", "513 bytes", "512")),
        (a.StartChild(0, "bill", ""), LIMITS, ("instance id is empty",)),
        (a.StartChild(0, "bill", "i" * (MAX_INSTANCE_ID_BYTES + 1)), LIMITS, ("1,025 bytes", "1,024")),
        (a.StartChild(0, "bill\n", "b-1"), LIMITS, ("workflow name", "U+000A")),
        (a.SendEvent(0, "a\nb", "paid"), LIMITS, ("instance id", "U+000A")),
        (a.SendEvent(0, "order-2", ""), LIMITS, ("event name", "empty")),
        (a.CreateTimer(0, -1), LIMITS, ("timer 0", "-1 ms")),
        (a.CreateTimer(0, MAX_MOMENT_MS + 1), LIMITS, ("timer 0", "10000")),
        (a.ScheduleActivity(0, "pack", start_to_close_ms=-1), LIMITS, ("activity 'pack'", "negative")),
        (a.ScheduleActivity(0, "pack", schedule_to_close_ms=1 << 62), LIMITS, ("activity 'pack'", "9999")),
        (a.ScheduleActivity(0, "p", retry=e.RetryPolicy(1, 1, float("nan"))), LIMITS, ("backoff nan",)),
        (a.ScheduleActivity(0, "p", retry=e.RetryPolicy(1, 1, 1e9)), LIMITS, ("backoff 1e+09",)),
        (a.ScheduleActivity(0, "p", retry=e.RetryPolicy(1, 1, jitter=2.0)), LIMITS, ("jitter 2",)),
        (a.ScheduleActivity(0, "p", retry=e.RetryPolicy(-1, 1)), LIMITS, ("negative",)),
        (a.CancelTimer(-1), LIMITS, ("event id -1",)),
        (a.CreateTimer(MAX_EVENT_ID + 1, 1), LIMITS, ("event id", "counts wrongly")),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_exceeds_a_limit_fails_the_execution_by_name(
    action: a.Action, limits: Limits, words: tuple[str, ...]
) -> None:
    """The failure says what, which limit and what to do; what was asked before stands, nothing follows."""
    decision = decide_actions(state(), [a.CreateTimer(9, 5), action, a.CreateTimer(10, 6)], limits)
    failure = failure_of(decision)
    assert [type(event) for event in decision.events] == [e.TimerCreated, e.ExecutionFailed]
    assert (failure.type, failure.non_retryable) == ("LimitExceeded", True)
    assert [word for word in words if word not in failure.message] == []


@pytest.mark.parametrize("payload", [None, b"", b"1234"])
def test_payloads_up_to_the_limit_are_fine(payload: bytes | None) -> None:
    """A payload of exactly the limit is accepted, and none at all."""
    assert decide_actions(state(), [a.CompleteExecution(0, payload)], SMALL).events == [
        e.ExecutionCompleted(0, payload)
    ]


def test_pending_operations_are_bounded() -> None:
    """A turn that would leave more operations open than the limit fails by name, and starts none of them."""
    limits = Limits(pending_operations=3)
    two: list[a.Action] = [a.ScheduleActivity(i, "pack") for i in range(2)]
    assert len(decide_actions(state(timers={8: 1}), two, limits).events) == 2
    refused = decide_actions(state(timers={8: 1, 9: 1}), two, limits)
    assert len(refused.events) == 1
    assert "'order-1' would have 4 pending operations" in failure_of(refused).message
    assert "pending_operations is 3" in failure_of(refused).message


def test_failures_are_cut_to_size() -> None:
    """A workflow's failure keeps its first causes and its nearest frames, however much a worker sends."""
    failure = e.Failure("E" * 2_000, "m" * (MAX_FAILURE_TEXT + 9), "s" * MAX_FAILURE_TEXT + "end", bases=["B"] * 500)
    for _ in range(50):
        failure = e.Failure("Outer", "text", cause=failure)
    found = failure_of(decide_actions(state(), [a.FailExecution(0, failure)], LIMITS))
    causes = 0
    cause = found.cause
    while cause is not None:
        causes, cause = causes + 1, cause.cause
    assert causes == MAX_CAUSES
    flat = e.Failure("E" * 2_000, "m" * (MAX_FAILURE_TEXT + 9), "s" * MAX_FAILURE_TEXT + "end", bases=["B"] * 500)
    cut = failure_of(decide_actions(state(), [a.FailExecution(0, flat)], LIMITS))
    assert (len(cut.type), len(cut.message), len(cut.stack)) == (MAX_NAME_BYTES, MAX_FAILURE_TEXT, MAX_FAILURE_TEXT)
    assert cut.stack.endswith("end")
    assert len(cut.bases) < 500


def test_failures_that_fit_are_untouched() -> None:
    """The very failure that was sent is recorded."""
    failure = e.Failure("ValueError", "no", "line 1", e.Failure("OSError", "disk"), bases=["Exception"])
    assert failure_of(decide_actions(state(), [a.FailExecution(0, failure)], LIMITS)) is failure


def test_custom_status_is_bounded() -> None:
    """A custom status beyond its limit fails the execution by name; one of exactly the limit is fine, and none."""
    limits = Limits(custom_status_bytes=4)
    assert custom_status_refusal(state(), None, limits) is None
    assert custom_status_refusal(state(), b"1234", limits) is None
    refused = custom_status_refusal(state(), b"12345", limits)
    assert refused is not None
    assert "custom_status_bytes is 4" in refused.failure.message
    assert "'order-1'" in refused.failure.message


ROOMY = Limits(history_events=100, history_bytes=TERMINAL_ROOM_BYTES + 1_000)


@pytest.mark.parametrize(
    ("added_events", "added_bytes", "last", "limit"),
    [
        (100 - TERMINAL_ROOM_EVENTS - 7, 10, e.EventRaised("x"), None),
        (100 - TERMINAL_ROOM_EVENTS - 6, 10, e.EventRaised("x"), "history_events is 100"),
        (100 - TERMINAL_ROOM_EVENTS - 6, 10, None, "history_events is 100"),
        (1, 1_000, e.EventRaised("x"), None),
        (1, 1_001, e.EventRaised("x"), "history_bytes"),
        (93, 10, e.ExecutionCompleted(1), None),
        (94, 10, e.ExecutionCompleted(1), "history_events"),
        (1, TERMINAL_ROOM_BYTES + 1_000, e.ExecutionFailed(1, FAILURE), None),
        (1, TERMINAL_ROOM_BYTES + 1_001, e.ExecutionFailed(1, FAILURE), "history_bytes"),
        (500, 1 << 30, e.ExecutionTerminated(), None),
        (500, 1 << 30, e.ContinuedAsNew(1), None),
    ],
)
def test_history_keeps_room_for_its_end(
    added_events: int, added_bytes: int, last: e.Event | None, limit: str | None
) -> None:
    """A history ends by name before it is full; a completion may use the room, and the ways out are never refused."""
    refused = history_refusal(state(), added_events=added_events, added_bytes=added_bytes, last=last, limits=ROOMY)
    assert (refused is None) == (limit is None)
    if refused is not None:
        assert str(limit) in refused.failure.message
        assert "continue_as_new" in refused.failure.message
