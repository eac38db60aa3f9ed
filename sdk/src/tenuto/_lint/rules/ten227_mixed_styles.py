"""TEN227: generators and coroutines used as the other, or never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Fix
from tenuto._lint.project import Found
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.scopes import Function
from tenuto._lint.view import Call, FunctionView
from tenuto._lint.waits import holds_operations, is_registered, parts_of


def _check(function: FunctionView) -> Iterator[Hit]:
    node = function.node
    if function.is_async and function.body.is_generator and isinstance(node, Function) and is_registered(function):
        yield Hit(
            line=node.lineno,
            column=node.col_offset,
            message=f"{node.name} is an async generator: it holds both await and yield",
            instead="Write await for every task in an async def, or make it a def and yield them.",
        )
        return
    for call in function.calls:
        if isinstance(call.node, ast.Call):
            yield from _judge(call, parts_of(function, call.node))


def _judge(call: Call, parts: tuple[Found, ...]) -> Iterator[Hit]:
    function, parent = call.function, call.function.parent(call.node)
    kinds = {_kind(one) for one in parts}
    if len(kinds) != 1:
        return
    kind = kinds.pop()
    text = f"{call.text}(...)"
    if kind == "coroutine" and isinstance(parent, ast.Yield | ast.YieldFrom):
        yield function.hit(parent, f"{text} is a coroutine, which a generator cannot wait for")
    elif kind == "coroutine" and (isinstance(parent, ast.Expr) or _is_result(function, parent)):
        yield function.hit(call.node, f"{text} makes a coroutine that never runs", fix=_fix(call, parent, "await"))
    elif kind == "generator" and all(holds_operations(function, one) for one in parts):
        if isinstance(parent, ast.Await):
            yield function.hit(parent, f"{text} is a generator, which await cannot wait for")
        elif isinstance(parent, ast.Yield):
            message = f"{text} is a generator, which yield hands on without running it"
            yield function.hit(parent, message, fix=_fix(call, parent, "yield"))
        elif isinstance(parent, ast.Expr) or _is_result(function, parent):
            yield function.hit(call.node, f"{text} makes a generator that never runs", fix=_fix(call, parent, "yield"))


def _kind(found: Found) -> str:
    facts = found.function
    if facts is None or (facts.is_async and facts.is_generator):
        return ""
    return "coroutine" if facts.is_async else "generator"


def _is_result(function: FunctionView, parent: ast.AST | None) -> bool:
    """Whether a generator or coroutine is returned by a workflow that waits itself, and so would be its result."""
    return isinstance(parent, ast.Return) and function.is_workflow and bool(function.wait)


def _fix(call: Call, parent: ast.AST | None, word: str) -> Fix | None:
    function = call.function
    if function.wait != word or call.scope.kind == "inner":
        return None
    source = function.text_of(call.node)
    wait = "yield from" if word == "yield" else "await"
    if isinstance(parent, ast.Yield):
        edit = function.replace(parent, f"{wait} {source}")
    elif isinstance(parent, ast.Return) and word == "yield":
        edit = function.replace(call.node, f"({wait} {source})")
    else:
        edit = function.replace(call.node, f"{wait} {source}")
    return Fix(f"add {wait}", (edit,))


RULE = Rule(
    id="TEN227",
    name="mixed-styles",
    message="a generator or coroutine is used as the other, or never run",
    why="Calling a generator or coroutine function runs nothing of it; only yield from, or await, does.",
    breaks="Its operations are never asked for and the workflow goes on as if they had been, or it fails with "
    "TypeError at the wait; an async generator is refused when it is registered.",
    instead="Keep to one style in a workflow and its helpers: yield from in generators, await in async def.",
    check=_check,
)
