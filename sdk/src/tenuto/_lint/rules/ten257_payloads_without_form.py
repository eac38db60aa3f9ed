"""TEN257: payloads that have no JSON form."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.calls import payloads
from tenuto._lint.names import TASKS
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView

_HANDLES = frozenset(
    {"builtins.open", "io.open", "sqlite3.connect", "socket.socket", "threading.Lock", "builtins.iter"}
)


def _check(function: FunctionView) -> Iterator[Hit]:
    tasks = {id(operation.call.node) for operation in function.operations if operation.method in TASKS}
    for what, payload in payloads(function):
        for value in _parts(payload):
            problem = _problem(function, value, tasks)
            if problem:
                yield function.hit(value, f"the {what} holds {problem}")


def _problem(function: FunctionView, value: ast.expr, tasks: set[int]) -> str:
    match value:
        case ast.Lambda():
            return "a lambda, which has no JSON form"
        case ast.GeneratorExp():
            return "a generator, which has no JSON form; make a list of it"
        case ast.Call() if id(value) in tasks:
            return "a task; wait for it, and pass what it results in"
        case ast.Call() if _HANDLES.intersection(function.names(value.func)):
            return f"what {function.text_of(value.func)}() gives, which has no JSON form"
        case _:
            return ""


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    """A value, and the values of a literal list, tuple, set or dictionary."""
    match node:
        case ast.List() | ast.Tuple() | ast.Set():
            for one in node.elts:
                yield from _parts(one)
        case ast.Dict():
            for one in node.values:
                yield from _parts(one)
        case _:
            yield node


RULE = Rule(
    id="TEN257",
    name="payloads-without-form",
    message="the payload has no JSON form",
    why="Inputs, results and data are recorded as JSON, and come back in another process, perhaps years later.",
    breaks="The call raises PayloadError in every run.",
    instead="Pass a dataclass, a pydantic model, or plain values.",
    profile=Profile.STRICT,
    check=_check,
)
