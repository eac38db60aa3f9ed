"""TEN228: handlers that catch what closes the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Edit, Fix
from tenuto._lint.handlers import catches, guarded_tries, suppressions
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.view import FunctionView

_EXITS = frozenset({"builtins.BaseException", "builtins.GeneratorExit"})


def _check(function: FunctionView) -> Iterator[Hit]:
    for node in guarded_tries(function):
        for handler in node.handlers:
            if any(isinstance(one, ast.Raise) for one in ast.walk(handler)):
                continue
            if handler.type is None:
                yield _bare(function, handler)
            elif catches(function, handler.type) & _EXITS:
                text = function.text_of(handler.type)
                yield function.hit(
                    handler.type,
                    f"except {text} around a wait catches what closes the code",
                    fix=_fix(function, handler),
                )
    for call, caught in suppressions(function):
        if caught & _EXITS:
            yield function.hit(call, f"{function.text_of(call)} around a wait catches what closes the code")


def _bare(function: FunctionView, handler: ast.ExceptHandler) -> Hit:
    line, column, _, _ = function.module.span(handler)
    edit = Edit(line, column + len("except"), line, column + len("except"), " Exception")
    return Hit(
        line=line,
        column=column,
        message="a bare except around a wait catches what closes the code",
        fix=Fix("catch Exception", (edit,)),
    )


def _fix(function: FunctionView, handler: ast.ExceptHandler) -> Fix | None:
    if isinstance(handler.type, ast.Name) and handler.type.id == "BaseException":
        return Fix("catch Exception", (function.replace(handler.type, "Exception"),))
    return None


RULE = Rule(
    id="TEN228",
    name="caught-exits",
    message="a handler around a wait catches what closes the code",
    why="A live instance is dropped from memory by closing its code: GeneratorExit is raised at the wait, and a signal "
    "at each operation after that. Both are no Exception, so that ordinary handlers let them through.",
    breaks="The drop looks like a failure: clean-up runs though nothing failed, its operations are recorded nowhere, "
    "and a loop that tries again never ends and hangs the worker.",
    instead="Catch Exception, or better wf.TaskFailedError or TimeoutError; end a handler that must see "
    "everything with raise.",
    check=_check,
)
