"""Which functions of a case are workflows, activities or helpers: by decorators, registrations and types.

Deliberately not the linter's own judgement, which the comparison is about.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef
_WORKFLOW_DECORATORS = frozenset({"workflow", "versioned_workflow"})
_WORKFLOW_CONTEXTS = frozenset({"WorkflowContext", "DaprWorkflowContext"})


@dataclass
class Roles:
    """What is known of a case's functions, by name.

    Attributes:
        workflows: names that are decorated or registered as workflows.
        activities: names that are decorated, registered or called as activities.
        called: names that are called as functions somewhere.
    """

    workflows: set[str] = field(default_factory=set[str])
    activities: set[str] = field(default_factory=set[str])
    called: set[str] = field(default_factory=set[str])


def read_roles(trees: Iterable[ast.Module]) -> Roles:
    """Collect what all modules of a case say about its functions."""
    roles = Roles()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, Function):
                _read_decorators(node, roles)
            elif isinstance(node, ast.Call):
                _read_call(node, tree, roles)
    return roles


def is_workflow(node: Function, roles: Roles, *, is_nested: bool) -> bool:
    """Whether a function is one: decorated, registered, or typed as one and called by nobody."""
    if node.name in roles.workflows:
        return True
    is_free = not is_nested and node.name not in roles.called and node.name not in roles.activities
    return is_free and context_of(node) is not None and context_type(node) in _WORKFLOW_CONTEXTS


def is_activity(node: Function, roles: Roles) -> bool:
    """Whether a function is an activity."""
    return node.name in roles.activities or context_type(node) == "WorkflowActivityContext"


def context_of(node: Function) -> ast.arg | None:
    """The parameter that is the context: the first, after `self`."""
    parameters = [*node.args.posonlyargs, *node.args.args]
    if parameters and parameters[0].arg in {"self", "cls"}:
        parameters = parameters[1:]
    return parameters[0] if parameters else None


def context_type(node: Function) -> str:
    """The last name of the first parameter's annotation; empty where there is none."""
    parameter = context_of(node)
    annotation = parameter.annotation if parameter else None
    if isinstance(annotation, ast.Attribute):
        return annotation.attr
    return annotation.id if isinstance(annotation, ast.Name) else ""


def decorator_name(decorator: ast.expr) -> str:
    """`workflow` of `@wfr.workflow(name="x")`; empty for what is no attribute."""
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return function.attr if isinstance(function, ast.Attribute) else ""


def _read_decorators(node: Function, roles: Roles) -> None:
    names = {decorator_name(decorator) for decorator in node.decorator_list}
    if names & _WORKFLOW_DECORATORS:
        roles.workflows.add(node.name)
    if "activity" in names:
        roles.activities.add(node.name)


def _read_call(node: ast.Call, tree: ast.Module, roles: Roles) -> None:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    first = node.args[0] if node.args else None
    if name == "register_workflow" and first is not None:
        roles.workflows.update(_meant(first, tree))
    elif name in {"register_activity", "call_activity"} and first is not None:
        roles.activities.update(_meant(first, tree))
    elif isinstance(function, ast.Name):
        roles.called.add(name)


def _meant(argument: ast.expr, tree: ast.Module) -> Iterator[str]:
    """Names of functions that an argument means: `f`, `module.f`, `C().f`, or each of `for f in (...)`."""
    if isinstance(argument, ast.Attribute):
        yield argument.attr
    elif isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name):
        yield from _returned_by(argument.func.id, tree)
    elif isinstance(argument, ast.Name):
        yield argument.id
        for loop in ast.walk(tree):
            if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name) and loop.target.id == argument.id:
                yield from (name.id for name in ast.walk(loop.iter) if isinstance(name, ast.Name))


def _returned_by(factory: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == factory:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Name):
                    yield inner.value.id
