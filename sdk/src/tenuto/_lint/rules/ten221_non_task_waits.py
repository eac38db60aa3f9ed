"""TEN221: waiting for what is no task."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from tenuto._lint.finding import Fix
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.scopes import Function
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked_at, is_task_holder, makes_task

_DISPLAYS = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_VALUES = (
    ast.Constant,
    ast.JoinedStr,
    ast.Compare,
    ast.Lambda,
    *_DISPLAYS,
)
_AT_ONCE = frozenset(
    {
        "@ctx.continue_as_new",
        "@ctx.current_utc_datetime",
        "@ctx.execution_id",
        "@ctx.instance_id",
        "@ctx.is_patched",
        "@ctx.is_replaying",
        "@ctx.new_uuid",
        "@ctx.raise_event",
        "@ctx.random",
        "@ctx.set_custom_status",
        "@ctx.workflow_name",
    }
)
_PLAIN = frozenset(
    {"builtins", "collections", "dataclasses", "datetime", "decimal", "functools", "json", "math", "uuid"}
)
# What may give a task all the same: an attribute, the next of an iterator, whatever a partial gives.
_UNKNOWN = frozenset(
    {"builtins.getattr", "builtins.max", "builtins.min", "builtins.next", "builtins.super", "builtins.object"}
    | {"builtins.vars", "functools.partial", "functools.reduce", "collections.deque", "builtins.eval"}
)
_LOOPS = frozenset({"asyncio.AbstractEventLoop.create_future"})


def _check(function: FunctionView) -> Iterator[Hit]:
    if not _is_stepped(function):
        return
    for node in function.nodes_of(ast.Await) if function.is_async else function.nodes_of(ast.Yield):
        yield from _judge(function, node, node.value)


def _is_stepped(function: FunctionView) -> bool:
    """Whether a function's waits are the workflow's: not those of a context manager, or of a generator of values."""
    node = function.node
    if function.is_async or function.is_workflow:
        return True
    if not isinstance(node, Function) or node.decorator_list:
        return False
    return any(one.value is not None and makes_task(function, one.value) for one in function.nodes_of(ast.Yield))


def _judge(function: FunctionView, wait: ast.Yield | ast.Await, value: ast.expr | None) -> Iterator[Hit]:
    if value is None:
        yield function.hit(wait, "a bare yield waits for None, which is no task")
        return
    what = _what(function, value)
    if what:
        yield function.hit(wait, f"{function.text_of(value)} is {what}, and no task", fix=_fix(function, wait, value))


def _what(function: FunctionView, node: ast.expr) -> str:
    """What a value certainly is, with its article; empty where it may be a task."""
    match node:
        case ast.Constant():
            return "a constant"
        case ast.ListComp() | ast.List() | ast.Tuple() | ast.Set() | ast.SetComp() | ast.GeneratorExp():
            return "a collection of tasks" if is_task_holder(function, node) else "a collection"
        case ast.Dict() | ast.DictComp():
            return "a dictionary"
        case ast.JoinedStr():
            return "a text"
        case ast.Compare() | ast.BinOp() | ast.UnaryOp():
            return "a value"
        case ast.Lambda():
            return "a function"
        case ast.Attribute():
            is_value = any(name in _AT_ONCE for name in function.names(node, function.scope_of(node)))
            return "a value that the context gives at once" if is_value else ""
        case ast.Call():
            return _what_is_called(function, node)
        case _:
            return ""


def _what_is_called(function: FunctionView, node: ast.Call) -> str:
    if asked_at(function, node) is not None and makes_task(function, node):
        return ""
    names = function.names(node.func, function.scope_of(node))
    if not names:
        return ""
    if all(name in _AT_ONCE for name in names):
        return "given by the context at once"
    if all(_is_plain(name) for name in names):
        return f"what {names[0].removeprefix('builtins.')} gives"
    return ""


def _is_plain(name: str) -> bool:
    head = name.partition(".")[0]
    if name in _LOOPS:
        return True
    return head in _PLAIN and head in {*sys.stdlib_module_names, "builtins"} and name not in _UNKNOWN


def _fix(function: FunctionView, wait: ast.Yield | ast.Await, value: ast.expr) -> Fix | None:
    if isinstance(value, ast.List | ast.Tuple | ast.ListComp | ast.GeneratorExp) and _all_tasks(function, value):
        name, imports = function.name_for("tenuto", "when_all")
        text = function.text_of(value)
        if isinstance(value, ast.Tuple):
            inner = text.removeprefix("(").removesuffix(")") if text.startswith("(") else text
            text = f"[{inner.rstrip().removesuffix(',')}]"
        return Fix(f"wait for {name}([...])", (function.replace(value, f"{name}({text})"),), imports)
    if _what(function, value).startswith(("given by the context", "a value that the context")):
        # `yield x` where a value is wanted is in parentheses already.
        return Fix("do not wait for it", (function.replace(wait, function.text_of(value)),))
    return None


def _all_tasks(function: FunctionView, node: ast.expr) -> bool:
    if isinstance(node, ast.List | ast.Tuple):
        return all(makes_task(function, one) for one in node.elts)
    return is_task_holder(function, node)


RULE = Rule(
    id="TEN221",
    name="non-task-waits",
    message="a workflow waits for something that is no task",
    why="A workflow waits only for tasks made by its context: activities, timers, events, children, wf.when_all and "
    "wf.when_any.",
    breaks="The wait raises TypeError, and the workflow fails with whatever it has asked for left open.",
    instead="Wait for a task; put several into wf.when_all([...]), use ctx.create_timer(...) for a pause, and take "
    "values without waiting.",
    check=_check,
)
