"""What may run after what: ends of loops, and what follows a statement."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from tenuto._lint.view import FunctionView
from tenuto._lint.waits import walk_here

_Loop = ast.For | ast.AsyncFor | ast.While
_ENDLESS = frozenset({"itertools.count", "itertools.cycle"})


def endless_loops(function: FunctionView) -> Iterator[_Loop]:
    """Yield the loops that nothing ends: no condition, no `break`, `return` or `raise` that leaves them."""
    loops: list[_Loop] = [*function.nodes_of(ast.While), *function.nodes_of(ast.For), *function.nodes_of(ast.AsyncFor)]
    for node in loops:
        if _has_no_condition(function, node) and not _is_left(node) and not _is_caught(function, node):
            yield node


def _has_no_condition(function: FunctionView, node: _Loop) -> bool:
    if isinstance(node, ast.While):
        return isinstance(node.test, ast.Constant) and bool(node.test.value)
    if not isinstance(node.iter, ast.Call):
        return False
    names = function.names(node.iter.func)
    is_repeated = "itertools.repeat" in names and len(node.iter.args) == 1 and not node.iter.keywords
    return is_repeated or any(name in _ENDLESS for name in names)


def _is_caught(function: FunctionView, loop: _Loop) -> bool:
    """Whether something around a loop waits for an exception to leave it: a timeout, the end of a generator."""
    at: ast.AST = loop
    for around in function.parents(loop):
        if isinstance(around, ast.Try) and around.handlers and at in around.body:
            return True
        if isinstance(around, ast.With) and any(
            isinstance(one.context_expr, ast.Call) and "contextlib.suppress" in function.names(one.context_expr.func)
            for one in around.items
        ):
            return True
        at = around
    return False


def _is_left(loop: _Loop) -> bool:
    return any(_leaves(one, is_inner=False) for one in loop.body)


def _leaves(node: ast.AST, *, is_inner: bool) -> bool:
    """Whether a node leaves the loop; a `break` of an inner loop does not."""
    if isinstance(node, ast.Return | ast.Raise):
        return True
    if isinstance(node, ast.Break):
        return not is_inner
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return False
    inner = is_inner or isinstance(node, _Loop)
    return any(_leaves(child, is_inner=inner) for child in ast.iter_child_nodes(node))


def first_after(function: FunctionView, node: ast.stmt, wanted: Callable[[ast.AST], bool]) -> ast.AST | None:
    """Return a wanted node that may run after a statement, in the same function; None where none can.

    Loops may run again. A `return` in a `try` passes its `finally` by; exceptions are not followed.
    """
    if isinstance(node, ast.Return | ast.Raise):
        return None
    parent = function.parent(node)
    block = _block_of(parent, node)
    for following in block[block.index(node) + 1 :] if node in block else ():
        found = next((one for one in walk_here(following) if wanted(one)), None)
        if found is not None:
            return found
        if isinstance(following, ast.Return | ast.Raise):
            return None
        if isinstance(following, ast.Break | ast.Continue):
            return _after_jump(function, following, wanted)
        if _always_leaves(following):
            return None
    if isinstance(parent, _Loop) and node in parent.body:
        return _again(function, parent, wanted)
    return (
        first_after(function, parent, wanted)
        if isinstance(parent, ast.stmt) and parent is not function.node
        else (_after_handler(function, parent, wanted))
    )


def _after_handler(function: FunctionView, parent: ast.AST | None, wanted: Callable[[ast.AST], bool]) -> ast.AST | None:
    """What follows the end of an exception handler or a case is what follows the whole statement."""
    if not isinstance(parent, ast.ExceptHandler | ast.match_case):
        return None
    around = function.parent(parent)
    return first_after(function, around, wanted) if isinstance(around, ast.stmt) else None


def _after_jump(
    function: FunctionView, node: ast.Break | ast.Continue, wanted: Callable[[ast.AST], bool]
) -> ast.AST | None:
    loop = next((one for one in function.parents(node) if isinstance(one, _Loop)), None)
    if loop is None:
        return None
    return first_after(function, loop, wanted) if isinstance(node, ast.Break) else _again(function, loop, wanted)


def _again(function: FunctionView, loop: _Loop, wanted: Callable[[ast.AST], bool]) -> ast.AST | None:
    found = next((one for one in walk_here(loop) if wanted(one)), None)
    return found if found is not None else first_after(function, loop, wanted)


def _block_of(parent: ast.AST | None, node: ast.stmt) -> list[ast.stmt]:
    for name in ("body", "orelse", "finalbody"):
        block: list[ast.stmt] = getattr(parent, name, [])
        # The body of a lambda or a conditional expression is no list.
        if isinstance(parent, ast.stmt | ast.ExceptHandler | ast.match_case | ast.mod) and node in block:
            return block
    return []


def _always_leaves(node: ast.stmt) -> bool:
    """Whether a statement returns or raises on every way through it."""
    match node:
        case ast.Return() | ast.Raise():
            return True
        case ast.If():
            return bool(node.orelse) and _ends(node.body) and _ends(node.orelse)
        case ast.With() | ast.AsyncWith():
            return _ends(node.body)
        case ast.Try():
            return _ends(node.finalbody) or (
                (_ends(node.body) or _ends(node.orelse)) and all(_ends(one.body) for one in node.handlers)
            )
        case _:
            return False


def _ends(block: list[ast.stmt]) -> bool:
    return any(_always_leaves(one) for one in block)


def is_unreachable(function: FunctionView, node: ast.AST) -> bool:
    """Whether nothing comes to a node: it stands after a `return`, or under `if False`.

    A `yield` there makes a generator of the function, and is never run.
    """
    for around in (node, *function.parents(node)):
        if not isinstance(around, ast.stmt):
            continue
        parent = function.parent(around)
        if isinstance(parent, ast.If | ast.While) and around in parent.body and _is_never(parent.test):
            return True
        block = function.node.body if around in function.node.body else _block_of(parent, around)
        if around in block and any(_always_leaves(one) for one in block[: block.index(around)]):
            return True
    return False


def _is_never(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and not test.value


def is_unconditional(function: FunctionView, node: ast.AST) -> bool:
    """Whether every call of the function comes to a node: nothing before it branches away, and no block holds it."""
    statement = function.statement(node)
    body = function.node.body
    if statement is None or statement not in body:
        return False
    if any(isinstance(one, ast.IfExp | ast.BoolOp | ast.comprehension | ast.Lambda) for one in function.parents(node)):
        return False
    before = body[: body.index(statement)]
    return not any(isinstance(one, ast.Return | ast.Raise) for earlier in before for one in walk_here(earlier))
