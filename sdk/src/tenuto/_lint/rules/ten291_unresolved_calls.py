"""TEN291: calls that are given the context, and that the linter cannot follow."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import Call, FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    for call in function.calls:
        if function.ctx is not None and isinstance(call.node, ast.Call) and not _is_followed(function, call):
            given = [*call.node.args, *(one.value for one in call.node.keywords)]
            if any(isinstance(one, ast.Name) and one.id == function.ctx for one in given):
                yield function.hit(call.node, f"{call.text}() is given the context, and cannot be followed")


def _is_followed(function: FunctionView, call: Call) -> bool:
    if any(name.startswith(("@ctx", "builtins.")) for name in call.names):
        return True
    return any(one.kind in ("function", "class", "instance") and one.module is not None for one in call.found)


RULE = Rule(
    id="TEN291",
    name="unresolved-calls",
    message="the call cannot be followed",
    why="What is called by a name that only a run decides, or is not in the project, is not read by the linter.",
    breaks="What it does is not checked: a clock or a random number in it is found only by the guard, or by a replay.",
    instead="Call the function by its name; or keep what is not the project's away from the context.",
    severity=Severity.INFO,
    profile=Profile.PEDANTIC,
    check=_check,
)
