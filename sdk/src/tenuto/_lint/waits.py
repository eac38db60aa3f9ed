"""Where a function waits and what it asks its context for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tenuto._lint.facts import FunctionFacts
from tenuto._lint.memo import remembered
from tenuto._lint.names import OPERATIONS, TASKS
from tenuto._lint.parse import marks_of
from tenuto._lint.project import Found
from tenuto._lint.scopes import Function
from tenuto._lint.view import Call, FunctionView

_HARMLESS = frozenset({"classmethod", "staticmethod"})
# Functions that make one task of several.
COMBINERS = frozenset(
    f"{package}.{name}"
    for package in ("tenuto", "tenuto.workflow", "dapr.ext.workflow", "durabletask.task")
    for name in ("when_all", "when_any")
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One operation on a context, also on one that an object holds (`self.ctx.call_activity`)."""

    method: str
    call: Call
    node: ast.Call

    @property
    def makes_task(self) -> bool:
        return self.method in TASKS


@remembered
def asked(function: FunctionView) -> list[Asked]:
    """Return the operations of a function, in the order of the text."""
    found: list[Asked] = []
    for call in function.calls:
        method = next((name[5:] for name in call.names if name.startswith("@ctx.")), "")
        if method in OPERATIONS and isinstance(call.node, ast.Call):
            found.append(Asked(method, call, call.node))
    return found


@remembered
def _asked_nodes(function: FunctionView) -> dict[ast.AST, Asked]:
    return {one.node: one for one in asked(function)}


def asked_at(function: FunctionView, node: ast.AST) -> Asked | None:
    """Return the operation that a node is."""
    return _asked_nodes(function).get(node)


def walk_here(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it, nested functions, classes and lambdas left out."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.ClassDef | ast.Lambda):
            yield from walk_here(child)


@remembered
def is_stepped(function: FunctionView) -> bool:
    """Whether a function's waits are the workflow's: not those of a generator that only makes values."""
    if function.is_async or function.is_workflow:
        return True
    if not function.is_generator:
        return False
    return any(one.makes_task for one in asked(function)) or any(
        holds_operations(function, found)
        for one in function.nodes_of(ast.YieldFrom)
        for found in parts_of(function, one.value)
    )


def is_wait(function: FunctionView, node: ast.AST) -> bool:
    """Whether a node waits for something."""
    if isinstance(node, ast.Yield | ast.YieldFrom):
        return is_stepped(function)
    return isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) or (
        isinstance(node, ast.comprehension) and bool(node.is_async)
    )


def waits_in(function: FunctionView, node: ast.AST) -> bool:
    """Whether a node, or one below it, waits, or asks for an operation that makes a task or sends an event."""
    operations = _asked_nodes(function)
    for one in walk_here(node):
        if is_wait(function, one):
            return True
        found = operations.get(one)
        if found is not None and (found.makes_task or found.method == "raise_event"):
            return True
    return False


def is_combiner(function: FunctionView, node: ast.AST) -> bool:
    """Whether a node calls `when_all` or `when_any`."""
    return isinstance(node, ast.Call) and any(
        name in COMBINERS for name in function.names(node.func, function.scope_of(node))
    )


def makes_task(function: FunctionView, node: ast.AST) -> bool:
    """Whether a node is a call that certainly gives a task."""
    found = asked_at(function, node)
    return (found is not None and found.makes_task) or is_combiner(function, node)


def is_task_holder(function: FunctionView, node: ast.AST) -> bool:
    """Whether a node is a list, tuple, set, dictionary or comprehension of tasks."""
    match node:
        case ast.List() | ast.Tuple() | ast.Set():
            return any(makes_task(function, one) for one in node.elts)
        case ast.Dict():
            return any(makes_task(function, one) for one in node.values)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
            return makes_task(function, node.elt)
        case ast.DictComp():
            return makes_task(function, node.value)
        case _:
            return False


def holds_operations(function: FunctionView, found: Found) -> bool:
    """Whether a function of the project takes a context and asks it for something, itself or by a helper."""
    facts = found.function
    if facts is None:
        return False
    if facts.uses_context or any(one.on_context for one in facts.operations):
        return True
    view = function.view_of(found)
    return view is not None and view.ctx is not None and bool(view.body.parameters)


def parts_of(function: FunctionView, node: ast.expr) -> tuple[Found, ...]:
    """Return the generators and coroutines of the project that a call makes; empty for anything else."""
    if not isinstance(node, ast.Call):
        return ()
    found = function.found(node.func, function.scope_of(node))
    is_certain = bool(found) and all(
        _is_part(one.function) and function.role(one) != "activity" and _is_as_written(function, one) for one in found
    )
    return found if is_certain else ()


def _is_part(facts: FunctionFacts | None) -> bool:
    return facts is not None and (facts.is_async or facts.is_generator)


def _is_as_written(function: FunctionView, found: Found) -> bool:
    """Whether a function is what its `def` says: a decorator may make anything of it, except those that register."""
    view = function.view_of(found)
    if view is None or not isinstance(view.node, Function):
        return False
    plain = [one for one in view.node.decorator_list if isinstance(one, ast.Name) and one.id in _HARMLESS]
    return len(plain) + len(marks_of(view.node)) == len(view.node.decorator_list)


def is_registered(function: FunctionView) -> bool:
    """Whether a function is registered as a workflow, and not only taken for one by what it does."""
    module = function.module.module
    facts = module.facts.functions[function.name]
    if "workflow" in facts.marks:
        return True
    return any(
        found.module is module and found.local == function.name
        for other in function.project.modules
        for registration in other.facts.registrations
        if registration.kind == "workflow" and not registration.by_call
        for found in function.project.project.resolve_all(registration.names, other)
    )


def with_wait(function: FunctionView, node: ast.expr, text: str) -> str | None:
    """Return an expression's text with the wait that this function waits by, in parentheses where it needs them.

    Args:
        function: where it stands.
        node: what the text replaces.
        text: an expression that gives a task.

    Returns:
        None where the function cannot wait there.
    """
    if not function.wait or function.scope_of(node).kind == "inner":
        return None
    parent = function.parent(node)
    if isinstance(parent, ast.Await | ast.Yield):
        return text
    waiting = f"{function.wait} {text}"
    is_whole = isinstance(parent, ast.Expr | ast.Assign | ast.AnnAssign | ast.AugAssign) or (
        function.is_async and isinstance(parent, ast.Return | ast.keyword | ast.List | ast.Tuple)
    )
    return waiting if is_whole else f"({waiting})"
