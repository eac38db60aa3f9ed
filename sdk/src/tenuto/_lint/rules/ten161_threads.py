"""TEN161: threads and their locks."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.rule import Hit, Rule, Use
from tenuto._lint.shared import is_of_module
from tenuto._lint.view import FunctionView

_MADE = frozenset(
    {
        "threading.Barrier",
        "threading.BoundedSemaphore",
        "threading.Condition",
        "threading.Event",
        "threading.Lock",
        "threading.RLock",
        "threading.Semaphore",
        "threading.Thread",
        "threading.Timer",
        "threading.local",
    }
)
# They wait for another thread; one that is made and filled here is but a list.
_QUEUES = frozenset({"queue.LifoQueue", "queue.PriorityQueue", "queue.Queue", "queue.SimpleQueue"})
_ASKED = (
    "threading.active_count",
    "threading.current_thread",
    "threading.enumerate",
    "threading.get_ident",
    "threading.get_native_id",
    "_thread.allocate_lock",
    "_thread.get_ident",
    "_thread.start_new",
    "_thread.start_new_thread",
)


def _check(function: FunctionView) -> Iterator[Hit]:
    """Locks and threads that a module keeps, and threads of the project's own classes; the table has the rest."""
    for call in function.calls:
        holder = call.target.value if isinstance(call.target, ast.Attribute) else None
        owner, _, method = call.name.rpartition(".")
        if holder is not None and owner in _MADE:
            is_own_class = owner == "threading.Thread" and method == "start" and owner not in function.names(holder)
            if is_own_class or is_of_module(function, holder):
                yield function.hit(call.node, f"{call.text}() uses a thread or lock in workflow code")
        if holder is not None and owner in _QUEUES and method in ("get", "join") and not _is_filled(function, holder):
            yield function.hit(call.node, f"{call.text}() waits for another thread")
    for node in function.nodes_of(ast.withitem):
        entered = node.context_expr
        if is_of_module(function, entered) and not _MADE.isdisjoint(function.names(entered)):
            yield function.hit(entered, f"{function.text_of(entered)} is a lock of the process")


def _is_filled(function: FunctionView, queue: ast.expr) -> bool:
    """Whether this function puts something into a queue of its own."""
    text = ast.dump(queue)
    return not is_of_module(function, queue) and any(
        isinstance(call.target, ast.Attribute)
        and call.target.attr in ("put", "put_nowait")
        and ast.dump(call.target.value) == text
        for call in function.calls
    )


RULE = Rule(
    id="TEN161",
    name="threads",
    message="{text}() uses threads in workflow code",
    why="A thread runs beside the turn, unknown to history, at moments that the operating system chooses.",
    breaks="Each replay starts it again, and what it asks its context for gets another number each time; a lock that "
    "is taken holds up every other instance of the worker.",
    instead="Do the work in an activity; several tasks run at once by themselves, wf.when_all waits for them, and "
    "ctx.create_timer for time.",
    calls={name: Use() for name in (*_MADE, *_ASKED)},
    check=_check,
    extensible=True,
)
