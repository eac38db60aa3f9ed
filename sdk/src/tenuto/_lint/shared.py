"""What all executions of a process share: globals of modules, attributes of classes, and who changes them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tenuto._lint.kinds import module_global
from tenuto._lint.memo import remembered
from tenuto._lint.scopes import Binding, Function, Scope
from tenuto._lint.view import FunctionView, ModuleView

# Methods that change what they belong to, of the containers below.
MUTATORS = frozenset(
    {
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "difference_update",
        "extend",
        "extendleft",
        "insert",
        "intersection_update",
        "move_to_end",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "reverse",
        "rotate",
        "setdefault",
        "sort",
        "subtract",
        "symmetric_difference_update",
        "update",
    }
)
_CONTAINERS = frozenset(
    {
        "Counter",
        "OrderedDict",
        "WeakKeyDictionary",
        "WeakSet",
        "WeakValueDictionary",
        "bytearray",
        "defaultdict",
        "deque",
        "dict",
        "list",
        "set",
    }
)
_ITERATORS = frozenset({"builtins.iter", "itertools.count", "itertools.cycle"})
_DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_FOLLOWED = 8


def is_container(node: ast.expr | None) -> bool:
    """Whether a value is certainly a list, dictionary, set or the like, made here."""
    if isinstance(node, _DISPLAYS):
        return True
    if not isinstance(node, ast.Call):
        return False
    made = node.func
    name = made.id if isinstance(made, ast.Name) else made.attr if isinstance(made, ast.Attribute) else ""
    if name == "field":
        factory = next((one.value for one in node.keywords if one.arg == "default_factory"), None)
        return isinstance(factory, ast.Name) and factory.id in _CONTAINERS
    return name in _CONTAINERS


@dataclass(frozen=True, slots=True)
class SharedThing:
    """Something that all executions of a process share.

    Attributes:
        what: `global`, `class attribute` or `module attribute`, as messages say it.
        name: its qualified name, or what is known of it.
        is_container: whether it certainly is a list, dictionary, set or the like.
    """

    what: str
    name: str
    is_container: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One place that changes something shared; `how` says what it does to it."""

    node: ast.AST
    thing: SharedThing
    how: str


def is_of_module(function: FunctionView, node: ast.expr) -> bool:
    """Whether an expression is a name that a module binds, this one or another one of the project."""
    if isinstance(node, ast.Attribute):
        return any(module_global(function, name) is not None for name in _raw(function, node))
    if not isinstance(node, ast.Name):
        return False
    where, bindings = _located(function, node)
    return where.kind == "module" and bool(bindings) and all(not one.text.startswith(("&", "@")) for one in bindings)


def shared_thing(function: FunctionView, node: ast.expr, depth: int = 0) -> SharedThing | None:
    """Return the shared thing that an expression certainly is, through aliases; None for anything else.

    An element of a shared container (`BY_CITY[city]`) is shared too.
    """
    if depth > _FOLLOWED:
        return None
    match node:
        case ast.Name():
            return _of_name(function, node, depth)
        case ast.Attribute():
            return _of_attribute(function, node)
        case ast.Subscript():
            thing = shared_thing(function, node.value, depth + 1)
            return thing if thing is not None and thing.is_container else None
        case _:
            return None


def _of_name(function: FunctionView, node: ast.Name, depth: int) -> SharedThing | None:
    where, bindings = _located(function, node)
    if not bindings:
        return None
    if where.kind == "module":
        if all(one.kind == "name" for one in bindings):
            places = [module_global(function, one.text) for one in bindings]
            place = places[0] if len(places) == 1 else None
            if place is None:
                return None
            module, name = place
            values = module.parsed.scope.bindings.get(name, [])
            return (
                SharedThing("global", f"{module.name}.{name}", _hold_container(values))
                if _hold_values(values)
                else None
            )
        return SharedThing("global", node.id, _hold_container(bindings)) if _hold_values(bindings) else None
    if where.kind == "function" and where is not function.body.scope and function.is_workflow:
        # A workflow made by a factory: what it closes over outlives each execution.
        return SharedThing("enclosing function's variable", node.id, _hold_container(bindings))
    if where is not function.body.scope or not all(one.kind == "value" for one in bindings):
        return None
    things = [shared_thing(function, one.node, depth + 1) for one in bindings if one.node is not None]
    # An alias of what is no container may be a copy of a number.
    return things[0] if things and all(one is not None and one.is_container for one in things) else None


