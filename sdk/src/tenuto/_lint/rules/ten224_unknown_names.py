"""TEN224: names of activities and workflows that look mistyped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tenuto._lint.finding import Fix
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.view import FunctionView

_KINDS = {"call_activity": "activity", "call_child_workflow": "workflow"}
# Shorter names differ by one letter too often.
_SHORTEST = 5


def _check(function: FunctionView) -> Iterator[Hit]:
    for one in function.operations:
        kind = _KINDS.get(one.method)
        name = one.facts.target
        if kind is None or not name or one.subject is None:
            continue
        project = function.project
        known = project.activity_names if kind == "activity" else project.workflow_names
        if name in known:
            continue
        close = _other_name(function, kind, name) or _closest(name, known)
        if close:
            text = function.text_of(one.subject)
            quote = text[-1] if text[-1:] in "\"'" else '"'
            edit = function.replace(one.subject, f"{quote}{close}{quote}")
            # Another letter may mean an activity of another program; other case or hyphens hardly do.
            fix = Fix(f"replace by {close!r}", (edit,), is_safe=_plain(name) == _plain(close))
            yield function.hit(one.subject, f"no {kind} is registered as '{name}'; did you mean '{close}'?", fix=fix)


def _other_name(function: FunctionView, kind: str, name: str) -> str:
    """The one name that the function of this name is registered by; empty where there is none, or more than one."""
    graph = function.project.graph
    marked = (graph.activities if kind == "activity" else graph.workflows).values()
    named = {one.registered_as for one in marked if one.name.rpartition(".")[2] == name and one.registered_as}
    return named.pop() if len(named) == 1 else ""


def _closest(name: str, known: Iterable[str]) -> str:
    """The one known name that a name is a slip of; empty where there is none, or more than one."""
    same = [one for one in known if _plain(one) == _plain(name)]
    if not same and len(name) >= _SHORTEST:
        same = [one for one in known if len(one) >= _SHORTEST and _is_slip(name, one)]
    return same[0] if len(same) == 1 else ""


def _plain(name: str) -> str:
    return "".join(one for one in name.casefold() if one.isalnum())


def _is_slip(one: str, other: str) -> bool:
    """Whether two names differ by one letter added, left out or changed, or by two exchanged; digits never count."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    first, second = one[start : len(one) - end], other[start : len(other) - end]
    if any(not letter.isalpha() for letter in first + second):
        return False
    return (len(first) <= 1 and len(second) <= 1) or (len(first) == 2 and first == second[::-1])


RULE = Rule(
    id="TEN224",
    name="unknown-names",
    message="a name that nothing registers",
    why="Calls are recorded and delivered by name, compared letter by letter.",
    breaks="The call waits for a worker that registers the wrong name, and none ever does; mending it later is a "
    "change of history, on which running instances stall.",
    instead="Pass the function itself, or the name that it is registered by.",
    check=_check,
)
