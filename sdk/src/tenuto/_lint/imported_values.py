"""What names at module level were given when their module was imported: another value in every process, perhaps."""

from __future__ import annotations

import ast
from collections.abc import Collection

from tenuto._lint.project import Module
from tenuto._lint.scopes import Scope
from tenuto._lint.view import FunctionView, ModuleView, Read

# Functions whose result says what their arguments say.
_CONVERSIONS = frozenset(
    {"builtins.bool", "builtins.float", "builtins.int", "builtins.str", "decimal.Decimal", "json.loads"}
)


def source_of(function: FunctionView, read: Read, sources: Collection[str]) -> str:
    """Return which of some calls or reads gave the value of a name at module level; empty where none did.

    Args:
        function: what reads the name.
        read: the name, or an attribute of a module of the project.
        sources: qualified names. Conversions, comparisons and methods of what they give are looked through.
    """
    found = _value(function, read)
    return "" if found is None else _source(*found, frozenset(sources))


def _value(function: FunctionView, read: Read) -> tuple[ModuleView, ast.expr] | None:
    """The expression that a name at module level was assigned, once, and where."""
    resolver = function.module.parsed.resolver
    node = read.node
    if isinstance(node, ast.Name):
        scope, bindings = resolver.located(node.id, read.scope, (node.lineno, node.col_offset))
        if scope.kind != "module" or len(bindings) != 1:
            return None
        if bindings[0].kind == "value" and bindings[0].node is not None:
            return function.module, bindings[0].node
        raws: tuple[str, ...] = (bindings[0].text,) if bindings[0].kind == "name" else ()
    else:
        raws = _dotted(function, node, read.scope)
    for raw in raws:
        module, _, name = raw.rpartition(".")
        if module and module[0] not in "&?@" and (found := _in_module(function, module, name)):
            return found
    return None


def _dotted(function: FunctionView, node: ast.expr, scope: Scope) -> tuple[str, ...]:
    """What an attribute of an imported module is called in full."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return ()
    position = (node.lineno, node.col_offset)
    bindings = function.module.parsed.resolver.bindings(node.value.id, scope, position)
    return tuple(f"{one.text}.{node.attr}" for one in bindings if one.kind == "name")


def _in_module(function: FunctionView, module: str, name: str) -> tuple[ModuleView, ast.expr] | None:
    found = function.project.project.find_module(module, function.module.module)
    if not isinstance(found, Module):
        return None
    bindings = found.parsed.scope.bindings.get(name, [])
    if len(bindings) != 1 or bindings[0].kind != "value" or bindings[0].node is None:
        return None
    return function.project.module(found), bindings[0].node


def _source(view: ModuleView, node: ast.expr, sources: frozenset[str]) -> str:
    parts: list[ast.expr] = []
    match node:
        case ast.Call(func=func, args=arguments):
            names = view.names(func)
            if own := next((name for name in names if name in sources), ""):
                return own
            parts = arguments if any(name in _CONVERSIONS for name in names) else []
            if isinstance(func, ast.Attribute):
                parts = [func.value]
        case ast.Name() | ast.Attribute():
            if own := next((name for name in view.names(node) if name in sources), ""):
                return own
            parts = [node.value] if isinstance(node, ast.Attribute) else []
        case ast.Subscript(value=value) | ast.UnaryOp(operand=value) | ast.FormattedValue(value=value):
            parts = [value]
        case ast.BoolOp(values=parts) | ast.JoinedStr(values=parts):
            pass
        case ast.BinOp(left=left, right=right):
            parts = [left, right]
        case ast.Compare(left=left, comparators=others):
            parts = [left, *others]
        case ast.IfExp(test=test, body=body, orelse=orelse):
            parts = [test, body, orelse]
        case _:
            pass
    return next((found for part in parts if (found := _source(view, part, sources))), "")
