"""Methods that Python calls by itself: what operators, loops and built-in functions do with an object."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

ENTERED: Final = ("__enter__", "__exit__", "__aenter__", "__aexit__")
_ITERATION: Final = ("__iter__", "__next__")
_TEXT: Final = ("__str__", "__repr__")
_OPERATORS: Final[dict[type[ast.AST], str]] = {
    ast.Add: "__add__",
    ast.Sub: "__sub__",
    ast.Mult: "__mul__",
    ast.Div: "__truediv__",
    ast.FloorDiv: "__floordiv__",
    ast.Mod: "__mod__",
    ast.Pow: "__pow__",
    ast.BitOr: "__or__",
    ast.BitAnd: "__and__",
    ast.BitXor: "__xor__",
    ast.LShift: "__lshift__",
    ast.RShift: "__rshift__",
    ast.MatMult: "__matmul__",
    ast.Eq: "__eq__",
    ast.NotEq: "__eq__",
    ast.Lt: "__lt__",
    ast.LtE: "__le__",
    ast.Gt: "__gt__",
    ast.GtE: "__ge__",
}
_BUILT_IN: Final = {
    **dict.fromkeys(("iter", "list", "tuple", "set", "frozenset", "sorted", "sum", "min", "max", "any"), _ITERATION),
    **dict.fromkeys(("all", "enumerate", "dict"), _ITERATION),
    "next": ("__next__",),
    "len": ("__len__",),
    "bool": ("__bool__", "__len__"),
    "int": ("__int__",),
    "float": ("__float__",),
    "hash": ("__hash__",),
    "abs": ("__abs__",),
    "repr": ("__repr__",),
    "str": _TEXT,
    "format": ("__format__", *_TEXT),
}


def implicit_calls(node: ast.AST) -> Iterator[tuple[ast.expr, tuple[str, ...]]]:
    """Yield the objects that a node, without what is below it, does something with, and the methods that do it."""
    match node:
        case ast.BinOp():
            yield node.left, (_OPERATORS[type(node.op)],)
        case ast.Compare():
            for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                if isinstance(operator, ast.In | ast.NotIn):
                    yield right, ("__contains__",)
                elif type(operator) in _OPERATORS:
                    yield left, (_OPERATORS[type(operator)],)
        case ast.Subscript(ctx=ast.Load()):
            yield node.value, ("__getitem__",)
        case ast.For() | ast.comprehension(is_async=0):
            yield node.iter, _ITERATION
        case ast.AsyncFor() | ast.comprehension():
            yield node.iter, ("__aiter__", "__anext__")
        case ast.FormattedValue():
            yield node.value, ("__format__", *_TEXT)
        case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in _BUILT_IN:
            yield first, _BUILT_IN[name]
        case _:
            pass
