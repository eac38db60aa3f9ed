"""Which expressions are sets, or have an order of the process's own for another reason.

An expression counts only where every value that can reach it does, so that what is found is certain.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from tenuto._lint.parse import last_name
from tenuto._lint.project import Found, Module
from tenuto._lint.scopes import Binding, Function, Scope
from tenuto._lint.view import FunctionView

_DEEPEST = 12
_ANNOTATIONS = frozenset({"set", "Set", "MutableSet", "AbstractSet", "frozenset", "FrozenSet"})
_SET_METHODS = frozenset({"copy", "difference", "intersection", "symmetric_difference", "union"})
_VIEWS = frozenset({"items", "keys", "values"})
_WHOLE = frozenset({"builtins.int", "builtins.len", "builtins.ord", "builtins.range"})
_PROCESS = frozenset(
    {
        "builtins.globals",
        "importlib.metadata.distributions",
        "importlib.metadata.entry_points",
        "importlib_metadata.distributions",
        "importlib_metadata.entry_points",
        "pkg_resources.iter_entry_points",
        "sys.modules",
        "weakref.WeakKeyDictionary",
        "weakref.WeakSet",
        "weakref.WeakValueDictionary",
    }
)
_DECODED = {
    "call_activity": "result_type",
    "call_child_workflow": "result_type",
    "wait_for_external_event": "data_type",
}


class Order(StrEnum):
    """Why the order of a collection is not fixed."""

    SET = "set"
    VIEW = "view"
    DECODED = "decoded"
    PROCESS = "process"


def order_of(
    function: FunctionView,
    node: ast.expr,
    scope: Scope | None = None,
    *,
    assumed: Mapping[str, Order] = MappingProxyType({}),
) -> Order | None:
    """Return why an expression's members have no fixed order; None where they have one, or nothing is certain.

    Sets of whole numbers have one: numbers are hashed alike in every process.

    Args:
        function: what holds the expression.
        node: the expression.
        scope: where it stands. None: found out, for which it must be part of the function.
        assumed: what to take parameters for that say nothing themselves.
    """
    return _Kinds(function, assumed=assumed).of(node, scope or function.scope_of(node), 0)


def is_set_annotation(node: ast.expr | None) -> bool:
    """Whether an annotation says set, of anything but whole numbers."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return last_name(node) in _ANNOTATIONS and "[int]" not in node.value
    is_whole = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name) and node.slice.id == "int"
    return last_name(node) in _ANNOTATIONS and not is_whole


