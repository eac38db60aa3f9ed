"""TEN223: activities that a workflow runs itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Fix
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.view import Call, FunctionView
from tenuto._lint.waits import with_wait


def _check(function: FunctionView) -> Iterator[Hit]:
    for call in function.calls:
        if call.found and all(function.role(one) == "activity" for one in call.found):
            yield function.hit(call.node, f"{call.text}() is an activity, run here as ordinary code", fix=_fix(call))


def _fix(call: Call) -> Fix | None:
    """Where the call has one input at most, be it `charge(ctx, order)` or `charge(order)`."""
    function, node = call.function, call.node
    if not isinstance(node, ast.Call) or node.keywords or function.ctx is None or len(node.args) > 2:
        return None
    if not isinstance(node.func, ast.Name | ast.Attribute) or any(isinstance(one, ast.Starred) for one in node.args):
        return None
    given = node.args[1:] if len(node.args) == 2 or (node.args and _is_context(function, node.args[0])) else node.args
    value = f", input={function.text_of(given[0])}" if given else ""
    text = with_wait(function, node, f"{function.ctx}.call_activity({call.text}{value})")
    return None if text is None else Fix("call it by the context", (function.replace(node, text),))


def _is_context(function: FunctionView, node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is None
    return "@ctx" in function.names(node, function.scope_of(node))


RULE = Rule(
    id="TEN223",
    name="direct-activity-calls",
    message="an activity is run as ordinary code",
    why="Only what is asked for by the context is recorded; called directly, an activity is a part of the workflow's "
    "code.",
    breaks="Each replay runs it again with all its effects, and what it gives may differ from what history is based "
    "on; retries and timeouts do not apply, and it holds up every other instance of the worker.",
    instead="Ask for it: yield or await ctx.call_activity(function, input=...). What is pure can stand in a function "
    "that is no activity, which both sides call.",
    check=_check,
)
