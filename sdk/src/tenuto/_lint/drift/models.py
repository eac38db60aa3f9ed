"""Models of payloads at two revisions: whether what was recorded by one can be decoded by the other.

Dataclasses, pydantic models, TypedDicts, named tuples, msgspec and attrs classes, and enums, as far as their source
says all: a class with validators of its own, or with bases from elsewhere, may accept anything, and is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tenuto._lint.drift.shape import Place
from tenuto._lint.extract import keyword
from tenuto._lint.parse import last_name
from tenuto._lint.project import Found, Module, Project
from tenuto._lint.scopes import Scope

_DECORATORS = frozenset({"dataclass", "define", "frozen", "mutable", "attrs"})
_BASES = frozenset({"BaseModel", "TypedDict", "NamedTuple", "Struct"})
_ENUMS = frozenset({"Enum", "StrEnum", "IntEnum"})
_TRANSPARENT = frozenset({"Annotated", "Final", "Required", "NotRequired", "ReadOnly"})
_UNIONS = frozenset({"Optional", "Union"})
_DEEPEST = 12
_TEXT = frozenset({"str", "bytes", "Decimal", "UUID", "datetime", "date", "time", "timedelta"})
_SCALARS = _TEXT | {"int", "float", "bool"}
# What a recorded value of the first type is read as without error, beside itself.
_READABLE = {
    "int": frozenset({"float", "Decimal"}),
    "float": frozenset({"Decimal"}),
    **{one: frozenset({"str"}) for one in _TEXT},
}


@dataclass(frozen=True)
class Type:
    """An annotation, with the module and scope in which its names mean something."""

    node: ast.expr
    module: Module
    scope: Scope


@dataclass(frozen=True)
class Field:
    """A field of a model: its key in a payload, its type, and whether a payload must have it."""

    key: str
    type: Type
    is_required: bool
    place: Place


@dataclass(frozen=True)
class Model:
    """A class as payloads see it; `values` of an enum, where it is one."""

    name: str
    fields: dict[str, Field]
    values: dict[str, str] | None
    is_closed: bool
    place: Place
    is_dictionary: bool = False


@dataclass(frozen=True)
class Break:
    """Why a recorded payload cannot be decoded any more, and where today's code says so.

    `is_certain`: not only where somebody else than the base's own model wrote it.
    """

    message: str
    place: Place
    instead: str
    is_certain: bool = True


class Models:
    """Compares the types of one base with those of today."""

    def __init__(self, base: Project, current: Project) -> None:
        self._base = base
        self._current = current
        self._seen: set[tuple[Module, str, Module, str]] = set()

    def breaks(self, base: Type, current: Type, depth: int = 0) -> Iterator[Break]:
        """Yield what of the base's type today's cannot read."""
        if depth > _DEEPEST:
            return
        olds, news = _members(base), _members(current)
        for old in olds:
            new = next((one for one in news if _head(one.node) == _head(old.node)), None)
            new = news[0] if new is None and len(olds) == len(news) == 1 else new
            if new is None:
                continue
            yield from self._compare(old, new, depth)

    def _compare(self, old: Type, new: Type, depth: int) -> Iterator[Break]:
        if isinstance(old.node, ast.Subscript) and isinstance(new.node, ast.Subscript):
            if _head(old.node) == _head(new.node):
                for one, other in zip(_arguments(old), _arguments(new), strict=False):
                    yield from self.breaks(one, other, depth + 1)
            return
        before, now = self._model(old, self._base), self._model(new, self._current)
        if before is not None and now is not None:
            key = (before.place.module, before.name, now.place.module, now.name)
            if key not in self._seen:
                self._seen.add(key)
                yield from self._fields(before, now, depth)
            return
        was, became = _head(old.node), _head(new.node)
        is_known = before is None and now is None and was in _SCALARS and became in _SCALARS
        if is_known and was != became and became not in _READABLE.get(was, ()):
            yield Break(
                f"{was} became {became}",
                Place(new.module, "", new.node),
                f"Accept both, such as `{was} | {became}`, until nothing that was recorded before is left.",
            )

    def _fields(self, before: Model, now: Model, depth: int) -> Iterator[Break]:
        if before.values is not None or now.values is not None:
            gone = {} if before.values is None or now.values is None else before.values
            kept = set((now.values or {}).values())
            for name, value in gone.items():
                if value not in kept:
                    yield Break(
                        f"value {value} of {now.name} ({name}) is gone",
                        now.place,
                        "Keep the value until nothing that was recorded with it is left.",
                    )
            return
        for key, field in now.fields.items():
            old = before.fields.get(key)
            if field.is_required and (old is None or not old.is_required):
                what = "is new and required" if old is None else "became required"
                yield Break(
                    f"field '{key}' of {now.name} {what}",
                    field.place,
                    f"Give '{key}' a default, or make it optional: what was recorded before may not have it.",
                    # A model with defaults writes them all; a dictionary, or a client's own JSON, may not.
                    is_certain=old is None or before.is_dictionary,
                )
            elif old is not None:
                for found in self.breaks(old.type, field.type, depth + 1):
                    is_own = found.place.node is field.type.node
                    text = f"field '{key}' of {now.name}: {found.message}" if is_own else found.message
                    yield replace(found, message=text, place=field.place if is_own else found.place)
        for key in before.fields if now.is_closed else ():
            if key not in now.fields:
                yield Break(
                    f"field '{key}' of {now.name} is gone, and unknown fields are refused",
                    now.place,
                    f"Keep '{key}', or accept unknown fields, until nothing that was recorded with it is left.",
                )

    def _model(self, one: Type, project: Project) -> Model | None:
        if not isinstance(one.node, ast.Name | ast.Attribute):
            return None
        found = project.resolve_all(one.module.parsed.resolver.annotated(one.node, one.scope), one.module)
        return read_model(found[0], project) if len(found) == 1 and found[0].kind == "class" else None


# -- classes


def read_model(found: Found, project: Project, depth: int = 0) -> Model | None:
    """The model that a class of the project is; None where its source does not say all of it."""
    module = found.module
    body = None if module is None else module.parsed.classes.get(found.local)
    if module is None or body is None or depth > _DEEPEST or _decides_itself(body.node):
        return None
    bases = [last_name(base) for base in body.node.bases]
    place = Place(module, "", _name_of(body.node))
    if _ENUMS.intersection(bases):
        values = {name: ast.unparse(value) for name, value in _assigned(body.node) if isinstance(value, ast.Constant)}
        complete = len(values) == len(list(_assigned(body.node)))
        return Model(body.node.name, {}, values, is_closed=True, place=place) if complete else None
    fields: dict[str, Field] = {}
    decorators = {_decorator(one) for one in body.node.decorator_list}
    is_model = not _BASES.isdisjoint(bases) or not _DECORATORS.isdisjoint(decorators)
    is_closed = _is_closed(body.node)
    parents: list[Model] = []
    for base in body.node.bases:
        if last_name(base) in _BASES or last_name(base) in ("Generic", "Protocol", "object"):
            continue
        above = project.resolve_all(module.parsed.resolver.annotated(base, body.scope.parent or body.scope), module)
        parent = read_model(above[0], project, depth + 1) if len(above) == 1 else None
        if parent is None:
            return None
        parents.append(parent)
        fields |= parent.fields
        is_model, is_closed = True, is_closed or parent.is_closed
    if not is_model:
        return None
    is_total = not any(one.arg == "total" and _is_false(one.value) for one in body.node.keywords)
    for statement in body.node.body:
        field = _field(statement, Type(ast.Constant(None), module, body.scope), is_total=is_total)
        if field is not None:
            fields[field.key] = field
    is_dictionary = "TypedDict" in bases or any(parent.is_dictionary for parent in parents)
    return Model(body.node.name, fields, None, is_closed, place, is_dictionary)


def _field(statement: ast.stmt, home: Type, *, is_total: bool) -> Field | None:
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
        return None
    name, value = statement.target.id, statement.value
    head = last_name(statement.annotation)
    if name.startswith("_") or name == "model_config" or head in ("ClassVar", "InitVar", "KW_ONLY"):
        return None
    is_required = value is None and is_total and head != "NotRequired"
    if head == "Required":
        is_required = True
    if isinstance(value, ast.Call) and last_name(value.func) in ("field", "Field", "ib", "attrib"):
        if (init := keyword(value, "init")) is not None and _is_false(init):
            return None
        first = value.args[0] if value.args else None
        has_default = keyword(value, "default") is not None or keyword(value, "default_factory") is not None
        is_ellipsis = isinstance(first, ast.Constant) and first.value is ...
        is_required = not has_default and (first is None or is_ellipsis) and keyword(value, "factory") is None
        for alias in ("validation_alias", "alias", "name"):
            given = keyword(value, alias)
            if isinstance(given, ast.Constant) and isinstance(given.value, str):
                name = given.value
    place = Place(home.module, "", statement.target)
    return Field(name, Type(statement.annotation, home.module, home.scope), is_required, place)


def _assigned(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            yield statement.targets[0].id, statement.value


def _decides_itself(node: ast.ClassDef) -> bool:
    """Whether the class has code that decides what it accepts."""
    if any(one.arg in ("rename", "tag", "array_like", "metaclass") for one in node.keywords):
        return True
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    decorators = [_decorator(one) for method in methods for one in method.decorator_list]
    is_own = any(method.name in ("__init__", "__new__", "_missing_") for method in methods)
    return is_own or any("validator" in one for one in decorators)


def _is_closed(node: ast.ClassDef) -> bool:
    """Whether payloads with fields that it does not know are refused."""
    if any(one.arg == "forbid_unknown_fields" and not _is_false(one.value) for one in node.keywords):
        return True
    text = [ast.unparse(value) for name, value in _assigned(node) if name == "model_config"]
    text += [f"extra={ast.unparse(one.value)}" for one in node.keywords if one.arg == "extra"]
    return any("forbid" in one for one in text)


def _decorator(node: ast.expr) -> str:
    return last_name(node.func if isinstance(node, ast.Call) else node)


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _name_of(node: ast.ClassDef) -> ast.expr:
    first = node.col_offset + len("class ")
    return ast.Name(
        node.name,
        ast.Load(),
        lineno=node.lineno,
        col_offset=first,
        end_lineno=node.lineno,
        end_col_offset=first + len(node.name),
    )


# -- annotations


def _plain(one: Type) -> Type:
    """The annotation without quotes, and without what only describes it."""
    node = one.node
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            parsed = ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return one
        return _plain(Type(ast.copy_location(parsed, node), one.module, one.scope))
    if isinstance(node, ast.Subscript) and last_name(node.value) in _TRANSPARENT:
        return _plain(_arguments(one)[0])
    return one


def _members(one: Type) -> list[Type]:
    """The members of a union, None left out; of anything else, itself."""
    plain = _plain(one)
    node = plain.node
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        parts = [Type(node.left, plain.module, plain.scope), Type(node.right, plain.module, plain.scope)]
    elif isinstance(node, ast.Subscript) and last_name(node.value) in _UNIONS:
        parts = _arguments(plain)
    else:
        is_none = isinstance(node, ast.Constant) and node.value is None
        return [] if is_none else [plain]
    return [member for part in parts for member in _members(part)]


def _arguments(one: Type) -> list[Type]:
    if not isinstance(one.node, ast.Subscript):
        return []
    inside = one.node.slice
    nodes = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    return [Type(node, one.module, one.scope) for node in nodes]


def _head(node: ast.expr) -> str:
    return last_name(node)
