"""TEN239: assertions that decide how a workflow goes on."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    for node in function.walk():
        if isinstance(node, ast.Assert) and not _is_for_types(node.test):
            yield function.hit(node, f"assert {function.text_of(node.test)} decides how the workflow goes on")
        elif isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if "builtins.AssertionError" in function.names(raised):
                yield function.hit(node, "AssertionError says nothing that a caller could match")


def _is_for_types(node: ast.expr) -> bool:
    """Whether an assertion tells a type checker what the code knows."""
    match node:
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass" | "callable")):
            return True
        case ast.Compare(ops=[ast.Is() | ast.IsNot()]):
            return True
        case ast.BoolOp():
            return all(_is_for_types(one) for one in node.values)
        case _:
            return False


RULE = Rule(
    id="TEN239",
    name="assertions",
    message="an assertion decides how a workflow goes on",
    why="python -O removes assertions, so that the same code does something else in another image.",
    breaks="An instance that failed at an assertion goes on in a replay without it, and differs from its history.",
    instead="Raise an error with a name, which callers can match.",
    severity=Severity.WARNING,
    profile=Profile.PEDANTIC,
    check=_check,
)
