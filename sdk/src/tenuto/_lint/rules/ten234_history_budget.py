"""TEN234: loops and constants that are large for one execution."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.sizes import constant_bytes, rounds
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked, asked_at, walk_here

# About 1,500 events, three per activity: replays stay below a tenth of a second.
_MOST_OPERATIONS = 500
_MOST_BYTES = 64 * 1024
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


def _check(function: FunctionView) -> Iterator[Hit]:
    if not any(one.method == "continue_as_new" for one in asked(function)):
        yield from _loops(function, list(function.node.body), 1)
    for one in asked(function):
        for given in (*one.node.args[1:], *(part.value for part in one.node.keywords)):
            size = constant_bytes(function, given)
            if size > _MOST_BYTES:
                yield function.hit(given, f"a constant of {size:,} bytes is recorded with each such call")


def _loops(function: FunctionView, nodes: list[ast.stmt], times: int) -> Iterator[Hit]:
    """The outermost loops that ask for too much, `times` rounds of enclosing loops counted."""
    for statement in nodes:
        for node in walk_here(statement):
            if isinstance(node, _COMPREHENSIONS):
                counted = [rounds(function, one.iter) for one in node.generators]
                total = _product(counted)
                yield from _judge(function, node, node, total * times if total else 0)
            elif isinstance(node, ast.For) and function.parent(node) is not None and not _is_inner(function, node):
                yield from _judge(function, node, node.iter, _total(function, node) * times)


def _is_inner(function: FunctionView, node: ast.For) -> bool:
    """Whether a loop is counted with one around it."""
    return any(isinstance(one, ast.For) and rounds(function, one.iter) is not None for one in function.parents(node))


def _total(function: FunctionView, node: ast.For) -> int:
    """How many operations a loop asks for, as far as its rounds are constant."""
    times = rounds(function, node.iter)
    if times is None:
        return 0
    own = inner = 0
    for statement in node.body:
        for one in walk_here(statement):
            if isinstance(one, ast.For) and one is not node and not _is_between(function, one, node):
                inner += _total(function, one)
            elif (found := asked_at(function, one)) is not None and found.makes_task:
                own += 0 if _in_counted_loop(function, one, node) else 1
    return times * (own + inner)


def _in_counted_loop(function: FunctionView, node: ast.AST, outer: ast.For) -> bool:
    for one in function.parents(node):
        if one is outer:
            return False
        if isinstance(one, ast.For) and rounds(function, one.iter) is not None:
            return True
    return False


def _is_between(function: FunctionView, node: ast.For, outer: ast.For) -> bool:
    """Whether another counted loop stands between the two."""
    return _in_counted_loop(function, node, outer)


def _product(counts: list[int | None]) -> int:
    total = 1
    for one in counts:
        total *= one or 0
    return total


def _judge(function: FunctionView, node: ast.AST, at: ast.AST, operations: int) -> Iterator[Hit]:
    if operations > _MOST_OPERATIONS and any(
        (found := asked_at(function, one)) is not None and found.makes_task for one in walk_here(node)
    ):
        yield function.hit(at, f"this loop asks for {operations:,} operations in one execution")


RULE = Rule(
    id="TEN234",
    name="history-budget",
    message="too much for one execution",
    why="An activity leaves about three events, a constant is recorded with each call, and each replay reads all of "
    "it.",
    breaks="Replays become slow enough to be felt after each deployment, and at 50,000 events or 64 MiB the execution "
    "fails with LimitExceeded.",
    instead="Continue as new after some hundred rounds, give parts to child workflows, or let one activity do many "
    "steps; store large values elsewhere and pass a reference.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    check=_check,
)
