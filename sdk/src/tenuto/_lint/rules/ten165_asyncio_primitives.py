"""TEN165: asyncio's locks, events and queues."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.rule import Hit, Profile, Rule, Use
from tenuto._lint.shared import is_of_module
from tenuto._lint.view import FunctionView

_MADE = frozenset(
    f"asyncio.{name}"
    for name in (
        "Barrier",
        "BoundedSemaphore",
        "Condition",
        "Event",
        "LifoQueue",
        "Lock",
        "PriorityQueue",
        "Queue",
        "Semaphore",
    )
)


def _check(function: FunctionView) -> Iterator[Hit]:
    """Those that a module keeps; those that are made here are in the table."""
    for call in function.calls:
        holder = call.target.value if isinstance(call.target, ast.Attribute) else None
        if holder is not None and call.name.rpartition(".")[0] in _MADE and is_of_module(function, holder):
            yield function.hit(call.node, f"{call.text}() uses what all instances of the process share")
    for node in function.nodes_of(ast.withitem):
        entered = node.context_expr
        if is_of_module(function, entered) and not _MADE.isdisjoint(function.names(entered)):
            yield function.hit(entered, f"{function.text_of(entered)} is shared by all instances of the process")


RULE = Rule(
    id="TEN165",
    name="asyncio-primitives",
    message="{text}() makes something of asyncio that a workflow cannot wait for",
    why="It belongs to the process: whether it is free depends on which other instances this worker holds in memory.",
    breaks="After a restart it is free again, though history says that somebody holds it; waiting for it fails with "
    "TypeError.",
    instead="Within an instance nothing runs at the same time, so no lock is needed; wait with "
    "ctx.wait_for_external_event, and hand values on with ctx.raise_event.",
    profile=Profile.STRICT,
    calls={name: Use() for name in _MADE},
    check=_check,
)
