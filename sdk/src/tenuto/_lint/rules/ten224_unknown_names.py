"""TEN224: names of activities and workflows that look mistyped."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tenuto._lint.finding import Fix
from tenuto._lint.memo import remembered
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.scopes import literal
from tenuto._lint.view import ContextCall, FunctionView, ProjectView

_KINDS = {"call_activity": "activity", "call_child_workflow": "workflow"}
# Shorter names differ by one letter too often.
_SHORTEST = 5


def _check(function: FunctionView) -> Iterator[Hit]:
    for one in function.operations:
        kind = _KINDS.get(one.method)
        name = _name(function, one)
        if kind is None or not name or one.subject is None:
            continue
        project = function.project
        known = project.activity_names if kind == "activity" else project.workflow_names
        if name in known:
            continue
        close = _renamed(project).get((kind, name)) or _closest(name, known)
        if close:
            message = f"no {kind} is registered as '{name}'; did you mean '{close}'?"
            yield function.hit(one.subject, message, fix=_fix(function, one, close))


def _fix(function: FunctionView, one: ContextCall, close: str) -> Fix | None:
    subject = one.subject
    if not isinstance(subject, ast.Constant):
        return None
    text = function.text_of(subject)
    quote = text[-1] if text[-1:] in "\"'" else '"'
    edit = function.replace(subject, f"{quote}{close}{quote}")
    # Another letter may mean an activity of another program; other case or hyphens hardly do.
    return Fix(f"replace by {close!r}", (edit,), is_safe=_plain(one.facts.target) == _plain(close))


def _name(function: FunctionView, one: ContextCall) -> str:
    """The literal name that an operation gives, itself or by a constant."""
    if one.facts.target or not isinstance(one.subject, ast.Name):
        return one.facts.target
    names = {literal(value) for value in function.values(one.subject)}
    return names.pop() if len(names) == 1 else ""


@remembered
def _renamed(project: ProjectView) -> dict[tuple[str, str], str]:
    """Names of functions that are registered under another one: kind and name -> that."""
    graph = project.graph
    return {
        (kind, facts.name.rpartition(".")[2]): facts.registered_as
        for kind, functions in (("activity", graph.activities), ("workflow", graph.workflows))
        for facts in functions.values()
        if facts.registered_as
    }


def _closest(name: str, known: Iterable[str]) -> str:
    """The one known name that a name is a slip of; empty where there is none, or more than one."""
    same = [one for one in known if _plain(one) == _plain(name)]
    if not same:
        same = [one for one in known if _is_slip(name, one)]
    return same[0] if len(same) == 1 else ""


def _plain(name: str) -> str:
    return "".join(one for one in name.casefold() if one.isalnum())


def _is_slip(one: str, other: str) -> bool:
    """Whether two names differ by one letter added, left out or changed, or by two exchanged; digits never count."""
    if abs(len(one) - len(other)) > 1 or one == other or max(len(one), len(other)) < _SHORTEST:
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
