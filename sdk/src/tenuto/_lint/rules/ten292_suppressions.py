"""TEN292: suppressions without a reason, without effect, or of rules that do not exist."""

from __future__ import annotations

from collections.abc import Iterator

from tenuto._lint.facts import Suppression
from tenuto._lint.finding import Edit, Fix, Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import SuppressionsView


def _check(view: SuppressionsView) -> Iterator[Hit]:
    for one, used in view.suppressions:
        problem = _problem(one, used, view)
        if problem:
            yield Hit(line=one.line, column=one.column, message=problem, fix=_removal(one, used, view))


def _problem(one: Suppression, used: frozenset[str], view: SuppressionsView) -> str:
    if not one.rules:
        return "the comment names no rule, and suppresses nothing"
    unknown = [rule for rule in one.rules if rule not in view.known]
    if unknown:
        return f"there is no rule {unknown[0]}"
    # Only of rules that ran is it known that they find nothing here.
    idle = [rule for rule in one.rules if rule in view.active and rule not in used and rule != RULE.id]
    if idle:
        return f"{', '.join(idle)} finds nothing here"
    reason = one.reason.partition("#")[0].strip()  # Another comment behind it is none.
    return "" if reason else f"the suppression of {', '.join(one.rules)} gives no reason"


def _removal(one: Suppression, used: frozenset[str], view: SuppressionsView) -> Fix | None:
    """Takes the comment away, where none of its rules finds anything."""
    if not one.rules or used or not all(rule in view.active for rule in one.rules):
        return None
    text = view.module.text.split("\n")[one.line - 1]
    code = text[: one.column].rstrip()
    if code:
        return Fix("remove the comment", (Edit(one.line, len(code), one.line, len(text), ""),))
    return Fix("remove the comment", (Edit(one.line, 0, one.line + 1, 0, ""),))


RULE = Rule(
    id="TEN292",
    name="suppressions",
    message="the suppression says too little, or nothing",
    why="A suppression says that somebody looked and decided; whoever comes next needs to know why.",
    breaks="A finding that comes up later at the same place is hidden by a comment that was meant for another one.",
    instead="Write # tenuto: ignore[TEN101] and the reason; remove comments that suppress nothing.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    check_suppressions=_check,
)
