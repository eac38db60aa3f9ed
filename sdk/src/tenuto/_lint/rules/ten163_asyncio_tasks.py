"""TEN163: asyncio's own tasks, time limits and loops."""

from __future__ import annotations

import ast

from tenuto._lint.finding import Fix
from tenuto._lint.rule import Rule, Use
from tenuto._lint.view import Call
from tenuto._lint.waits import makes_task

_LOOP = "asyncio.AbstractEventLoop"
_TASKS = (
    "asyncio.Runner",
    "asyncio.Runner.run",
    "asyncio.TaskGroup",
    "asyncio.create_task",
    "asyncio.ensure_future",
    "asyncio.run",
    "asyncio.run_coroutine_threadsafe",
    "asyncio.shield",
    "asyncio.timeout",
    "asyncio.timeout_at",
    "asyncio.wait_for",
    "async_timeout.timeout",
    *(
        f"{_LOOP}.{method}"
        for method in (
            "call_soon",
            "call_soon_threadsafe",
            "create_task",
            "run_forever",
            "run_until_complete",
        )
    ),
)
_TIME = "Use wf.when_any of the task and ctx.create_timer(...); a wait for an event has timeout=."


def _when_all(call: Call) -> Fix | None:
    """Where everything gathered certainly is a task of the context, and waited for at once."""
    function, node = call.function, call.node
    if not isinstance(node, ast.Call) or node.keywords or not isinstance(function.parent(node), ast.Await):
        return None
    if len(node.args) == 1 and isinstance(node.args[0], ast.Starred):
        values = function.values(node.args[0].value)
        if not values or not all(isinstance(one, ast.ListComp) and makes_task(function, one.elt) for one in values):
            return None
        tasks = function.text_of(node.args[0].value)
    elif node.args and all(makes_task(function, one) for one in node.args):
        tasks = f"[{', '.join(function.text_of(one) for one in node.args)}]"
    else:
        return None
    name, imports = function.name_for("tenuto", "when_all")
    return Fix(f"replace by {name}([...])", (function.replace(node, f"{name}({tasks})"),), imports)


RULE = Rule(
    id="TEN163",
    name="asyncio-tasks",
    message="{text}() uses asyncio's own scheduling in workflow code",
    why="A workflow is no asyncio task: the worker steps it by hand, and it waits only for tasks of its context.",
    breaks="Waiting for a future of asyncio fails with TypeError; a task of asyncio asks for its operations whenever "
    "the worker's loop comes to it, in another order in each replay; asyncio.timeout cancels the worker's own task.",
    instead="Use wf.when_all and wf.when_any; a task begins when it is made, and nothing has to start it.",
    calls={
        **{name: Use(instead=_TIME if "timeout" in name or "wait_for" in name else None) for name in _TASKS},
        "asyncio.gather": Use(fix=_when_all),
    },
)