class _Kinds:
    def __init__(
        self,
        function: FunctionView,
        asking: frozenset[FunctionView] = frozenset(),
        *,
        assumed: Mapping[str, Order] = MappingProxyType({}),
    ) -> None:
        self._function = function
        self._assumed = assumed
        self._asking = asking | {function}
        self._resolver = function.module.parsed.resolver

    def of(self, node: ast.expr, scope: Scope, depth: int) -> Order | None:
        if depth > _DEEPEST:
            return None
        match node:
            case ast.Set():
                return None if all(self._is_whole(one, scope) for one in node.elts) else Order.SET
            case ast.SetComp():
                inner = self._function.body.inner.get(node, scope)
                return None if self._is_whole(node.elt, inner) else Order.SET
            case ast.Call():
                return self._of_call(node, scope, depth + 1)
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr() | ast.BitXor() | ast.Sub()):
                if self._is_view(node.left):
                    return Order.VIEW
                return self.of(node.left, scope, depth + 1)
            case ast.Name():
                return self._of_name(node, scope, depth + 1)
            case ast.Attribute():
                return self._of_attribute(node, scope)
            case ast.IfExp():
                return self._all([node.body, node.orelse], scope, depth + 1)
            case ast.Await() | ast.Yield() if node.value is not None:
                return self._of_result(node.value, scope)
            case ast.NamedExpr():
                return self.of(node.value, scope, depth + 1)
            case _:
                return None

    def _all(self, nodes: list[ast.expr], scope: Scope, depth: int) -> Order | None:
        found = [self.of(one, scope, depth) for one in nodes]
        return found[0] if found and all(found) else None

    # -- calls

    def _of_call(self, node: ast.Call, scope: Scope, depth: int) -> Order | None:
        function = node.func
        if isinstance(function, ast.Attribute):
            if function.attr == "__subclasses__":
                return Order.PROCESS
            if function.attr in _SET_METHODS:
                return self.of(function.value, scope, depth)
            if function.attr in _VIEWS and not node.args:
                of_base = self.of(function.value, scope, depth)
                return of_base if of_base is Order.PROCESS else None
        found = self._function.found(function, scope)
        for one in found:
            if one.name in _PROCESS:
                return Order.PROCESS
            if one.name in ("builtins.set", "builtins.frozenset"):
                if node.args and self._holds_whole(node.args[0], scope):
                    return None
                return Order.VIEW if one.name.endswith("frozenset") else Order.SET
        orders = [self._of_function(one) for one in found]
        return orders[0] if orders and all(orders) else None

    def _of_result(self, node: ast.expr, scope: Scope) -> Order | None:
        """What an operation gives where it is waited for."""
        if not isinstance(node, ast.Call):
            return None
        found = self._function.found(node.func, scope)
        method = next((one.name[5:] for one in found if one.name.startswith("@ctx.")), "")
        if method in _DECODED:
            given = next((one.value for one in node.keywords if one.arg == _DECODED[method]), None)
            if given is not None:
                return Order.DECODED if is_set_annotation(given) else None
            targets = self._function.found(node.args[0], scope) if node.args else ()
            return Order.DECODED if targets and all(_gives_set(self._function, one) for one in targets) else None
        orders = [self._of_function(one) for one in found]
        return orders[0] if orders and all(orders) else None

    def _of_function(self, found: Found) -> Order | None:
        """What a function of the project gives: by its annotation, else by all that it returns."""
        view = self._function.view_of(found)
        if view is None or view in self._asking or not isinstance(view.node, Function) or view.body.is_generator:
            return None
        if view.node.returns is not None:
            is_frozen = last_name(view.node.returns) in ("frozenset", "FrozenSet")
            return None if not is_set_annotation(view.node.returns) else Order.VIEW if is_frozen else Order.SET
        kinds = _Kinds(view, self._asking)
        orders = [kinds.of(one, view.scope_of(one), 0) for one in view.body.returns]
        return orders[0] if orders and all(orders) else None

    # -- names

    def _of_name(self, node: ast.Name, scope: Scope, depth: int) -> Order | None:
        where, bindings = self._resolver.located(node.id, scope, (node.lineno, node.col_offset))
        if node.id in self._assumed and where is self._function.body.scope and len(where.bindings[node.id]) == 1:
            return self._assumed[node.id]
        found = [self._of_binding(one, where, depth) for one in bindings]
        if found and all(found):
            return found[0]
        if len(bindings) == 1 and bindings[0].kind == "name":
            return self._of_import(bindings[0].text)
        return None

    def _of_binding(self, binding: Binding, where: Scope, depth: int) -> Order | None:
        if binding.node is None:
            return None
        if binding.kind == "value":
            return self.of(binding.node, where, depth)
        if binding.kind == "annotation" and is_set_annotation(binding.node):
            return Order.DECODED if self._is_input(binding, where) else Order.SET
        return None

    def _is_input(self, binding: Binding, where: Scope) -> bool:
        """Whether a binding is the input of a workflow."""
        function = self._function
        return (
            where is function.body.scope
            and function.is_workflow
            and any(one.annotation is binding.node for one in function.body.parameters[1:2])
        )

    def _of_import(self, raw: str) -> Order | None:
        """A constant of another module of the project."""
        place = module_global(self._function, raw)
        if place is None:
            return None
        module, name = place
        bindings = module.parsed.scope.bindings.get(name, [])
        found = [_of_literal(one.node) if one.kind == "value" else None for one in bindings]
        return found[0] if found and all(found) else None

    def _of_attribute(self, node: ast.Attribute, scope: Scope) -> Order | None:
        found = self._function.found(node, scope)
        if any(one.name == "sys.modules" for one in found):
            return Order.PROCESS
        holders = [one for one in self._function.found(node.value, scope) if one.kind in ("instance", "class")]
        for holder in holders:
            if holder.module is not None and holder.local in holder.module.parsed.classes:
                entries = holder.module.parsed.classes[holder.local].attributes.get(node.attr, [])
                orders = [
                    _of_literal(value) if kind == "value" else _of_annotation(value) for kind, value, _ in entries
                ]
                if orders and all(orders):
                    return orders[0]
        return None

    # -- whole numbers

    def _is_whole(self, node: ast.expr, scope: Scope) -> bool:
        match node:
            case ast.Constant():
                return isinstance(node.value, int)
            case ast.UnaryOp():
                return self._is_whole(node.operand, scope)
            case ast.BinOp():
                return self._is_whole(node.left, scope) and self._is_whole(node.right, scope)
            case ast.Call():
                return any(name in _WHOLE for name in self._function.names(node.func, scope))
            case ast.Name():
                bindings = self._resolver.bindings(node.id, scope, (node.lineno, node.col_offset))
                return bool(bindings) and all(
                    one.kind == "element" and one.node is not None and self._holds_whole(one.node, scope)
                    for one in bindings
                )
            case _:
                return False

    def _holds_whole(self, node: ast.expr, scope: Scope) -> bool:
        match node:
            case ast.Call():
                return "builtins.range" in self._function.names(node.func, scope)
            case ast.List() | ast.Tuple() | ast.Set():
                return all(self._is_whole(one, scope) for one in node.elts)
            case ast.GeneratorExp() | ast.ListComp():
                return self._is_whole(node.elt, self._function.body.inner.get(node, scope))
            case _:
                return False

    @staticmethod
    def _is_view(node: ast.expr) -> bool:
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("keys", "items")
            and not node.args
            and not node.keywords
        )


