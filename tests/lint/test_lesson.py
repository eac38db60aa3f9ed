"""The lesson's code, as it is printed there, is judged exactly as the lesson judges it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenuto._lint.api import lint_function, lint_paths
from tenuto._lint.finding import Finding

LESSON = Path(__file__).parent / "lesson"
BROKEN = [("broken_workflow", 7, "TEN121"), ("broken_workflow", 12, "TEN101")]
PROBLEMATIC = [(3, "TEN101"), (5, "TEN141"), (8, "TEN121"), (13, "TEN144")]


def findings(name: str) -> list[Finding]:
    return lint_paths([LESSON / name]).findings


def test_the_broken_workflow_has_its_two_violations() -> None:
    """`broken_workflow`: random and clock; `correct_workflow` and the activity `validate_task`: nothing."""
    assert [(one.function, one.line, one.rule) for one in findings("workflows.py")] == BROKEN


def test_the_problematic_workflow_has_its_four_violations() -> None:
    """`problematic_workflow`: clock, HTTP call, random, configuration file; undefined names change nothing."""
    found = findings("problematic.py")
    assert [(one.line, one.rule) for one in found] == PROBLEMATIC
    assert {one.function for one in found} == {"problematic_workflow"}


@pytest.mark.parametrize("name", ["workflows.py", "problematic.py"])
def test_each_violation_answers_the_three_questions(name: str) -> None:
    """Each finding says why it is not deterministic, what breaks during replay, and the correct alternative."""
    for one in findings(name):
        assert one.why
        assert "replay" in one.breaks.lower()
        assert "ctx." in one.instead or "activity" in one.instead


def test_alternatives_are_the_lessons() -> None:
    """The clock is the context's, randomness the context's or an activity's, calls and files are an activity's."""
    instead = {one.rule: one.instead for one in [*findings("workflows.py"), *findings("problematic.py")]}
    assert "ctx.current_utc_datetime" in instead["TEN101"]
    assert "ctx.random()" in instead["TEN121"]
    assert "activity" in instead["TEN121"]
    assert "ctx.call_activity" in instead["TEN141"]
    assert "activity" in instead["TEN144"]
    assert "input" in instead["TEN144"]


def test_a_function_can_be_judged_alone() -> None:
    """`lint_function` finds the same in one function, and takes whatever it is asked about for a workflow."""
    found = lint_function(str(LESSON / "workflows.py"), "broken_workflow")
    assert [(one.function, one.line, one.rule) for one in found] == BROKEN
    assert lint_function(str(LESSON / "workflows.py"), "correct_workflow") == []
    assert lint_function(str(LESSON / "workflows.py"), "no_such_function") == []
    as_workflow = lint_function(str(LESSON / "workflows.py"), "validate_task")
    assert [one.rule for one in as_workflow] == ["TEN141", "TEN101"]
