"""TEN286: patches that decide nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.scopes import literal
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    for node in function.walk():
        if not isinstance(node, ast.If):
            continue
        name, _ = _asked(function, node.test)
        if not name:
            continue
        if node.orelse and [ast.dump(one) for one in node.body] == [ast.dump(one) for one in node.orelse]:
            yield function.hit(node.test, f"both branches of patch '{name}' are the same")
        for around in function.parents(node):
            if isinstance(around, ast.If) and _asked(function, around.test)[0] == name:
                yield function.hit(node.test, f"the answer of patch '{name}' is known here: it was asked for around it")
                break


def _asked(function: FunctionView, test: ast.expr) -> tuple[str, bool]:
    """The patch that a condition asks for, and whether it asks for its absence; an empty name for other conditions."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        name, is_absent = _asked(function, test.operand)
        return name, not is_absent
    if isinstance(test, ast.Call) and "@ctx.is_patched" in function.names(test.func) and test.args:
        return literal(test.args[0]), False
    return "", False


RULE = Rule(
    id="TEN286",
    name="idle-patches",
    message="the patch decides nothing",
    why="A patch is recorded in each execution that takes it, and read by whoever changes the code next.",
    breaks="Nothing differs in a replay.",
    instead="Keep one branch without the condition, once no instance of before is left.",
    severity=Severity.INFO,
    profile=Profile.PEDANTIC,
    check=_check,
)
