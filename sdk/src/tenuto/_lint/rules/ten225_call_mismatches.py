"""TEN225: calls that do not fit what they call."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Fix
from tenuto._lint.parse import last_name, marks_of
from tenuto._lint.project import Module
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.scopes import Function
from tenuto._lint.signatures import input_problem, result_problem, surplus_arguments
from tenuto._lint.view import ContextCall, FunctionView

_CALLS = frozenset({"call_activity", "call_child_workflow"})
# Contexts of these packages have the same methods, with other arguments.
_OTHERS = frozenset({"azure", "durabletask"})
_OURS = frozenset({"tenuto", "dapr"})


def _check(function: FunctionView) -> Iterator[Hit]:
    packages = _packages(function.module.module)
    if packages & _OTHERS or not any(_packages(one) & _OURS for one in function.project.modules):
        return
    for one in function.operations:
        node = one.call.node
        if not isinstance(node, ast.Call):
            continue
        problem = surplus_arguments(one.method, node, names_too="dapr" not in packages)
        if problem:
            yield function.hit(node, problem, fix=_named_input(function, one, node))
            continue
        if one.method in _CALLS:
            for target in _targets(function, one):
                problem = input_problem(target, node) or _result_problem(function, node, target)
                if problem:
                    yield function.hit(node, problem)
                    break


def _packages(module: Module) -> frozenset[str]:
    return frozenset(one.partition(".")[0] for one in module.facts.imports)


def _targets(function: FunctionView, one: ContextCall) -> list[FunctionView]:
    """What is called, where that is certain: functions whose only decorators register them."""
    views = [function.view_of(found) for found in one.found]
    certain: list[FunctionView] = []
    for view in views:
        if (
            view is None
            or not isinstance(view.node, Function)
            or len(marks_of(view.node)) != len(view.node.decorator_list)
            or not _has_context(view)
        ):
            return []
        certain.append(view)
    return certain if len(certain) == 1 else []


def _has_context(view: FunctionView) -> bool:
    """Whether a function begins with a context; without one, something else calls it, with other arguments."""
    first = next(iter(view.body.parameters), None)
    if first is None:
        return False
    name = first.arg.strip("_")
    return "ctx" in name or name in ("", "context") or last_name(first.annotation).endswith("Context")


def _result_problem(function: FunctionView, node: ast.Call, target: FunctionView) -> str:
    wait = function.parent(node)
    assigned = function.parent(wait) if isinstance(wait, ast.Yield | ast.Await) else None
    is_overruled = any(one.arg == "result_type" for one in node.keywords)
    if not isinstance(assigned, ast.AnnAssign) or is_overruled or target.body.is_generator:
        return ""
    return result_problem(target, assigned.annotation)


def _named_input(function: FunctionView, one: ContextCall, node: ast.Call) -> Fix | None:
    if one.method not in _CALLS or len(node.args) != 2 or any(part.arg in ("input", None) for part in node.keywords):
        return None
    return Fix("name the input", (function.insert_before(node.args[1], "input="),))


RULE = Rule(
    id="TEN225",
    name="call-mismatches",
    message="a call does not fit what it calls",
    why="The context's methods take their arguments by name, and a payload must fit the annotation of who receives it.",
    breaks="The call raises TypeError here, or fails in another process after it has been recorded, with an error that "
    "no retry mends.",
    instead="Write ctx.call_activity(function, input=value), with a value of the annotated type.",
    check=_check,
)
