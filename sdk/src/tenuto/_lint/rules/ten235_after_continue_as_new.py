"""TEN235: code that goes on after `continue_as_new`, or drops events by it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Fix
from tenuto._lint.flow import first_after
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked, asked_at, is_wait


def _check(function: FunctionView) -> Iterator[Hit]:
    operations = asked(function)
    listens = any(one.method == "wait_for_external_event" for one in operations)
    for one in operations:
        statement = function.statement(one.node)
        if one.method != "continue_as_new" or statement is None:
            continue
        later = (
            None
            if isinstance(statement, ast.Return)
            else first_after(function, statement, lambda node: _goes_on(function, node))
        )
        if later is not None:
            line = getattr(later, "lineno", 0)
            message = f"the code goes on after continue_as_new: line {line} still waits or asks for an operation"
            yield function.hit(one.node, message, fix=_fix(function, statement))
        elif listens and not any(part.arg in ("save_events", None) for part in one.node.keywords):
            yield function.hit(
                one.node,
                "continue_as_new without save_events drops the events that were not read",
                instead="Say save_events=True to pass them on, or save_events=False to drop them on purpose.",
            )


def _goes_on(function: FunctionView, node: ast.AST) -> bool:
    found = asked_at(function, node)
    return is_wait(function, node) or (found is not None and found.makes_task)


def _fix(function: FunctionView, statement: ast.stmt) -> Fix | None:
    if not function.is_workflow:
        return None  # Its caller would go on all the same.
    line, column, _, _ = function.module.span(statement)
    indent = function.module.lines[line - 1][:column]
    if not isinstance(statement, ast.Expr) or indent.strip():
        return None
    return Fix("return after it", (function.insert_after(statement, f"\n{indent}return"),))


RULE = Rule(
    id="TEN235",
    name="after-continue-as-new",
    message="the code goes on after continue_as_new",
    why="continue_as_new notes the next input; the execution ends only when the function returns. By default it drops "
    "events that have arrived and were not read.",
    breaks="What is asked for after it belongs to the old execution and is given up with it; an event that came a "
    "moment too early is lost.",
    instead="Return right after it, and say save_events=True where the workflow listens.",
    profile=Profile.STRICT,
    check=_check,
)