def module_global(function: FunctionView, name: str) -> tuple[Module, str] | None:
    """Return the module of the project that a dotted name is a global of, and the global's name there."""
    head, _, last = name.rpartition(".")
    if not head or head.startswith(("&", "?", "@")):
        return None
    module = function.module.project.project.find_module(head, function.module.module)
    return (module, last) if isinstance(module, Module) and last in module.facts.names else None


def _of_literal(node: ast.expr | None) -> Order | None:
    """What a literal or a plain constructor makes, names in it taken at their word."""
    match node:
        case ast.Set() if not all(isinstance(one, ast.Constant) and isinstance(one.value, int) for one in node.elts):
            return Order.SET
        case ast.SetComp():
            return Order.SET
        case ast.Call(func=ast.Name(id="set")):
            return Order.SET
        case ast.Call(func=ast.Name(id="frozenset")):
            return Order.VIEW
        case ast.Call(func=ast.Name(id="field") | ast.Attribute(attr="field")):
            made = next((one.value for one in node.keywords if one.arg == "default_factory"), None)
            return Order.SET if isinstance(made, ast.Name) and made.id == "set" else None
        case _:
            return None


def _of_annotation(node: ast.expr) -> Order | None:
    return Order.SET if is_set_annotation(node) else None


def _gives_set(function: FunctionView, found: Found) -> bool:
    """Whether the result of an activity or child, as its annotation says, is decoded as a set."""
    view = function.view_of(found)
    if view is None or not isinstance(view.node, Function) or view.node.returns is None:
        return False
    returns = view.node.returns
    if last_name(returns) in ("Generator", "Coroutine", "Awaitable") and isinstance(returns, ast.Subscript):
        parts = returns.slice.elts if isinstance(returns.slice, ast.Tuple) else [returns.slice]
        returns = parts[-1]
    return is_set_annotation(returns)
