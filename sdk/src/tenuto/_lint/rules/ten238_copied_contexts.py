"""TEN238: contexts that are copied, and results that cannot be values."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import makes_task

_COPIES = frozenset(
    {
        "cloudpickle.dumps",
        "copy.copy",
        "copy.deepcopy",
        "dill.dumps",
        "marshal.dumps",
        "pickle.Pickler.dump",
        "pickle.dump",
        "pickle.dumps",
    }
)


def _check(function: FunctionView) -> Iterator[Hit]:
    for call in function.calls:
        if call.name in _COPIES and call.args and _holds_context(function, call.args[0]):
            yield function.hit(call.node, f"{call.text}() copies the workflow's context")
    if function.is_workflow:
        for value in function.body.returns:
            what = _no_value(function, value)
            if what:
                yield function.hit(value, f"the workflow's result is {what}, which has no JSON form")


def _holds_context(function: FunctionView, node: ast.expr) -> bool:
    match node:
        case ast.Name():
            return "@ctx" in function.names(node, function.scope_of(node))
        case ast.List() | ast.Tuple() | ast.Set():
            return any(_holds_context(function, one) for one in node.elts)
        case ast.Dict():
            return any(_holds_context(function, one) for one in node.values)
        case _:
            return False


def _no_value(function: FunctionView, node: ast.expr) -> str:
    match node:
        case ast.GeneratorExp():
            return "a generator"
        case ast.Lambda():
            return "a function"
        case ast.Call() if "functools.partial" in function.names(node.func, function.scope_of(node)):
            return "a function"
        case ast.List() | ast.Tuple() | ast.Set():
            return "a collection with a task" if any(_is_task(function, one) for one in node.elts) else ""
        case ast.Dict():
            return "a dictionary with a task" if any(_is_task(function, one) for one in node.values) else ""
        case ast.ListComp():
            return "a list of tasks" if _is_task(function, node.elt) else ""
        case _:
            return ""


def _is_task(function: FunctionView, node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        values = function.values(node)
        return bool(values) and all(makes_task(function, one) for one in values)
    return makes_task(function, node)


RULE = Rule(
    id="TEN238",
    name="copied-contexts",
    message="a context is copied, or a result is no value",
    why="A copied context counts its operations for itself; a result must have a JSON form.",
    breaks="What is asked for through a copy never reaches the engine, or carries the number of another operation; a "
    "task or generator as result fails the workflow at its very end.",
    instead="Hand the context itself to helpers, and return results of tasks instead of tasks.",
    profile=Profile.STRICT,
    check=_check,
)