def _hold_values(bindings: list[Binding]) -> bool:
    """Whether a module assigns a name, and neither imports nor defines it."""
    return bool(bindings) and all(one.kind in ("value", "annotation", "unknown") for one in bindings)


def _hold_container(bindings: list[Binding]) -> bool:
    values = [one for one in bindings if one.kind == "value"]
    return bool(values) and all(is_container(one.node) for one in values)


def _of_attribute(function: FunctionView, node: ast.Attribute) -> SharedThing | None:
    if _is_class(function, node.value):
        return SharedThing("class attribute", function.text_of(node), _holds_class_container(function, node))
    if _is_class_container(function, node):
        return SharedThing("class attribute", function.text_of(node), True)
    for raw in _raw(function, node):
        place = module_global(function, raw)
        if place is not None:
            module, name = place
            values = module.parsed.scope.bindings.get(name, [])
            if _hold_values(values):
                return SharedThing("global", f"{module.name}.{name}", _hold_container(values))
    return None


def _holds_class_container(function: FunctionView, node: ast.Attribute) -> bool:
    for found in function.found(node.value, function.scope_of(node)):
        if found.kind == "class" and found.module is not None:
            entries = found.module.parsed.classes[found.local].attributes.get(node.attr, [])
            values = [value for kind, value, scope in entries if kind == "value" and scope.kind == "class"]
            if values:
                return all(is_container(one) for one in values)
    return False


def _is_class_container(function: FunctionView, node: ast.Attribute) -> bool:
    """Whether an attribute of an object is a container that only its class makes, and so one for all objects.

    Classes with decorators or bases may make one for each object of what stands in their body.
    """
    for found in function.found(node.value, function.scope_of(node)):
        if found.kind != "instance" or found.module is None or found.local not in found.module.parsed.classes:
            return False
        parsed = found.module.parsed.classes[found.local]
        entries = [(value, scope) for kind, value, scope in parsed.attributes.get(node.attr, []) if kind == "value"]
        if parsed.node.decorator_list or parsed.node.bases or not entries:
            return False
        if not all(scope is parsed.scope and is_container(value) for value, scope in entries):
            return False
    return bool(function.found(node.value, function.scope_of(node)))


def _is_class(function: FunctionView, node: ast.expr) -> bool:
    """Whether an expression is a class of the project: by name, `type(self)`, `self.__class__`, `cls`."""
    match node:
        case ast.Call(func=ast.Name(id="type"), args=[_]):
            return True
        case ast.Attribute(attr="__class__"):
            return True
        case ast.Name(id="cls") if _is_class_method(function):
            return True
        case ast.Name() | ast.Attribute():
            found = function.found(node, function.scope_of(node))
            return bool(found) and all(one.kind == "class" for one in found)
        case _:
            return False


def _is_function(function: FunctionView, node: ast.expr) -> bool:
    """Whether an expression is a function of the project, as a name of its module."""
    if not isinstance(node, ast.Name):
        return False
    found = function.found(node, function.scope_of(node))
    return bool(found) and all(one.kind == "function" and "<" not in one.local for one in found)


def _is_class_method(function: FunctionView) -> bool:
    node = function.node
    return isinstance(node, Function) and any(
        isinstance(one, ast.Name) and one.id == "classmethod" for one in node.decorator_list
    )


def is_imported(function: FunctionView, node: ast.expr) -> bool:
    """Whether an expression is a module, or something that an import binds."""
    while isinstance(node, ast.Attribute):
        node = node.value
    if not isinstance(node, ast.Name):
        return False
    _, bindings = _located(function, node)
    return bool(bindings) and all(one.kind == "name" and not one.text.startswith(("&", "@", "?")) for one in bindings)


@remembered
def changes(function: FunctionView) -> list[Change]:
    """Return where a function changes something that all executions share, in the order of the text."""
    return list(_changes(function))


