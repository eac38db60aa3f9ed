"""TEN185: a set sorted by a key that several of its members may share."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.kinds import order_of
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.scopes import Function
from tenuto._lint.view import Call, FunctionView

_SORTS = frozenset({"builtins.max", "builtins.min", "builtins.sorted"})
_PARTIAL = frozenset(
    {
        "builtins.abs",
        "builtins.len",
        "builtins.str.casefold",
        "builtins.str.lower",
        "builtins.str.upper",
        "operator.attrgetter",
        "operator.itemgetter",
    }
)


def _check(function: FunctionView) -> Iterator[Hit]:
    for call in function.calls:
        if call.name not in _SORTS or not isinstance(call.node, ast.Call) or not call.args:
            continue
        key = call.argument(-1, "key")
        if key is not None and order_of(function, call.args[0], call.scope) and _is_partial(call, key):
            text, whole = function.text_of(key), function.text_of(call.args[0])
            yield function.hit(call.node, f"{whole} is a set, and several of its members may share the key {text}")


def _is_partial(call: Call, key: ast.expr) -> bool:
    """Whether a key certainly leaves out part of the member; of an unknown function nothing is certain."""
    if isinstance(key, ast.Lambda):
        parameters = key.args.args
        return bool(parameters) and not _holds(key.body, parameters[0].arg)
    for found in call.function.found(key, call.scope):
        if found.name in _PARTIAL:
            return True
        view = call.function.view_of(found)
        if view is not None and isinstance(view.node, Function) and view.body.parameters:
            parameter = view.body.parameters[0].arg
            return bool(view.body.returns) and not any(_holds(one, parameter) for one in view.body.returns)
    return False


def _holds(node: ast.expr, name: str) -> bool:
    """Whether a value holds the whole of a parameter: itself, within a tuple, or handed to a function."""
    match node:
        case ast.Name():
            return node.id == name
        case ast.Tuple() | ast.List():
            return any(_holds(one, name) for one in node.elts)
        case ast.Call(func=ast.Name(id="len" | "abs")):
            return False
        case ast.Call():
            return any(_holds(one, name) for one in node.args)
        case ast.UnaryOp():
            return _holds(node.operand, name)
        case _:
            return False


RULE = Rule(
    id="TEN185",
    name="partial-sort-keys",
    message="a set is sorted by a key that several of its members may share",
    why="Members with the same key stay in the order in which they were found, and that is the set's, which depends on "
    "the hash seed of the process.",
    breaks="Members of equal rank change places in a replay, and the operations asked for them with them.",
    instead="Give the key a second part that no two members share, or sort the sorted: sorted(sorted(s), key=...).",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    check=_check,
)
