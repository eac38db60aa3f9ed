"""TEN123: generators made at module or class level, used in a workflow."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.fixing import target_on_context
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.scopes import Scope
from tenuto._lint.view import Call, FunctionView

_GENERATORS = ("random.Random.", "numpy.random.default_rng.", "numpy.random.RandomState.", "numpy.random.Generator.")


def check(function: FunctionView) -> Iterator[Hit]:
    """Find methods of generators that are reached by a name from outside the function."""
    for call in function.calls:
        name = next((one for one in call.names if one.startswith(_GENERATORS)), "")
        if name and (_is_shared(function, call) or _is_of_class(function, call)):
            is_standard = name.startswith("random.Random.")
            fix = target_on_context(call, f"random().{name.rpartition('.')[2]}", is_safe=False) if is_standard else None
            yield function.hit(call.node, f"{call.text}() draws from a generator that all instances share", fix=fix)


def _is_shared(function: FunctionView, call: Call) -> bool:
    """Whether the generator is reached by a name of the module, or by a class's."""
    root: ast.expr = call.target
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name):
        return False
    scope: Scope | None = call.scope
    while scope is not None and scope.kind != "module":
        if root.id in scope.bindings:
            return False
        scope = scope.parent
    return True


def _is_of_class(function: FunctionView, call: Call) -> bool:
    """Whether the generator is an attribute that the class of the method made, for all its objects."""
    match call.target:
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr=attribute)) if function.body.owner:
            body = function.module.parsed.classes.get(function.body.owner)
            entries = [] if body is None else body.attributes.get(attribute, [])
            return bool(entries) and all(scope.kind == "class" for _, _, scope in entries)
        case _:
            return False


RULE = Rule(
    id="TEN123",
    name="shared-random",
    message="a generator that all instances share is drawn from",
    why="Every instance in the process draws from it: what one gets depends on how many others drew before.",
    breaks="A replay runs beside other instances, or alone, so it gets other numbers of the same sequence, "
    "seeded or not.",
    instead="Use ctx.random(): each execution has its own, which begins anew in each replay.",
    check=check,
)
