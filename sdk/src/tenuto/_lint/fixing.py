"""Fixes that several rules make."""

from __future__ import annotations

import ast

from tenuto._lint.finding import Fix
from tenuto._lint.view import Call


def on_context(call: Call, attribute: str, *, is_safe: bool = True) -> Fix | None:
    """Return the fix that puts an expression on the context in the place of a whole call: `ctx.new_uuid()`."""
    context = call.function.ctx
    if context is None or call.is_handed_on:
        return None
    text = f"{context}.{attribute}"
    return Fix(f"replace by {text}", (call.function.replace(call.node, text),), is_safe=is_safe)


def target_on_context(call: Call, attribute: str, *, is_safe: bool = True) -> Fix | None:
    """Return the fix that calls something on the context instead, with the same arguments: `ctx.random().choice`."""
    context = call.function.ctx
    if context is None:
        return None
    text = f"{context}.{attribute}"
    return Fix(f"replace by {text}", (call.function.replace(call.target, text),), is_safe=is_safe)


def timer(call: Call) -> Fix | None:
    """Return the fix that waits by a durable timer where the code sleeps for a number of seconds.

    A call that is a statement, or is itself waited for (`await asyncio.sleep(1)`), is replaced; in a function that can
    wait, and has a context.
    """
    function, node = call.function, call.node
    seconds = call.argument(0, "seconds") or call.argument(0, "delay")
    if function.ctx is None or not function.wait or seconds is None or call.scope.kind == "inner":
        return None
    if not isinstance(node, ast.Call) or len(node.args) + len(node.keywords) != 1:
        return None
    name, imports = function.name_for("datetime", "timedelta")
    task = f"{function.ctx}.create_timer({name}(seconds={function.text_of(seconds)}))"
    parent = function.parent(node)
    if isinstance(parent, ast.Await | ast.Yield):
        return Fix(f"wait by {function.ctx}.create_timer", (function.replace(node, task),), imports)
    if isinstance(parent, ast.Expr):
        text = f"{function.wait} {task}"
        return Fix(f"wait by {function.ctx}.create_timer", (function.replace(node, text),), imports)
    return None
