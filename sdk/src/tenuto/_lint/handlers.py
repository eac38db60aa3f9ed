"""Handlers of exceptions around waits."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked_at, is_wait, waits_in, walk_here


def guarded_tries(function: FunctionView, *, waits_only: bool = False) -> Iterator[ast.Try]:
    """Yield the `try` statements whose body waits or asks for operations.

    Args:
        function: where to look.
        waits_only: whether an operation that is asked for without a wait does not count.
    """
    for node in function.nodes_of(ast.Try):
        if any(_is_guarded(function, one, waits_only) for one in node.body):
            yield node


def suppressions(function: FunctionView, *, waits_only: bool = False) -> Iterator[tuple[ast.expr, frozenset[str]]]:
    """Yield each `suppress(...)` of a `with` statement whose body waits, with the exceptions that it names."""
    for node in function.nodes_of(ast.With):
        if not any(_is_guarded(function, one, waits_only) for one in node.body):
            continue
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and "contextlib.suppress" in function.names(call.func):
                yield call, frozenset(name for one in call.args for name in function.names(one))


def catches(function: FunctionView, node: ast.expr) -> frozenset[str]:
    """Return the qualified names of the exceptions that a handler names."""
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return frozenset(name for one in parts for name in function.names(one))


def _is_guarded(function: FunctionView, node: ast.stmt, waits_only: bool) -> bool:
    if waits_only:
        return any(is_wait(function, one) for one in walk_here(node))
    return waits_in(function, node) or any(asked_at(function, one) is not None for one in walk_here(node))
