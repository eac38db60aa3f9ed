"""TEN221: waiting for what is no task."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Fix
from tenuto._lint.flow import is_unreachable
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.scopes import Function
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked_at, is_stepped, is_task_holder, makes_task

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
# What gives no task, whatever it is given; methods of containers are not among them, which may hold tasks.
_PLAIN = frozenset(
    {
        "asyncio.AbstractEventLoop.create_future",
        "asyncio.Event.wait",
        "asyncio.LifoQueue.get",
        "asyncio.PriorityQueue.get",
        "asyncio.Queue.get",
        "asyncio.Queue.join",
        "builtins.abs",
        "builtins.all",
        "builtins.any",
        "builtins.bool",
        "builtins.bytes",
        "builtins.chr",
        "builtins.dict",
        "builtins.divmod",
        "builtins.enumerate",
        "builtins.filter",
        "builtins.float",
        "builtins.format",
        "builtins.frozenset",
        "builtins.hash",
        "builtins.id",
        "builtins.int",
        "builtins.isinstance",
        "builtins.len",
        "builtins.list",
        "builtins.map",
        "builtins.ord",
        "builtins.pow",
        "builtins.print",
        "builtins.range",
        "builtins.repr",
        "builtins.round",
        "builtins.set",
        "builtins.sorted",
        "builtins.str",
        "builtins.sum",
        "builtins.tuple",
        "builtins.type",
        "builtins.zip",
        "decimal.Decimal",
        "json.dumps",
        "json.loads",
    }
)
_PLAIN_MODULES = ("datetime.", "math.", "uuid.")


def _check(function: FunctionView) -> Iterator[Hit]:
    node = function.node
    is_decorated = isinstance(node, Function) and bool(node.decorator_list) and not function.is_workflow
    if not is_stepped(function) or (is_decorated and not function.is_async):
        return
    for wait in function.nodes_of(ast.Await) if function.is_async else function.nodes_of(ast.Yield):
        if not is_unreachable(function, wait):
            yield from _judge(function, wait, wait.value)


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
        case ast.Name():
            return _what_is_held(function, node)
        case ast.Attribute():
            is_value = any(name in _AT_ONCE for name in function.names(node, function.scope_of(node)))
            return "a value that the context gives at once" if is_value else ""
        case ast.Call():
            return _what_is_called(function, node)
        case _:
            return ""


def _what_is_held(function: FunctionView, node: ast.Name) -> str:
    """What a variable certainly holds: a number of a `range`, or a value like the above."""
    bindings = function.bindings(node, function.scope_of(node))
    found: set[str] = set()
    for one in bindings:
        if one.node is None or one.kind not in ("value", "element"):
            return ""
        if one.kind == "element":
            is_range = isinstance(one.node, ast.Call) and "builtins.range" in function.names(one.node.func)
            found.add("a number" if is_range else "")
        else:
            found.add("" if isinstance(one.node, ast.Name) else _what(function, one.node))
    return found.pop() if len(found) == 1 else ""


def _what_is_called(function: FunctionView, node: ast.Call) -> str:
    if asked_at(function, node) is not None and makes_task(function, node):
        return ""
    names = function.names(node.func, function.scope_of(node))
    if not names:
        return ""
    if all(name in _AT_ONCE for name in names):
        return "given by the context at once"
    views = [function.view_of(one) for one in function.found(node.func, function.scope_of(node))]
    if views and all(_gives_value(one) for one in views):
        return f"what {function.text_of(node.func)} gives"
    if all(_is_plain(name) for name in names):
        return f"what {names[0].removeprefix('builtins.')} gives"
    return ""


def _gives_value(view: FunctionView | None) -> bool:
    """Whether a helper of the project gives a plain value, by its annotation."""
    if (
        view is None
        or view.is_async
        or view.body.is_generator
        or view.is_activity
        or not isinstance(view.node, Function)
    ):
        return False
    returns = view.node.returns
    return isinstance(returns, ast.Name) and f"builtins.{returns.id}" in _PLAIN and not view.node.decorator_list


def _is_plain(name: str) -> bool:
    return name in _PLAIN or name.startswith(_PLAIN_MODULES)


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
