"""TEN254: waits for an event that may never come."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    for operation in function.operations:
        call = operation.call.node
        if operation.method == "wait_for_external_event" and operation.call.argument(-1, "timeout") is None:
            parent = function.parent(call)
            # A task with a name is waited for elsewhere, perhaps beside a timer.
            if isinstance(parent, ast.Yield | ast.Await):
                yield function.hit(call)


RULE = Rule(
    id="TEN254",
    name="endless-event-waits",
    message="the wait for the event has no end",
    why="An event may never be raised: its sender failed, or used another name.",
    breaks="Nothing differs in a replay; but the instance stays open for ever.",
    instead="Give the wait a timeout=, and catch TimeoutError; or wait beside a timer with when_any.",
    severity=Severity.INFO,
    profile=Profile.PEDANTIC,
    check=_check,
)
