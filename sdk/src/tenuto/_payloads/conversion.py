"""Plain JSON values to values of types that msgspec does not take, alone or inside others."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeGuard

import msgspec

from tenuto.errors import PayloadError

_SEQUENCES: dict[Any, Callable[..., Any]] = {list: list, set: set, frozenset: frozenset}
_UNIONS = (typing.Union, types.UnionType)


def _is_list(raw: object) -> TypeGuard[list[Any]]:
    return isinstance(raw, list)


def _is_dict(raw: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(raw, dict)


def build_other(expected: type[Any], raw: Any) -> Any:
    """Builds a value of a type that msgspec does not know from what JSON held; the hook of every decoder here.

    Raises:
        PayloadError: no way is known to build that type.
    """
    validate_json = getattr(expected, "model_validate_json", None)
    if validate_json is not None:
        # JSON again, because pydantic reads e.g. dates from JSON under its strict settings, but not from Python text.
        return validate_json(msgspec.json.encode(raw))
    if isinstance(raw, expected):
        return raw
    build: Callable[..., Any] = expected
    if expected is types.SimpleNamespace and _is_dict(raw):
        return build(**raw)
    if issubclass(expected, (str, int, float, deque)) or hasattr(expected, "__fspath__"):
        return build(raw)
    raise PayloadError(f"no value of type {expected.__qualname__} can be built from {type(raw).__name__}")


def convert(raw: Any, annotation: Any, where: str = "$") -> Any:
    """Shapes plain JSON into `annotation`.

    Raises:
        PayloadError: it does not fit; the message names the place.
    """
    try:
        return msgspec.convert(raw, annotation, dec_hook=build_other, str_keys=True)
    except msgspec.ValidationError as error:
        raise PayloadError(f"{error} (at `{where}`)") from error
    except TypeError:
        return _convert_by_structure(raw, annotation, where)


def _convert_by_structure(raw: Any, annotation: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return convert(raw, arguments[0], where)
    if origin in _UNIONS:
        return _convert_union(raw, arguments, where)
    if isinstance(annotation, type):
        return _convert_class(raw, annotation, where)
    if origin in _SEQUENCES and _is_list(raw):
        return _SEQUENCES[origin](convert(member, arguments[0], f"{where}[{i}]") for i, member in enumerate(raw))
    if origin is tuple and _is_list(raw):
        return _convert_tuple(raw, arguments, where)
    if isinstance(origin, type) and issubclass(origin, Mapping) and _is_dict(raw):
        return {convert(k, arguments[0], where): convert(v, arguments[1], f"{where}.{k}") for k, v in raw.items()}
    raise PayloadError(f"{annotation} cannot be built from {type(raw).__name__} (at `{where}`)")


def _convert_tuple(raw: list[Any], arguments: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if len(arguments) == 2 and arguments[1] is ...:
        arguments = (arguments[0],) * len(raw)
    if len(arguments) != len(raw):
        raise PayloadError(f"expected {len(arguments)} elements, got {len(raw)} (at `{where}`)")
    return tuple(convert(member, arguments[i], f"{where}[{i}]") for i, member in enumerate(raw))


def _convert_union(raw: Any, members: tuple[Any, ...], where: str) -> Any:
    """The first member that fits; text and plain dictionaries fit too much, so they come last."""
    refusals: list[str] = []
    for member in sorted(members, key=_is_greedy):
        try:
            return convert(raw, member, where)
        except PayloadError as error:
            refusals.append(str(error))
    raise PayloadError("; ".join(refusals))


def _is_greedy(member: Any) -> int:
    return 2 if member in (Any, object) else 1 if member in (str, dict) or typing.get_origin(member) is dict else 0


def _convert_class(raw: Any, expected: type[Any], where: str) -> Any:
    got = type(raw).__name__
    if issubclass(expected, Enum):
        try:
            return expected(raw)
        except ValueError as error:
            raise PayloadError(f"{error} (at `{where}`)") from error
    if _is_dict(raw) and (dataclasses.is_dataclass(expected) or typing.is_typeddict(expected)):
        return _convert_fields(raw, expected, where)
    raise PayloadError(f"expected {expected.__qualname__}, got {got} (at `{where}`)")


def _convert_fields(raw: dict[str, Any], expected: type[Any], where: str) -> Any:
    hints = typing.get_type_hints(expected)
    values = {name: convert(raw[name], hint, f"{where}.{name}") for name, hint in hints.items() if name in raw}
    try:
        return expected(**values)
    except TypeError as error:
        raise PayloadError(f"{error} (at `{where}`)") from error
