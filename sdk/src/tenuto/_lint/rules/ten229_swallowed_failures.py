"""TEN229: handlers that drop every error of a wait."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.handlers import catches, guarded_tries, suppressions
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.view import FunctionView

_ALL = frozenset({"builtins.Exception"})


def _check(function: FunctionView) -> Iterator[Hit]:
    for node in guarded_tries(function, waits_only=True):
        for handler in node.handlers:
            if handler.type is not None and catches(function, handler.type) & _ALL and _does_nothing(handler):
                yield function.hit(handler.type, f"except {function.text_of(handler.type)} drops every error of a wait")
    for call, caught in suppressions(function, waits_only=True):
        if caught & _ALL:
            yield function.hit(call, f"{function.text_of(call)} drops every error of a wait")


def _does_nothing(handler: ast.ExceptHandler) -> bool:
    return all(
        isinstance(one, ast.Pass | ast.Continue) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        for one in handler.body
    )


RULE = Rule(
    id="TEN229",
    name="swallowed-failures",
    message="a handler drops every error of a wait",
    why="It takes a mistake in the code, a payload that does not fit and a failed activity for the same thing: "
    "nothing.",
    breaks="The workflow goes on and completes as if the step had been done. Differences from history are never raised "
    "into workflow code, and stall the instance whatever it catches.",
    instead="Catch wf.TaskFailedError, or what else is meant, and leave a trace: ctx.logger.warning(...).",
    severity=Severity.WARNING,
    check=_check,
)
