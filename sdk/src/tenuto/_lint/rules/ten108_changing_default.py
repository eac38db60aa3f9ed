"""TEN108: classes constructed in a workflow whose fields fill themselves with something that changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.project import Found
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.scopes import Function, Scope
from tenuto._lint.sources import CHANGING
from tenuto._lint.view import Call, FunctionView, ModuleView


def check(function: FunctionView) -> Iterator[Hit]:
    """Look at each construction of a class of the project for fields that it does not give."""
    for call in function.calls:
        for found in call.found:
            if found.kind == "class" and isinstance(call.node, ast.Call):
                yield from _of_class(function, call, found)


def _of_class(function: FunctionView, call: Call, found: Found) -> Iterator[Hit]:
    if found.module is None or not isinstance(call.node, ast.Call):
        return
    view = function.project.module(found.module)
    body = found.module.parsed.classes[found.local]
    given = {one.arg for one in call.node.keywords}
    position = 0
    for statement in body.node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name = statement.target.id
        if name not in given and position >= len(call.args) and None not in given:
            source = _factory(view, statement.value, body.scope)
            if source:
                message = f"{call.text}(...) fills its field {name!r} by {source}()"
                instead = f"Give the value: {call.text}(..., {name}=...), from the context or an activity."
                yield function.hit(call.node, message, instead=instead)
        position += 1


def _factory(view: ModuleView, value: ast.expr | None, scope: Scope) -> str:
    """The changing function that a field's `default_factory` calls; empty for none."""
    if not isinstance(value, ast.Call):
        return ""
    factory = next((one.value for one in value.keywords if one.arg in ("default_factory", "factory")), None)
    match factory:
        case None:
            return ""
        case ast.Lambda():
            calls = [one.func for one in ast.walk(factory.body) if isinstance(one, ast.Call)]
            names = [name for one in calls for name in view.names(one, scope)]
        case _:
            names = list(view.names(factory, scope))
            names += [name for one in _inside(view, factory, scope) for name in one]
    return next((name for name in names if name in CHANGING), "")


def _inside(view: ModuleView, factory: ast.expr, scope: Scope) -> Iterator[tuple[str, ...]]:
    """Names of what a factory of the same module calls itself."""
    if not isinstance(factory, ast.Name):
        return
    body = view.parsed.bodies.get(factory.id)
    if body is not None and isinstance(body.node, Function):
        for call, inner in body.calls:
            yield view.names(call.func, inner)


RULE = Rule(
    id="TEN108",
    name="changing-default",
    message="a class constructed here fills a field by a clock, a random value or an id",
    why="The field's factory runs whenever the class is constructed, and gives something else each time.",
    breaks="A replay constructs it with another value: what is passed on, compared or returned differs from what "
    "history records.",
    instead="Give the value explicitly: from ctx.current_utc_datetime, ctx.new_uuid(), or the result of an activity.",
    check=check,
)
