"""TEN205: lambdas and nested functions called as activities or children."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import ContextCall, FunctionView
from tenuto._lint.waits import asked_at

_KEEPS = frozenset({"add", "append", "appendleft", "extend", "insert", "setdefault"})
_CALLS = frozenset({"call_activity", "call_child_workflow"})


def _check(function: FunctionView) -> Iterator[Hit]:
    for one in function.operations:
        if one.method in _CALLS and one.subject is not None:
            what = _what(function, one, one.subject)
            if what:
                yield function.hit(one.subject, f"{what} is called by {one.method}, and no worker can know it")
    for made in function.nodes_of(ast.Lambda):
        name = _late_names(function, made)
        if name:
            yield function.hit(
                made,
                f"{name} is read when the lambda is called, and is then the last one of the loop",
                instead=f"Bind it where the lambda is made: lambda {name}={name}: ..., or keep the tasks themselves.",
            )


def _late_names(function: FunctionView, made: ast.Lambda) -> str:
    """A loop's variable that a kept lambda reads when it is called, which may be after the loop; empty for none."""
    keeper = function.parent(made)
    is_kept = isinstance(keeper, ast.List | ast.Dict | ast.Assign) or (
        isinstance(keeper, ast.Call) and isinstance(keeper.func, ast.Attribute) and keeper.func.attr in _KEEPS
    )
    if not is_kept or not any(asked_at(function, one) for one in ast.walk(made.body)):
        return ""
    own = {one.arg for one in (*made.args.args, *made.args.kwonlyargs, *made.args.posonlyargs)}
    read = {one.id for one in ast.walk(made.body) if isinstance(one, ast.Name)} - own
    for around in function.parents(made):
        if isinstance(around, ast.For):
            targets = {one.id for one in ast.walk(around.target) if isinstance(one, ast.Name)}
            if read & targets:
                return min(read & targets)
    return ""


def _what(function: FunctionView, one: ContextCall, subject: ast.expr) -> str:
    values = function.values(subject) if isinstance(subject, ast.Name) else [subject]
    if values and all(isinstance(value, ast.Lambda) for value in values):
        return "a lambda"
    if values and all(_is_partial(function, value) for value in values):
        return "a partial"
    # One that stands beside the workflow, in the function around both, may well be registered there.
    is_nested = bool(one.found) and all(
        found.function is not None
        and found.module is function.module.module
        and found.local.startswith(f"{function.name}.<locals>.")
        and not found.function.marks
        for found in one.found
    )
    if not is_nested or any(_is_registered(function, found.local) for found in one.found):
        return ""
    return f"the nested function {function.text_of(subject)}"


def _is_partial(function: FunctionView, node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and "functools.partial" in function.names(node.func, function.scope_of(node))


def _is_registered(function: FunctionView, local: str) -> bool:
    """Whether a call in its module registers a nested function."""
    module = function.module.module
    return any(
        found.local == local
        for registration in module.facts.registrations
        if not registration.by_call
        for found in function.project.project.resolve_all(registration.names, module)
    )


RULE = Rule(
    id="TEN205",
    name="local-targets",
    message="a function made inside a workflow is called by name",
    why="Calls are delivered by name, perhaps to another process, which cannot see a function made while the workflow "
    "runs, nor the variables that it closes over.",
    breaks="No worker registers it: the call waits for ever; a partial has no name, and the call fails with TypeError.",
    instead="Register a function of the module, and pass what varies as its input.",
    profile=Profile.STRICT,
    check=_check,
)
