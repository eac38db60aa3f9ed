"""What a name means at a place of one module: scopes, bindings, and raw names of expressions.

The analysis follows the text, not the flow: of several bindings in a function, those count that can reach the place by
position. What it cannot know it leaves unnamed: a parameter, a loop's variable, a value from a call it knows nothing
about. So shadowing (`def f(random): random.choice(...)`) never looks like the module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from tenuto._lint.names import BUILTINS, CONVENTIONS

_MOST_VALUES = 16
_DEEPEST = 24
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class Binding:
    """One place that binds a name.

    Attributes:
        kind: `name`: to the raw name in `text`; `value`, `enter`, `element`: to a value, what a context manager gives,
            an element of it; `annotation`: to an instance of the class; `context`, `activity`: to a context;
            `unknown`: to something the analysis cannot name.
        line: where.
        column: where.
        text: see `kind`.
        node: see `kind`.
        first: first line of the innermost block that holds it; 0 at the top of its scope.
        last: last line of that block.
        annotation: the class that a `value` is said to be an instance of; used where the value itself is unknown.
    """

    kind: str
    line: int
    column: int
    text: str = ""
    node: ast.expr | None = None
    first: int = 0
    last: int = 0
    annotation: ast.expr | None = None

    def dominates(self, line: int) -> bool:
        """Whether code at the line, after it, always sees this binding or a later one."""
        return not self.first or self.first <= line <= self.last


@dataclass(slots=True)
class Scope:
    """One scope; comprehensions and lambdas are scopes too.

    Attributes:
        kind: `module`, `class`, `function` or `inner` (lambda, comprehension).
        name: qualified name within the module; of `inner` scopes that of the function.
        parent: the enclosing one.
        bindings: by name, in textual order.
        outer: names declared global or nonlocal here.
        owner: the class whose method this function is; empty for none.
    """

    kind: str
    name: str
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict[str, list[Binding]])
    outer: dict[str, Scope] = field(default_factory=dict[str, "Scope"])
    owner: str = ""

    def bind(self, name: str, binding: Binding) -> None:
        self.outer.get(name, self).bindings.setdefault(name, []).append(binding)

    @property
    def nearest_function(self) -> Scope:
        """This scope, or the function or module around it, lambdas and comprehensions passed over."""
        scope = self
        while scope.kind == "inner" and scope.parent is not None:
            scope = scope.parent
        return scope


class Resolver:
    """Raw names of expressions of one module."""

    def __init__(self, module: Scope, stars: tuple[str, ...]) -> None:
        self._module = module
        self._stars = stars
        self._active: set[int] = set()
        self._depth = 0
        self._known: dict[tuple[int, int], tuple[str, ...]] = {}

    def names(self, node: ast.AST, scope: Scope) -> tuple[str, ...]:
        """Return the raw names of what an expression may be; empty where nothing is known."""
        key = (id(node), id(scope))
        found = self._known.get(key)
        if found is None:
            if self._depth > _DEEPEST:
                return ()
            self._depth += 1
            try:
                found = self._names(node, scope)
            finally:
                self._depth -= 1
            if not self._active:
                self._known[key] = found
        return found

    def _names(self, node: ast.AST, scope: Scope) -> tuple[str, ...]:
        match node:
            case ast.Name():
                return self.lookup(node.id, scope, (node.lineno, node.col_offset))
            case ast.Attribute():
                return tuple(f"{name}.{node.attr}" for name in self.names(node.value, scope))
            case ast.Call():
                return self._called(node, scope)
            case ast.Await() | ast.NamedExpr() | ast.Starred():
                return self.names(node.value, scope)
            case ast.IfExp():
                return _merged(self.names(part, scope) for part in (node.body, node.orelse))
            case ast.BoolOp():
                return _merged(self.names(part, scope) for part in node.values)
            case ast.BinOp(op=ast.Div()):
                return tuple(name for name in self.names(node.left, scope) if "Path" in name)
            case ast.Subscript():
                return self._subscripted(node, scope)
            case _:
                return ()

    def _called(self, node: ast.Call, scope: Scope) -> tuple[str, ...]:
        found: list[str] = []
        for name in self.names(node.func, scope):
            found += self._result(name, node, scope)
        return tuple(dict.fromkeys(found[:_MOST_VALUES]))

    def _result(self, name: str, node: ast.Call, scope: Scope) -> tuple[str, ...]:
        """Raw names of what calling a name gives."""
        arguments = node.args
        match name:
            case "functools.partial" | "builtins.getattr" | "builtins.__import__" | "importlib.import_module" if (
                not arguments
            ):
                return ()
            case "functools.partial":
                return self.names(arguments[0], scope)
            case "builtins.getattr":
                attribute = literal(arguments[1]) if len(arguments) > 1 else ""
                return tuple(f"{one}.{attribute}" for one in self.names(arguments[0], scope) if attribute)
            case "builtins.__import__" | "importlib.import_module":
                module = literal(arguments[0])
                return (module,) if module and not module.startswith(".") else ()
            case "typing.cast":
                return self.names(arguments[1], scope) if len(arguments) > 1 else ()
            case "builtins.super":
                owner = _owner(scope)
                return (f"&{owner}.@super",) if owner else ()
            case _:
                return (f"{name}()",)

    def _subscripted(self, node: ast.Subscript, scope: Scope) -> tuple[str, ...]:
        """An element of a literal container, or a class with type arguments."""
        elements = self._elements(node.value, scope)
        if elements:
            return elements
        return tuple(
            name
            for name in self.names(node.value, scope)
            if (last := name.rpartition(".")[2]) and last[0].isupper() and not last.endswith(")")
        )

    def _elements(self, node: ast.expr, scope: Scope) -> tuple[str, ...]:
        """Raw names of the elements of a literal list, tuple, set or dictionary, or of a name that holds one."""
        match node:
            case ast.List() | ast.Tuple() | ast.Set():
                return _merged(self.names(part, scope) for part in node.elts[:_MOST_VALUES])
            case ast.Dict():
                return _merged(self.names(part, scope) for part in node.values[:_MOST_VALUES])
            case ast.Call(func=ast.Attribute(value=inner, attr="values" | "get")):
                return self._elements(inner, scope)
            case ast.Name():
                where, bindings = self.located(node.id, scope, (node.lineno, node.col_offset))
                values = [one.node for one in bindings if one.kind == "value" and one.node is not None]
                literals = [one for one in values if isinstance(one, ast.List | ast.Tuple | ast.Set | ast.Dict)]
                return _merged(self._elements(one, where) for one in literals)
            case _:
                return ()

    # -- names

    def lookup(self, name: str, scope: Scope, position: tuple[int, int]) -> tuple[str, ...]:
        """Return the raw names of what a name may hold at a place."""
        where, bindings = self.located(name, scope, position)
        if not bindings:
            return self._unbound(name)
        return _merged(self._bound(one, where) for one in bindings)

    def bindings(self, name: str, scope: Scope, position: tuple[int, int]) -> list[Binding]:
        """Return the bindings of a name that can reach a place; empty where it is bound nowhere."""
        return self.located(name, scope, position)[1]

    def located(self, name: str, scope: Scope, position: tuple[int, int]) -> tuple[Scope, list[Binding]]:
        """Return the scope that binds a name, and the bindings that can reach a place."""
        here = scope.nearest_function
        at: Scope | None = scope.outer.get(name) or here.outer.get(name) or scope
        while at is not None:
            bindings = at.bindings.get(name)
            if bindings and (at.kind != "class" or at is scope):
                return at, _reaching(bindings, position) if at is here else bindings
            at = at.parent
        return scope, []

    def _unbound(self, name: str) -> tuple[str, ...]:
        if name in BUILTINS:
            return (f"builtins.{name}",)
        if self._stars:
            return tuple(f"{star}.{name}" for star in self._stars)
        return (f"?{CONVENTIONS.get(name, name)}",)

    def _bound(self, binding: Binding, scope: Scope) -> tuple[str, ...]:
        if binding.kind == "name":
            return (binding.text,)
        if binding.node is None or id(binding) in self._active:
            return ()
        self._active.add(id(binding))
        try:
            match binding.kind:
                case "value" | "enter":
                    named = self.names(binding.node, scope)
                    return named or self._instances(binding.annotation, scope)
                case "element":
                    return self._elements(binding.node, scope)
                case "annotation":
                    return self._instances(binding.node, scope.parent or scope)
                case _:
                    return ()
        finally:
            self._active.discard(id(binding))

    def _instances(self, annotation: ast.expr | None, scope: Scope) -> tuple[str, ...]:
        return () if annotation is None else tuple(f"{name}()" for name in self.annotated(annotation, scope))

    def annotated(self, node: ast.expr, scope: Scope) -> tuple[str, ...]:
        """Return the raw names of the classes that an annotation allows."""
        match node:
            case ast.Constant(value=str(text)):
                try:
                    return self.annotated(ast.parse(text, mode="eval").body, scope)
                except SyntaxError:
                    return ()
            case ast.Name() | ast.Attribute():
                # The scope at its end: annotations may name what is defined below.
                return self.names(node, scope)
            case ast.BinOp(op=ast.BitOr()):
                return _merged(self.annotated(part, scope) for part in (node.left, node.right))
            case ast.Subscript(value=ast.Name(id="Optional" | "Annotated" | "Final" | "ClassVar")):
                first = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
                return self.annotated(first, scope)
            case _:
                return ()


def literal(node: ast.expr) -> str:
    """Return a literal's text; empty for anything else. `"a" + "b"` is a literal too."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.BinOp(op=ast.Add()):
            left, right = literal(node.left), literal(node.right)
            return left + right if left and right else ""
        case _:
            return ""


def _reaching(bindings: list[Binding], position: tuple[int, int]) -> list[Binding]:
    """Those that can reach a place of the same scope: from the last one before it back to one that always holds."""
    before = [one for one in bindings if (one.line, one.column) <= position]
    if not before:
        return bindings
    for index in range(len(before) - 1, -1, -1):
        if before[index].dominates(position[0]):
            return before[index:]
    return before


def _merged(parts: Iterator[tuple[str, ...]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for part in parts:
        found.update(dict.fromkeys(part))
        if len(found) >= _MOST_VALUES:
            break
    return tuple(found)[:_MOST_VALUES]


def _owner(scope: Scope) -> str:
    at: Scope | None = scope
    while at is not None:
        if at.owner:
            return at.owner
        at = at.parent
    return ""
