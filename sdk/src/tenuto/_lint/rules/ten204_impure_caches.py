"""TEN204: caches of functions that are not pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.parse import last_name
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.scopes import Function
from tenuto._lint.shared import changed_globals, is_container
from tenuto._lint.view import FunctionView, ModuleView
from tenuto._lint.waits import asked

_PROPERTY = "functools.cached_property"
_CACHES = frozenset({"functools.cache", "functools.lru_cache", _PROPERTY})
_SHARED = frozenset({"dict", "list", "set", "Dict", "List", "Set", "defaultdict", "deque", "Counter", "bytearray"})


def _check(function: FunctionView) -> Iterator[Hit]:
    node = function.node
    if not isinstance(node, Function) or not any(_is_cache(function, one) for one in node.decorator_list):
        return
    reason = _reason(function, node)
    if reason:
        message = f"{node.name} is cached for the whole process, and {reason}"
        yield Hit(line=node.lineno, column=function.module.span(node)[1], message=message)


def _is_cache(function: FunctionView, decorator: ast.expr) -> bool:
    made = decorator.func if isinstance(decorator, ast.Call) else decorator
    return any(name in _CACHES for name in function.module.names(made, function.body.scope.parent))


def _is_property(function: FunctionView, decorator: ast.expr) -> bool:
    """Whether it is `cached_property`, whose cache is its object's: that of a workflow's own object is harmless."""
    return _PROPERTY in function.module.names(decorator, function.body.scope.parent)


def _reason(function: FunctionView, node: Function) -> str:
    if function.is_async or function.body.is_generator:
        return "gives a coroutine or generator that runs only once"
    if any(_is_property(function, one) for one in node.decorator_list):
        return _reads_changing(function, node)
    if asked(function) or any(bindings[0].text == "@ctx" for bindings in function.body.scope.bindings.values()):
        return "takes the context of one execution"
    if _gives_shared(function, node):
        return "gives something that its callers can change"
    return _reads_changing(function, node)


def _reads_changing(function: FunctionView, node: Function) -> str:
    """Globals that change, and empty ones, which somebody else must fill."""
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    changed = sorted(
        name for name in names if name in changed_globals(function.module) or _is_empty(function.module, name)
    )
    return f"reads the global {changed[0]}, which changes" if changed else ""


def _is_empty(module: ModuleView, name: str) -> bool:
    bindings = module.parsed.scope.bindings.get(name, [])
    return bool(bindings) and all(
        one.kind == "value"
        and (
            (isinstance(one.node, ast.Dict) and not one.node.keys)
            or (isinstance(one.node, ast.List) and not one.node.elts)
            or (isinstance(one.node, ast.Call) and is_container(one.node) and not one.node.args)
        )
        for one in bindings
    )


def _gives_shared(function: FunctionView, node: Function) -> bool:
    if node.returns is not None:
        return last_name(node.returns) in _SHARED
    return any(is_container(value) for one in function.body.returns for value in function.values(one))


RULE = Rule(
    id="TEN204",
    name="impure-caches",
    message="a cache of a function that is not pure",
    why="A cache skips code that ran before in this process, for whichever instance it ran.",
    breaks="A replay in a process with a full cache asks for other operations than one with an empty cache, or sees "
    "what another instance left in a shared result.",
    instead="Leave the cache out where an operation is asked for, and let cached functions return immutable values.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    check=_check,
)
