"""TEN263: activities that start workflows under a random id."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.extract import keyword
from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule, Scope
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    for call in function.calls:
        node = call.node
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr != "schedule_new_workflow" or any(one.arg is None for one in node.keywords):
            continue
        given = keyword(node, "instance_id")
        if given is None or (isinstance(given, ast.Constant) and given.value is None):
            yield function.hit(node)


RULE = Rule(
    id="TEN263",
    name="starts-without-id",
    message="the activity starts a workflow without instance_id",
    why="An activity runs at least once, and each run starts another workflow under a random id.",
    breaks="Nothing differs in a replay; but after a crash or a retry the work is done twice.",
    instead="Give instance_id= what is the same in each attempt, as ctx.idempotency_key is; or call a child workflow.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    scope=Scope.ACTIVITY,
    check=_check,
)
