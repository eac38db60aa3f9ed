"""TEN226: contexts that leave the turn."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.rule import Hit, Rule
from tenuto._lint.shared import MUTATORS, is_imported, shared_thing
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked_at

_ELSEWHERE = (
    "threading.",
    "_thread.",
    "concurrent.futures.",
    "multiprocessing.",
    "asyncio.to_thread",
    "asyncio.AbstractEventLoop.call_",
    "asyncio.AbstractEventLoop.run_in_executor",
    "atexit.",
    "weakref.finalize",
)
_KEEPING = frozenset({*MUTATORS, "put", "put_nowait"})


def _check(function: FunctionView) -> Iterator[Hit]:
    for read in function.reads:
        if isinstance(read.node, ast.Name) and "@ctx" in read.names:
            message = _leak(function, read.node)
            if message:
                yield function.hit(read.node, message)
    for call in function.calls:
        if isinstance(call.node, ast.Call) and any(name.startswith(_ELSEWHERE) for name in call.names):
            yield from _captured(function, call.node)


def _captured(function: FunctionView, call: ast.Call) -> Iterator[Hit]:
    """The context within a lambda that another thread will run."""
    for given in (*call.args, *(one.value for one in call.keywords)):
        if isinstance(given, ast.Lambda):
            for node in ast.walk(given.body):
                if isinstance(node, ast.Name) and "@ctx" in function.names(node, function.scope_of(node)):
                    yield function.hit(node, f"{node.id} is given to what runs outside the turn")
                    return


def _leak(function: FunctionView, node: ast.Name) -> str:
    """What a context is given to that lies outside the turn, as a sentence; empty where it stays inside."""
    at: ast.AST = node
    for parent in function.parents(node):
        match parent:
            case ast.List() | ast.Tuple() | ast.Set() | ast.Dict() | ast.keyword() | ast.IfExp():
                pass
            case ast.Call() if at is not parent.func:
                return _leak_by_call(function, node, parent)
            case ast.Return() if function.is_workflow:
                return f"{node.id} is returned as the workflow's result"
            case ast.Assign():
                return (
                    f"{node.id} is kept in {_kept(function, parent.targets)}" if _kept(function, parent.targets) else ""
                )
            case _:
                return ""
        at = parent
    return ""


def _leak_by_call(function: FunctionView, node: ast.Name, call: ast.Call) -> str:
    asked = asked_at(function, call)
    if asked is not None:
        return f"{node.id} is given to {asked.method}, as if it were a value"
    names = function.names(call.func, function.scope_of(call))
    if any(name.startswith(_ELSEWHERE) for name in names):
        return f"{node.id} is given to what runs outside the turn"
    if isinstance(call.func, ast.Attribute) and call.func.attr in _KEEPING:
        thing = shared_thing(function, call.func.value)
        if thing is not None:
            return f"{node.id} is kept in the {thing.what} {thing.name}"
    return ""


def _kept(function: FunctionView, targets: list[ast.expr]) -> str:
    """What of an assignment's targets outlives the turn."""
    for target in targets:
        match target:
            case ast.Name():
                outer = function.body.scope.outer.get(target.id)
                if outer is not None and outer.kind == "module":
                    return f"the global {target.id}"
            case ast.Attribute():
                found = function.found(target.value)
                if is_imported(function, target.value) or (found and all(one.kind == "class" for one in found)):
                    return function.text_of(target)
            case ast.Subscript() if shared_thing(function, target.value) is not None:
                return function.text_of(target.value)
            case _:
                pass
    return ""


RULE = Rule(
    id="TEN226",
    name="leaked-contexts",
    message="the workflow's context is given to something outside the turn",
    why="A context belongs to one execution, and answers only within its turns.",
    breaks="As a payload it has no JSON form, and the call fails; kept in the process it is another instance's context "
    "for whoever finds it; from another thread it asks for operations at moments that no replay repeats.",
    instead="Pass the values that are needed, such as ctx.instance_id. Helpers and objects of the workflow may hold "
    "the context.",
    check=_check,
)