def _changes(function: FunctionView) -> Iterator[Change]:
    outer = function.body.scope.outer
    for node in function.walk():
        match node:
            case ast.Name(ctx=ast.Store() | ast.Del()) if node.id in outer and outer[node.id].kind == "module":
                yield Change(node, SharedThing("global", node.id, False), "rebinds")
            case ast.Subscript(ctx=ast.Store() | ast.Del()):
                thing = shared_thing(function, node.value)
                if thing is not None:
                    yield Change(node, thing, "changes")
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                yield from _attribute_change(function, node)
            case ast.Name(ctx=ast.Store()) if node.id in outer and function.is_workflow:
                # A workflow made by a factory: what it closes over outlives each execution.
                yield Change(node, SharedThing("enclosing function's variable", node.id, False), "rebinds")
            case ast.Call(func=ast.Attribute() as called) if called.attr in MUTATORS:
                thing = shared_thing(function, called.value) or _of_own_object(function, called.value)
                if thing is not None and thing.is_container:
                    yield Change(node, thing, "changes")
            case ast.Call(func=ast.Name(id="next"), args=[ast.Name() as iterator, *_]):
                if _is_shared_iterator(function, iterator):
                    yield Change(node, SharedThing("global", iterator.id, False), "goes on in")
            case _:
                pass


def _is_shared_iterator(function: FunctionView, node: ast.Name) -> bool:
    """Whether a name of the module holds an iterator: what `next` gives depends on who asked before."""
    where, bindings = _located(function, node)
    if where.kind != "module" or not bindings:
        return False
    made = [one.node for one in bindings if one.kind == "value"]
    return len(made) == len(bindings) and all(
        isinstance(one, ast.GeneratorExp)
        or (isinstance(one, ast.Call) and _ITERATORS & set(function.names(one.func, where)))
        for one in made
    )


def _own_name(function: FunctionView) -> str:
    """The name of `self` in a workflow that is a method: all executions run on one object."""
    node = function.node
    if not function.body.owner or not function.is_workflow or not isinstance(node, Function) or not node.args.args:
        return ""
    return node.args.args[0].arg


def _of_own_object(function: FunctionView, node: ast.expr) -> SharedThing | None:
    """A container that a workflow's own object keeps."""
    own = _own_name(function)
    if not own or not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name) or node.value.id != own:
        return None
    parsed = function.module.parsed.classes.get(function.body.owner)
    entries = parsed.attributes.get(node.attr, []) if parsed is not None else []
    values = [value for kind, value, _ in entries if kind == "value"]
    is_kept = bool(values) and all(is_container(one) for one in values)
    return SharedThing("attribute of the workflow's object", function.text_of(node), True) if is_kept else None


def _attribute_change(function: FunctionView, node: ast.Attribute) -> Iterator[Change]:
    own = _own_name(function)
    if own and isinstance(node.value, ast.Name) and node.value.id == own:
        yield Change(node, SharedThing("attribute of the workflow's object", function.text_of(node), False), "sets")
    elif _is_function(function, node.value):
        yield Change(node, SharedThing("attribute of a function", function.text_of(node), False), "sets")
    elif _is_class(function, node.value):
        yield Change(node, SharedThing("class attribute", function.text_of(node), False), "sets")
    elif is_imported(function, node.value):
        yield Change(node, SharedThing("module attribute", function.text_of(node), False), "sets")
    else:
        thing = shared_thing(function, node.value)
        if thing is not None:
            yield Change(node, SharedThing("attribute of a global", function.text_of(node), False), "sets")


def changed_globals(module: ModuleView) -> dict[str, list[FunctionView]]:
    """Return the globals of a module that its functions change, each with these functions."""
    found: dict[str, list[FunctionView]] = {}
    for name in module.module.facts.functions:
        if name:
            function = module.function(name)
            for change in changes(function):
                if change.thing.what == "global" and "." not in change.thing.name:
                    found.setdefault(change.thing.name, []).append(function)
    return found


def _located(function: FunctionView, node: ast.Name) -> tuple[Scope, list[Binding]]:
    resolver = function.module.parsed.resolver
    return resolver.located(node.id, function.scope_of(node), (node.lineno, node.col_offset))


def _raw(function: FunctionView, node: ast.expr) -> tuple[str, ...]:
    return function.module.parsed.resolver.names(node, function.scope_of(node))
