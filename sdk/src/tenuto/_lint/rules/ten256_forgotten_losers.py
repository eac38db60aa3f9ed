"""TEN256: timers and event waits that lost against another task, and are not cancelled."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    tasks = {id(operation.call.node) for operation in function.operations if operation.method == "create_timer"}
    cancelled = {
        node.value.id
        for node in function.walk()
        if isinstance(node, ast.Attribute) and node.attr == "cancel" and isinstance(node.value, ast.Name)
    }
    for call in function.calls:
        if call.name.rpartition(".")[2] != "when_any" or not call.args:
            continue
        given = call.args[0]
        for one in given.elts if isinstance(given, ast.List | ast.Tuple) else ():
            values = function.values(one)
            if not any(id(value) in tasks for value in values):
                continue
            if not isinstance(one, ast.Name) or (
                one.id not in cancelled and not _is_handed_on(function, one.id, given)
            ):
                yield function.hit(one)


def _is_handed_on(function: FunctionView, name: str, given: ast.expr) -> bool:
    """Whether the task goes somewhere else too: into another wait, a call, a list."""
    inside = {id(node) for node in ast.walk(given)}
    uses = [node for node in function.walk() if isinstance(node, ast.Name) and node.id == name]
    loads = [node for node in uses if isinstance(node.ctx, ast.Load) and id(node) not in inside]
    return any(not isinstance(function.parent(node), ast.Compare | ast.Attribute) for node in loads)


RULE = Rule(
    id="TEN256",
    name="forgotten-losers",
    message="the timer is not cancelled where the other task wins",
    why="A task that lost stays open: a timer fires when its time comes, whatever the workflow does by then.",
    breaks="Nothing differs in a replay; but the timer wakes the instance for nothing, perhaps long afterwards.",
    instead="Keep the timer in a name, and call its cancel() where the other task has won.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    check=_check,
)
