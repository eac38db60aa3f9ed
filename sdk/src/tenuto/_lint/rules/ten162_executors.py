"""TEN162: pools, executors and processes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.rule import Hit, Rule, Use
from tenuto._lint.shared import is_of_module
from tenuto._lint.view import FunctionView

_POOLS = frozenset(
    {
        "concurrent.futures.ProcessPoolExecutor",
        "concurrent.futures.ThreadPoolExecutor",
        "multiprocessing.Pool",
        "multiprocessing.dummy.Pool",
        "multiprocessing.pool.Pool",
        "multiprocessing.pool.ThreadPool",
    }
)
_MADE = (
    "asgiref.sync.async_to_sync",
    "asgiref.sync.sync_to_async",
    "asyncio.AbstractEventLoop.run_in_executor",
    "asyncio.to_thread",
    "anyio.to_process.run_sync",
    "anyio.to_thread.run_sync",
    "concurrent.futures.as_completed",
    "concurrent.futures.wait",
    "joblib.Parallel",
    "multiprocessing.Manager",
    "multiprocessing.Process",
    "multiprocessing.Queue",
    "multiprocessing.get_context",
)


def _check(function: FunctionView) -> Iterator[Hit]:
    """Pools that a module keeps; those that are made here are in the table."""
    for call in function.calls:
        holder = call.target.value if isinstance(call.target, ast.Attribute) else None
        if holder is not None and call.name.rpartition(".")[0] in _POOLS and is_of_module(function, holder):
            yield function.hit(call.node, f"{call.text}() hands work to a pool of the process")


RULE = Rule(
    id="TEN162",
    name="executors",
    message="{text}() hands work to another thread or process",
    why="What a pool does is not recorded, and each replay of the workflow submits it again.",
    breaks="Its effects happen twice and its result may differ from the one that history is based on; while the "
    "workflow waits for it, no other instance of the worker goes on.",
    instead="Make each piece of work an activity, and wait for several with wf.when_all.",
    calls={name: Use() for name in (*_POOLS, *_MADE)},
    check=_check,
    extensible=True,
)
