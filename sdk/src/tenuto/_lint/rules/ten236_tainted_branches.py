"""TEN236: values from outside that decide which operations are asked for."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.taint import taint_of
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked, waits_in, walk_here

_NAMED = frozenset({"call_activity", "call_child_workflow", "wait_for_external_event"})


def _check(function: FunctionView) -> Iterator[Hit]:
    if not asked(function):
        return
    for node in function.walk():
        guarded = _guarded(node)
        if guarded is None:
            continue
        condition, branches = guarded
        if _decides(function, branches):
            yield from _hit(function, condition, "decides which operations are asked for")
    for one in function.operations:
        if one.method in _NAMED and one.subject is not None:
            yield from _hit(function, one.subject, f"decides what {one.method} is about")


def _guarded(node: ast.AST) -> tuple[ast.expr, Iterable[ast.AST]] | None:
    """A condition and what it guards."""
    match node:
        case ast.If() | ast.While():
            return node.test, (*node.body, *node.orelse)
        case ast.For():
            return node.iter, node.body
        case ast.IfExp():
            return node.test, (node.body, node.orelse)
        case ast.Match():
            return node.subject, [one for case in node.cases for one in case.body]
        case _:
            return None


def _decides(function: FunctionView, branches: Iterable[ast.AST]) -> bool:
    """Whether branches ask for operations, wait, or leave the function."""
    return any(
        waits_in(function, one) or any(isinstance(part, ast.Return | ast.Raise) for part in walk_here(one))
        for one in branches
    )


def _hit(function: FunctionView, node: ast.expr, what: str) -> Iterator[Hit]:
    way = taint_of(function, node)
    if way:
        yield function.hit(node, f"{' -> '.join(way)} {what}")


RULE = Rule(
    id="TEN236",
    name="tainted-branches",
    message="a value from outside decides which operations are asked for",
    why="It has another value in each replay, and here it chooses the operations.",
    breaks="The replay takes another branch than the first run and asks for what history does not hold: the instance "
    "stalls with UNEXPECTED_ACTIVITY or NON_DETERMINISTIC.",
    instead="Take the value from the context or from an activity, so that it is the same in every replay.",
    profile=Profile.STRICT,
    check=_check,
)
