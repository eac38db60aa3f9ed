"""TEN260: events that are raised under a name nobody waits for, but almost."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import ProjectView

_WAITS = "wait_for_external_event"
_RAISES = ("raise_event", "raise_workflow_event")


def _check(view: ProjectView) -> Iterator[Hit]:
    uses = [
        (module, facts, operation)
        for module in view.modules
        for facts in module.facts.functions.values()
        for operation in facts.operations
        if operation.method == _WAITS or operation.method in _RAISES
    ]
    # A name that is computed may be any: then nothing is certain.
    if any(operation.method == _WAITS and not operation.target for _, _, operation in uses):
        return
    awaited = {operation.target.casefold(): operation.target for _, _, operation in uses if operation.method == _WAITS}
    for module, facts, operation in uses:
        name = operation.target.casefold()
        if operation.method in _RAISES and name and name not in awaited:
            close = get_close_matches(name, awaited, n=1, cutoff=0.75)
            if close:
                yield Hit(
                    path=view.path_of(module),
                    line=operation.line,
                    column=operation.column,
                    function=facts.name,
                    message=f"nobody waits for event '{operation.target}', but for '{awaited[close[0]]}'",
                )


RULE = Rule(
    id="TEN260",
    name="event-names",
    message="nobody waits for the event, but for one of almost the same name",
    why="Events are matched by name, without regard to case; one that nobody waits for is kept unread.",
    breaks="Nothing differs in a replay; but the instance waits on, and the event is lost with it.",
    instead="Write the name as the wait does, best as one constant.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    check_project=_check,
)
