"""TEN186: sums whose last digits depend on an order that is not fixed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.kinds import order_of
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import Call, FunctionView

_SUMS = {
    "builtins.sum": 0,
    "functools.reduce": 1,
    "statistics.fmean": 0,
    "statistics.mean": 0,
    "statistics.pstdev": 0,
    "statistics.pvariance": 0,
    "statistics.stdev": 0,
    "statistics.variance": 0,
}
_WHOLE = frozenset({"builtins.len", "builtins.int", "builtins.ord"})


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
        if isinstance(terms.elt, ast.Constant) or _is_whole(call, terms.elt):
            return False
        return any(order_of(function, one.iter) is not None for one in terms.generators)
    return order_of(function, terms, call.scope) is not None


def _is_whole(call: Call, node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and any(name in _WHOLE for name in call.function.names(node.func, call.scope))


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
