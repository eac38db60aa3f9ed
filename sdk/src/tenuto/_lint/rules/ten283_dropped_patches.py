"""TEN283: patches of the base that are gone, with the code of older executions."""

from __future__ import annotations

from collections.abc import Iterator

from tenuto._lint.drift.view import BaseView, definition
from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Rule


def _check(view: BaseView) -> Iterator[Hit]:
    for pair, found in view.differences:
        name = pair.current.name
        for patch in found.dropped:
            yield view.hit(
                definition(pair.current),
                f"workflow '{name}': patch '{patch}' is gone, and with it the code of executions older than it",
                instead="Make sure that none of them is left, then deploy: tenuto workflow list --status running "
                f"--status suspended --name {name} --until MOMENT, the moment at which '{patch}' was deployed.",
            )


RULE = Rule(
    id="TEN283",
    name="dropped-patches",
    message="a patch of the base is gone",
    why="Executions that had passed the place before the patch was deployed take the other branch for all their life.",
    breaks="An execution older than the patch asks for the new operations, and stalls with NON_DETERMINISTIC or "
    "UNEXPECTED_ACTIVITY.",
    instead="Make sure that no execution older than the patch is left.",
    severity=Severity.WARNING,
    check_base=_check,
)
