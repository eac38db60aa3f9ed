"""TEN109: defaults of parameters, and constants, that are a clock's, a random value or an id."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.imported_values import source_of
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.scopes import Function
from tenuto._lint.sources import CHANGING
from tenuto._lint.view import FunctionView


def check(function: FunctionView) -> Iterator[Hit]:
    """Look at constants of modules, and at the defaults: those of a nested function are other rules'."""
    for read in function.reads:
        if source_of(function, read, CHANGING):
            yield function.hit(read.node, f"{read.text} was made when its module was imported")
    outside = function.body.scope.parent
    if not isinstance(function.node, Function) or outside is None or outside.kind not in ("module", "class"):
        return
    arguments = function.node.args
    for default in (*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)):
        for part in ast.walk(default):
            if not isinstance(part, ast.Call):
                continue
            name = next((name for name in function.names(part.func, outside) if name in CHANGING), "")
            if name:
                text = function.text_of(part.func)
                yield function.hit(part, f"the default {text}() was made when the module was imported")


RULE = Rule(
    id="TEN109",
    name="import-time-default",
    message="a default was made by a clock, a random function or an id when the module was imported",
    why="A default is evaluated once per process, at the import: each process has another one.",
    breaks="A replay in another process, or after a restart, runs with another value than the first run did.",
    instead="Take None as default, and ask the context inside: ctx.current_utc_datetime, ctx.random(), ctx.new_uuid().",
    check=check,
)
