"""TEN281: operations that differ from those of the base revision, on a path without a patch."""

from __future__ import annotations

from collections.abc import Iterator

from tenuto._lint.drift.drifting import Hunk
from tenuto._lint.drift.proposals import propose
from tenuto._lint.drift.view import BaseView, definition
from tenuto._lint.finding import Severity
from tenuto._lint.project import Problem
from tenuto._lint.rule import Hit, Rule

_SAME = "If it decides as before, say so with # tenuto: ignore[TEN281] and the reason. Otherwise keep the former way"


def _check(view: BaseView) -> Iterator[Hit]:
    for problem in view.base.project.problems:
        yield _not_compared(view, problem)
    for pair, found in view.differences:
        for hunk in found.hunks:
            if not hunk.reused_patches:
                yield _hit(view, hunk, pair.current.name)


def _not_compared(view: BaseView, problem: Problem) -> Hit:
    name = problem.path.name
    return Hit(
        path=view.shown(problem.path),
        message=f"nothing in {name} was compared: at {view.name}, {problem.message}",
        breaks="An instance that was recorded by it may stall when this is deployed.",
        instead="Compare with a revision at which the file is Python.",
        severity=Severity.WARNING,
    )


def _hit(view: BaseView, hunk: Hunk, workflow: str) -> Hit:
    proposal = propose(view, hunk)
    keep = _SAME if hunk.is_condition else "Keep the former way"
    return view.hit(
        hunk.place or definition(hunk.pair.current),
        hunk.message,
        why=f"{RULE.why}\n\n{hunk.table(view.name)}",
        breaks=f"An instance of '{workflow}' that is past this place when the code is deployed stalls with "
        f"{hunk.error}.",
        instead=f"{keep} for instances that are past it; new ones take the new way:\n\n{proposal.text}",
        severity=Severity.WARNING if hunk.is_condition else None,
        fix=proposal.fix,
    )


RULE = Rule(
    id="TEN281",
    name="history-shape",
    message="the workflow asks for other operations than at the base",
    why="Replay holds the operations that the code asks for against those that history recorded, one by one; instances "
    "that run were recorded by the code of the base.",
    breaks="An instance that is past this place when the code is deployed stalls with NON_DETERMINISTIC or "
    "UNEXPECTED_ACTIVITY.",
    instead="Keep the former way behind ctx.is_patched(...) for instances that are past it.",
    check_base=_check,
)
