"""TEN255: timers that are refused, or that mean another moment than they say."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.extract import keyword
from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView


def _check(function: FunctionView) -> Iterator[Hit]:
    for operation in function.operations:
        if operation.method == "create_timer":
            when = operation.call.argument(0, "fire_at")
        elif operation.method == "wait_for_external_event":
            when = operation.call.argument(-1, "timeout")
        else:
            continue
        for value in function.values(when) if when is not None else ():
            problem, severity = _problem(function, value)
            if problem:
                yield function.hit(value if value is when else operation.call.node, problem, severity=severity)


def _problem(function: FunctionView, value: ast.expr) -> tuple[str, Severity]:
    if _number(value) is not None:
        return "the time is a number; a timer takes a timedelta or a datetime", Severity.ERROR
    if isinstance(value, ast.Call) and "datetime.timedelta" in function.names(value.func):
        parts = [*value.args, *(one.value for one in value.keywords)]
        numbers = [_number(part) for part in parts]
        if parts and all(number is not None and number <= 0 for number in numbers) and any(numbers):
            return "the duration of the timer is negative", Severity.ERROR
    if _is_naive(function, value):
        return "the moment of the timer has no time zone, and is taken as UTC", Severity.WARNING
    return "", Severity.ERROR


def _is_naive(function: FunctionView, value: ast.expr) -> bool:
    """Whether it is a call of datetime(...) without time zone."""
    if not isinstance(value, ast.Call) or "datetime.datetime" not in function.names(value.func):
        return False
    is_hidden = any(one.arg is None for one in value.keywords)
    return len(value.args) < 8 and not is_hidden and keyword(value, "tzinfo") is None


def _number(node: ast.expr) -> float | None:
    """The value of a literal number; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    return None


RULE = Rule(
    id="TEN255",
    name="impossible-timers",
    message="the timer is refused, or means another moment than it says",
    why="A timer takes a timedelta that is not negative, or a moment; one without time zone is taken as UTC.",
    breaks="The call raises TypeError or ValueError in every run, or the timer fires hours off.",
    instead="Pass timedelta(...), or a datetime with tzinfo=UTC.",
    profile=Profile.STRICT,
    check=_check,
)
