"""TEN186: sums whose last digits depend on an order that is not fixed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.kinds import order_of
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import Call, FunctionView

# math.fsum and the functions of statistics are exact, whatever the order.
_SUMS = {"builtins.sum": 0, "functools.reduce": 1}
_DEEPEST = 4


def _check(function: FunctionView) -> Iterator[Hit]:
    for call in function.calls:
        if call.name in _SUMS and isinstance(call.node, ast.Call):
            terms = call.argument(_SUMS[call.name])
            if terms is not None and _is_unordered(call, terms):
                text = function.text_of(terms)
                yield function.hit(call.node, f"{call.text}() adds up {text} in the order of a set")
    for target in function.nodes_of(ast.Attribute):
        if isinstance(target.ctx, ast.Store) and "decimal.getcontext" in function.names(target.value):
            yield function.hit(
                target,
                f"{function.text_of(target)} is set for all workflows of the worker",
                instead="Use decimal.localcontext() around the arithmetic that needs it.",
            )


def _is_unordered(call: Call, terms: ast.expr) -> bool:
    function = call.function
    if isinstance(terms, ast.GeneratorExp | ast.ListComp):
        is_set = any(order_of(function, one.iter) is not None for one in terms.generators)
        return is_set and _has_fractions(function, terms)
    return order_of(function, terms, call.scope) is not None and _has_fractions(function, terms)


def _has_fractions(function: FunctionView, node: ast.expr, depth: int = 0) -> bool:
    """Whether the code says that terms are fractions: by a literal, a division, `float(...)` or an annotation."""
    for one in ast.walk(node):
        match one:
            case ast.Constant(value=float()) | ast.BinOp(op=ast.Div()):
                return True
            case ast.Call(func=ast.Name(id="float")):
                return True
            case ast.Name() if depth < _DEEPEST:
                for binding in function.bindings(one, function.scope_of(one)):
                    if (
                        binding.kind == "annotation"
                        and binding.node is not None
                        and "float" in ast.unparse(binding.node)
                    ):
                        return True
                    value = binding.node if binding.kind in ("value", "element") else None
                    if value is not None and _has_fractions(function, value, depth + 1):
                        return True
            case _:
                pass
    return False


RULE = Rule(
    id="TEN186",
    name="unordered-sums",
    message="a sum over a set",
    why="The last digits of a sum of fractions depend on the order of its terms, and the order of a set on the hash "
    "seed of the process.",
    breaks="A comparison near a limit goes the other way in a replay; the instance stalls, once in many times.",
    instead="Use math.fsum(...), which is exact, or sum(sorted(...)).",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    check=_check,
)
