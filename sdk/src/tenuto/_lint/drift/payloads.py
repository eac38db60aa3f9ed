"""Where payloads are recorded: inputs and results of workflows and activities, with their types at both revisions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tenuto._lint.drift.models import Break, Models, Type
from tenuto._lint.drift.program import Program
from tenuto._lint.drift.reading import FunctionNode
from tenuto._lint.drift.view import BaseView
from tenuto._lint.parse import last_name
from tenuto._lint.project import Module

# What a generator or coroutine finally gives, among its type arguments.
_RESULT_POSITION = {"Generator": 2, "Coroutine": 2, "Awaitable": 0}


@dataclass(frozen=True)
class _Signature:
    """The types of a function's payloads; None where it does not say."""

    what: str
    input_type: Type | None
    result_type: Type | None


def payload_breaks(view: BaseView) -> Iterator[tuple[str, Break]]:
    """Yield what recorded payloads cannot be decoded any more, each with what it is the payload of."""
    models = Models(view.base.project, view.project.project)
    before = _signatures(view.base)
    for key, now in _signatures(view.current).items():
        old = before.get(key)
        if old is None:
            continue
        for name in ("input", "result"):
            one: Type | None = getattr(old, f"{name}_type")
            other: Type | None = getattr(now, f"{name}_type")
            if one is not None and other is not None:
                yield from ((f"{name} of {now.what}", found) for found in models.breaks(one, other))


def _signatures(program: Program) -> dict[tuple[str, str], _Signature]:
    found: dict[tuple[str, str], _Signature] = {}
    for workflow in program.workflows:
        what = f"workflow '{workflow.name}'"
        scope = workflow.scope
        found["workflow", workflow.name] = _signature(what, scope.module, scope.qualname, scope.node)
    for module, local in program.graph.activities:
        body = module.parsed.bodies[local]
        if not isinstance(body.node, ast.Module):
            name = program.name_of(module, local)
            found["activity", name] = _signature(f"activity '{name}'", module, local, body.node)
    return found


def _signature(what: str, module: Module, local: str, node: FunctionNode) -> _Signature:
    body = module.parsed.bodies[local]
    scope = body.scope.parent or body.scope
    names = body.parameters
    given = names[1].annotation if len(names) > 1 else None
    result = node.returns
    if isinstance(result, ast.Subscript) and last_name(result.value) in _RESULT_POSITION:
        inside = result.slice.elts if isinstance(result.slice, ast.Tuple) else [result.slice]
        position = _RESULT_POSITION[last_name(result.value)]
        result = inside[position] if len(inside) > position else None
    return _Signature(
        what,
        None if given is None else Type(given, module, scope),
        None if result is None else Type(result, module, scope),
    )
