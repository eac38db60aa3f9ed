"""TEN232: loops of operations without an end."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.flow import endless_loops, is_unconditional
from tenuto._lint.project import Found
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import waits_in

_DEEPEST = 6


def _check(function: FunctionView) -> Iterator[Hit]:
    for loop in endless_loops(function):
        if any(waits_in(function, one) for one in loop.body) and not _renews(function, loop):
            yield Hit(
                line=loop.lineno,
                column=function.module.span(loop)[1],
                message="this loop of operations never ends and never continues as new",
            )
    yield from _recursions(function)


def _renews(function: FunctionView, loop: ast.AST) -> bool:
    """Whether a loop, or what it calls, calls `continue_as_new`."""
    inside = {id(one) for one in ast.walk(loop)}
    for call in function.calls:
        if id(call.node) in inside:
            if any(name.endswith(".continue_as_new") for name in call.names):
                return True
            if any(_may_renew(function, one, frozenset()) for one in call.found):
                return True
    return False


def _may_renew(function: FunctionView, found: Found, seen: frozenset[Found]) -> bool:
    facts = found.function
    if facts is None or found.module is None or found in seen or len(seen) > _DEEPEST:
        return False
    if any(one.method == "continue_as_new" for one in facts.operations):
        return True
    project = function.project.project
    return any(
        _may_renew(function, one, seen | {found})
        for ref in facts.refs
        if ref.is_call
        for one in project.resolve(ref.name, found.module)
    )


def _recursions(function: FunctionView) -> Iterator[Hit]:
    key = (function.module.module, function.name)
    for call in function.calls:
        is_self = bool(call.found) and all((one.module, one.local) == key for one in call.found)
        is_run = isinstance(function.parent(call.node), ast.YieldFrom | ast.Await)
        if is_self and is_run and is_unconditional(function, call.node):
            yield function.hit(call.node, f"{call.text}(...) runs itself again on every way through it")
    for one in function.operations:
        is_self = one.method == "call_child_workflow" and [(two.module, two.local) for two in one.found] == [key]
        if is_self and is_unconditional(function, one.call.node):
            yield function.hit(one.call.node, "every instance of this workflow begins another one as its child")


RULE = Rule(
    id="TEN232",
    name="endless-histories",
    message="a loop of operations never ends",
    why="Each round adds events to the history, some three for an activity, and each replay reads all of them.",
    breaks="Replays take longer and longer; at 50,000 events or 64 MiB the execution fails with LimitExceeded, days or "
    "weeks after it was deployed.",
    instead="After a number of rounds call ctx.continue_as_new(state, save_events=True) and return: the instance goes "
    "on with an empty history.",
    severity=Severity.WARNING,
    check=_check,
)
