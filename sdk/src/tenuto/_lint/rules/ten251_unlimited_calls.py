"""TEN251: calls of activities that have neither a timeout nor a retry policy, at the call or where registered."""

from __future__ import annotations

from collections.abc import Iterator

from tenuto._lint.calls import LIMITS, registered_with
from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    for operation in function.operations:
        call = operation.call.node
        names = registered_with(function, operation.found)
        if operation.method != "call_activity" or names is None:
            continue
        hidden = any(one.arg is None for one in getattr(call, "keywords", ()))
        if not hidden and names.isdisjoint(LIMITS) and not any(operation.call.argument(-1, one) for one in LIMITS):
            yield function.hit(call)


RULE = Rule(
    id="TEN251",
    name="unlimited-calls",
    message="the activity is called with neither timeout nor retry policy, here or where it is registered",
    why="Without a policy there is a single attempt, and without a timeout that attempt may take for ever.",
    breaks="Nothing differs in a replay; but one lost connection fails the workflow, and one that hangs stops it.",
    instead="Give the activity a retry_policy and a start_to_close_timeout where it is registered, or at the call.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    check=_check,
)
