"""TEN127: `id()`, and texts of objects that say their address."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.project import Found
from tenuto._lint.rule import Hit, Rule, Use
from tenuto._lint.view import FunctionView

_TEXTS = frozenset({"builtins.str", "builtins.repr", "builtins.format", "builtins.ascii"})
_METHODS = ("__repr__", "__str__", "__format__")


def check(function: FunctionView) -> Iterator[Hit]:
    """Find objects of classes without a text of their own where they are made text."""
    for call in function.calls:
        value = call.argument(0)
        if call.name in _TEXTS and value is not None and (name := _addressed(function, value)):
            yield function.hit(call.node, f"the text of a {name} says its address in memory")
    for node in function.walk():
        if isinstance(node, ast.FormattedValue) and (name := _addressed(function, node.value)):
            yield function.hit(node.value, f"the text of a {name} says its address in memory")


def _addressed(function: FunctionView, value: ast.expr) -> str:
    """The class that an expression is an instance of, if its text says the address; else empty."""
    for found in function.found(value):
        if found.kind == "instance" and _is_plain(function, found):
            return found.local
    return ""


def _is_plain(function: FunctionView, found: Found) -> bool:
    """Whether a class of the project has no text of its own, and nobody else gives it one."""
    facts, module = found.class_facts, found.module
    if facts is None or module is None or facts.bases:
        return False
    node = module.parsed.classes[found.local].node
    if node.decorator_list or node.keywords:
        return False
    methods = [f"{found.local}.{name}" for name in _METHODS]
    return not any(one in module.facts.functions for one in methods) and not set(_METHODS) & set(facts.attributes)


RULE = Rule(
    id="TEN127",
    name="object-address",
    message="{text}() gives the address of an object",
    why="It says where the object lies in the memory of this process.",
    breaks="A replay builds the object anew at another address: keys, names and orders made of it differ.",
    instead="Use a key that the object carries: a name, a number, its place in a list; give the class a __repr__.",
    calls={"builtins.id": Use()},
    check=check,
)
