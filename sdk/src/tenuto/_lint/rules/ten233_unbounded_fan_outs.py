"""TEN233: as many operations at once as there are items."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.sizes import is_bounded
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked_at, is_wait, walk_here

_FANNED = frozenset({"call_activity", "call_child_workflow"})


def _check(function: FunctionView) -> Iterator[Hit]:
    for node in function.walk():
        match node:
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                iterables = [one.iter for one in node.generators]
            case ast.For():
                iterables = [node.iter]
            case _:
                continue
        unbounded = [one for one in iterables if not is_bounded(function, one)]
        if unbounded and _only_asks(function, node):
            yield function.hit(unbounded[0], f"one operation for each of {function.text_of(unbounded[0])}, all at once")


def _only_asks(function: FunctionView, node: ast.AST) -> bool:
    """Whether the rounds ask for operations without waiting."""
    parts = list(walk_here(node))
    if any(is_wait(function, one) for one in parts):
        return False
    return any((found := asked_at(function, one)) is not None and found.method in _FANNED for one in parts)


RULE = Rule(
    id="TEN233",
    name="unbounded-fan-outs",
    message="as many operations at once as there are items",
    why="All operations of a turn go into one answer and one history, and the code shows no bound for their number.",
    breaks="At 50,000 open operations or events, or a turn larger than a message, the workflow fails with "
    "LimitExceeded; long before, each replay repeats all of them.",
    instead="Ask for parts of a bounded size, one after another, or give each part to a child workflow.",
    severity=Severity.WARNING,
    profile=Profile.PEDANTIC,
    check=_check,
)
