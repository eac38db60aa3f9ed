"""Rewinding: a failed history without what failed."""

from __future__ import annotations

from tenuto_engine.core import events as e
from tenuto_engine.core.rewind import plan_rewind

WHY = e.Failure("ValueError", "no")
START: list[e.Event] = [e.TurnStarted(1, epoch=7), e.ExecutionStarted("flow", "one", "old")]


def test_failed_calls_are_asked_for_again_and_results_are_kept() -> None:
    """A failed activity and a failed child leave no trace; a completed one keeps its call and its result."""
    kept: list[e.Event] = [e.ActivityScheduled(1, "a"), e.TurnStarted(2), e.ActivityCompleted(1, b"1")]
    history: list[e.Event] = [
        *START,
        *kept,
        e.ActivityScheduled(2, "b"),
        e.ChildCreated(3, "c", "one:3"),
        e.TurnStarted(3),
        e.ActivityFailed(2, WHY),
        e.ChildFailed(3, WHY),
        e.ExecutionFailed(4, WHY),
    ]
    assert plan_rewind(history, execution_id="new") == [
        e.TurnStarted(1),
        e.ExecutionStarted("flow", "one", "new"),
        *kept,
    ]


def test_a_child_that_had_not_ended_is_asked_for_again() -> None:
    """Its result names the execution that failed, and would never arrive; a child that had ended stays."""
    history: list[e.Event] = [
        *START,
        e.ChildCreated(1, "c", "one:1"),
        e.ChildCreated(2, "c", "one:2"),
        e.TurnStarted(2),
        e.ChildCompleted(1, b"1"),
        e.ExecutionFailed(3, WHY),
    ]
    assert [type(event) for event in plan_rewind(history, execution_id="new")] == [
        e.TurnStarted,
        e.ExecutionStarted,
        e.ChildCreated,
        e.TurnStarted,
        e.ChildCompleted,
    ]


def test_a_workflow_that_failed_by_itself_runs_its_last_turn_again() -> None:
    """Without a failed call, only the end is taken back."""
    history: list[e.Event] = [*START, e.ExecutionFailed(1, WHY)]
    assert plan_rewind(history, execution_id="new") == [e.TurnStarted(1), e.ExecutionStarted("flow", "one", "new")]
