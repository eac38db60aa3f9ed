"""TEN253: retries without end of an activity that does not use its idempotency key."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.calls import options_of
from tenuto._lint.extract import keyword
from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule, Scope
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    options = options_of(function)
    policy = None if options is None else options.get("retry_policy")
    if options is None or not isinstance(policy, ast.Call) or "schedule_to_close_timeout" in options:
        return
    attempts = keyword(policy, "max_number_of_attempts")
    is_endless = isinstance(attempts, ast.Constant) and attempts.value is None
    uses_key = any(isinstance(node, ast.Attribute) and node.attr == "idempotency_key" for node in function.walk())
    if is_endless and keyword(policy, "retry_timeout") is None and not uses_key:
        yield function.hit(policy)


RULE = Rule(
    id="TEN253",
    name="endless-retries",
    message="the activity is tried again without end, and does not use ctx.idempotency_key",
    why="A failed attempt may have done its work before it failed; each further one may do it again.",
    breaks="Nothing differs in a replay; but what is not idempotent, such as a payment, happens once per attempt.",
    instead="Set max_number_of_attempts or retry_timeout, and give ctx.idempotency_key to the system that is called.",
    severity=Severity.WARNING,
    profile=Profile.PEDANTIC,
    scope=Scope.ACTIVITY,
    check=_check,
)
