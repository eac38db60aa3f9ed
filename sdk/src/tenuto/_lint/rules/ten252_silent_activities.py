"""TEN252: activities that poll without a sign of life, or give one that nobody listens to."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.calls import decorated_with
from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule, Scope
from tenuto._lint.view import FunctionView

_PAUSES = frozenset({"time.sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep"})
_SIGNS = ("heartbeat", "is_cancelled", "raise_if_cancelled", "wait_for_cancellation")


def _check(function: FunctionView) -> Iterator[Hit]:
    attributes = [node for node in function.walk() if isinstance(node, ast.Attribute)]
    beats = [node for node in attributes if node.attr == "heartbeat"]
    names = decorated_with(function)
    if beats and names is not None and "heartbeat_timeout" not in names:
        yield function.hit(
            beats[0],
            "the activity gives signs of life, but its registration has no heartbeat_timeout: nobody misses them",
        )
    if any(node.attr in _SIGNS for node in attributes):
        return
    for call in function.calls:
        loops = [node for node in function.parents(call.node) if isinstance(node, ast.While)]
        if loops and _PAUSES.intersection(call.names):
            yield function.hit(call.node, "the activity polls without a sign of life")
            return


RULE = Rule(
    id="TEN252",
    name="silent-activities",
    message="the activity gives no sign of life",
    why="An activity that runs for long is not told from one that hangs, or whose pod died, unless it says so.",
    breaks="Nothing differs in a replay; but the call waits for its whole timeout before it is tried again.",
    instead="Call ctx.heartbeat() in the loop, and register the activity with a heartbeat_timeout.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    scope=Scope.ACTIVITY,
    check=_check,
)
