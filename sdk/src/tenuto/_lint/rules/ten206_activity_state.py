"""TEN206: what an activity left in its process, read by a workflow."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.memo import remembered
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.shared import MUTATORS, changed_globals
from tenuto._lint.view import FunctionView, ModuleView


def _check(function: FunctionView) -> Iterator[Hit]:
    written = _written_by_activities(function.module)
    if not written:
        return
    for read in function.reads:
        name = read.node.id if isinstance(read.node, ast.Name) else ""
        if name in written and _is_global(function, read.node):
            yield function.hit(read.node, f"{name} is read here and written by the activity {written[name]}")
    for call in function.calls:
        base = call.target
        while isinstance(base, ast.Attribute):
            base = base.value
        if isinstance(base, ast.Name) and base is not call.target and base.id in written and _is_global(function, base):
            yield function.hit(base, f"{base.id} is read here and written by the activity {written[base.id]}")


def _is_global(function: FunctionView, node: ast.expr) -> bool:
    if not isinstance(node, ast.Name):
        return False
    resolver = function.module.parsed.resolver
    where, _ = resolver.located(node.id, function.scope_of(node), (node.lineno, node.col_offset))
    return where.kind == "module"


@remembered
def _written_by_activities(module: ModuleView) -> dict[str, str]:
    """Globals that activities of a module, or what they call in it, change: name -> the activity."""
    reached: dict[str, str] = {}
    for activity in module.activities:
        pending = [activity.name]
        while pending:
            name = pending.pop()
            if name not in reached:
                reached[name] = activity.name
                pending += _called_here(module, name)
    return {
        name: reached[function.name]
        for name, functions in changed_globals(module).items()
        for function in functions
        if function.name in reached
    }


def _called_here(module: ModuleView, name: str) -> list[str]:
    """Functions of the same module that a function calls."""
    return [
        found.local
        for ref in module.module.facts.functions[name].refs
        if ref.is_call
        for found in module.project.project.resolve(ref.name, module.module)
        if found.module is module.module and found.kind == "function"
    ]


def _check_module(module: ModuleView) -> Iterator[Hit]:
    """Activities made inside a workflow, which change its variables."""
    workflows = {one.name for one in module.functions}
    for activity in module.activities:
        outer = activity.name.rpartition(".<locals>.")[0]
        if outer in workflows:
            for node, name in _changes_of_outer(activity):
                message = f"{name} belongs to the workflow {outer}, and is changed by an activity"
                yield Hit(node=node, message=message, function=activity.name)


def _changes_of_outer(activity: FunctionView) -> Iterator[tuple[ast.AST, str]]:
    for node in activity.walk():
        match node:
            case ast.Name(ctx=ast.Store()) if activity.body.scope.outer.get(node.id) is activity.body.scope.parent:
                yield node, node.id
            case ast.Call(func=ast.Attribute(value=ast.Name() as base, attr=method)) if method in MUTATORS:
                if _is_outer(activity, base):
                    yield node, base.id
            case ast.Subscript(value=ast.Name() as base, ctx=ast.Store() | ast.Del()) if _is_outer(activity, base):
                yield node, base.id
            case _:
                pass


def _is_outer(activity: FunctionView, node: ast.Name) -> bool:
    resolver = activity.module.parsed.resolver
    where, _ = resolver.located(node.id, activity.scope_of(node), (node.lineno, node.col_offset))
    return where is activity.body.scope.parent


RULE = Rule(
    id="TEN206",
    name="activity-state",
    message="a workflow reads what an activity left in the process",
    why="An activity runs once, on any worker; the workflow's code runs again in each replay, on any other.",
    breaks="In another process, or after a restart, the activity is not run again and what it wrote is not there: the "
    "workflow fails, or goes another way than its history.",
    instead="Let the activity return the value: its result is what history keeps.",
    profile=Profile.STRICT,
    check=_check,
    check_module=_check_module,
)
