"""How often a loop runs and how large a value is, where the code says so."""

from __future__ import annotations

import ast

from tenuto._lint.view import FunctionView

_KEEPS = frozenset(
    {
        "builtins.enumerate",
        "builtins.filter",
        "builtins.list",
        "builtins.map",
        "builtins.reversed",
        "builtins.set",
        "builtins.sorted",
        "builtins.tuple",
    }
)
_BOUNDS = frozenset({"itertools.islice", "itertools.batched", "more_itertools.take"})
_DEEPEST = 8


def is_bounded(function: FunctionView, node: ast.expr, depth: int = 0) -> bool:
    """Whether the code itself says how many members a collection has at most."""
    if depth > _DEEPEST:
        return False
    match node:
        case ast.List() | ast.Tuple() | ast.Set():
            return not any(isinstance(one, ast.Starred) for one in node.elts)
        case ast.Dict() | ast.Constant():
            return True
        case ast.Subscript(slice=ast.Slice(upper=upper)):
            return upper is not None
        case ast.Name():
            return _is_bounded_name(function, node, depth + 1)
        case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
            return all(is_bounded(function, one.iter, depth + 1) for one in node.generators)
        case ast.Call():
            return _is_bounded_call(function, node, depth + 1)
        case _:
            return False


def _is_bounded_name(function: FunctionView, node: ast.Name, depth: int) -> bool:
    resolver = function.module.parsed.resolver
    where, bindings = resolver.located(node.id, function.scope_of(node), (node.lineno, node.col_offset))
    if where.kind == "module":
        # A constant of the program, whatever its length.
        return bool(bindings)
    return bool(bindings) and all(
        one.kind == "value" and one.node is not None and is_bounded(function, one.node, depth) for one in bindings
    )


def _is_bounded_call(function: FunctionView, node: ast.Call, depth: int) -> bool:
    names = function.names(node.func, function.scope_of(node))
    if any(name in _BOUNDS for name in names):
        return True
    if "builtins.range" in names:
        return rounds(function, node) is not None
    if "builtins.zip" in names:
        return any(is_bounded(function, one, depth) for one in node.args)
    if any(name in _KEEPS for name in names) and node.args:
        return is_bounded(function, node.args[-1] if "builtins.map" in names else node.args[0], depth)
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("items", "keys", "values"):
        return is_bounded(function, node.func.value, depth)
    return False


def rounds(function: FunctionView, node: ast.expr) -> int | None:
    """Return how often a loop over `range(...)` of constants runs; None where the code does not say."""
    if not isinstance(node, ast.Call) or "builtins.range" not in function.names(node.func, function.scope_of(node)):
        return None
    numbers = [whole_number(function, one) for one in node.args]
    if not 1 <= len(numbers) <= 3:
        return None
    start, stop, step = 0, numbers[0], 1
    if len(numbers) > 1:
        start, stop = numbers[0] or 0, numbers[1]
        step = numbers[2] if len(numbers) > 2 and numbers[2] else 1
    if stop is None or None in numbers or not step:
        return None
    return len(range(start, stop, step))


def whole_number(function: FunctionView, node: ast.expr, depth: int = 0) -> int | None:
    """Return the whole number that an expression certainly is, through constants of the module."""
    match node:
        case ast.Constant(value=int() as number):
            return number
        case ast.UnaryOp(op=ast.USub()):
            inner = whole_number(function, node.operand, depth + 1)
            return None if inner is None else -inner
        case ast.BinOp(op=ast.Mult()):
            left, right = (whole_number(function, one, depth + 1) for one in (node.left, node.right))
            return None if left is None or right is None else left * right
        case ast.Name() if depth < _DEEPEST:
            values = function.bindings(node, function.scope_of(node))
            if len(values) == 1 and values[0].kind == "value" and values[0].node is not None:
                return whole_number(function, values[0].node, depth + 1)
        case _:
            pass
    return None


def constant_bytes(function: FunctionView, node: ast.expr) -> int:
    """Return how many characters a constant has, `"x" * 5000` counted out; 0 for anything else."""
    match node:
        case ast.Constant(value=str() | bytes() as text):
            return len(text)
        case ast.BinOp(op=ast.Mult()):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                times = whole_number(function, other)
                if times is not None:
                    return constant_bytes(function, one) * max(0, times)
        case ast.List() | ast.Tuple():
            return sum(constant_bytes(function, one) for one in node.elts)
        case ast.Dict():
            return sum(constant_bytes(function, one) for one in node.values)
        case _:
            pass
    return 0
