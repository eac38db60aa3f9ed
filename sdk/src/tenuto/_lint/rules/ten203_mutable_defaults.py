"""TEN203: default arguments that workflow code changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.scopes import Function
from tenuto._lint.shared import MUTATORS, is_container
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    node = function.node
    if not isinstance(node, Function):
        return
    for argument, default in _defaults(node):
        if is_container(default) and any(_is_changed(function, one, argument) for one in function.walk()):
            yield function.hit(default, f"the default of {argument.arg} is changed, and all calls share it")


def _defaults(node: Function) -> Iterator[tuple[ast.arg, ast.expr]]:
    arguments = node.args
    by_position = [*arguments.posonlyargs, *arguments.args]
    yield from zip(by_position[len(by_position) - len(arguments.defaults) :], arguments.defaults, strict=True)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield argument, default


def _is_changed(function: FunctionView, node: ast.AST, argument: ast.arg) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name() as name, attr=method)):
            return method in MUTATORS and _is_argument(function, name, argument)
        case ast.Subscript(value=ast.Name() as name, ctx=ast.Store() | ast.Del()):
            return _is_argument(function, name, argument)
        case ast.AugAssign(target=ast.Name() as name):
            return name.id == argument.arg and len(function.body.scope.bindings.get(name.id, [])) == 2
        case _:
            return False


def _is_argument(function: FunctionView, name: ast.Name, argument: ast.arg) -> bool:
    """Whether a name still holds the argument: nothing else bound it before."""
    if name.id != argument.arg:
        return False
    scope = function.scope_of(name)
    where, bindings = function.module.parsed.resolver.located(name.id, scope, (name.lineno, name.col_offset))
    return where is function.body.scope and bindings == where.bindings[name.id][:1]


RULE = Rule(
    id="TEN203",
    name="mutable-defaults",
    message="a default argument is changed",
    why="A default is made once, at import, and shared by all calls: those of other instances, and those of replays.",
    breaks="The first run of an instance sees it empty and its replay does not; what depends on it goes another way.",
    instead="Use None as default, and make a new object in the function.",
    profile=Profile.STRICT,
    check=_check,
)
