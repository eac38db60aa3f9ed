"""The code of a workflow: its function, and what that calls in its own project. Its hash, and the names in it.

Found by looking at loaded functions, never by running or reading anything. What is called through a variable, a
parameter or a dictionary is not seen; activities and other workflows are cut points, for their code may change freely.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

# A workflow reaches a handful of functions; more than this is a library, whose rest would only take time.
_MOST_FUNCTIONS: Final = 500
_MOST_WRAPPERS: Final = 20
_SPECIAL: Final = frozenset({"__init__", "__post_init__", "__call__", "__enter__", "__exit__"})
_LIBRARIES: Final = ("site-packages", "dist-packages")


def code_hash(function: Callable[..., Any]) -> str:
    """A hash of a workflow's code: 16 hex digits that change when the code does, not when lines move.

    It depends on the release of Python, whose bytecode it is made of.
    """
    digest = sha256()
    found = reachable(function)
    if not found:
        digest.update(repr(type(function)).encode())
    for each in sorted(found, key=lambda one: (one.__module__ or "", one.__qualname__)):
        digest.update(f"{each.__qualname__}\0".encode())
        for code in _codes(each.__code__):
            _digest(code, digest.update)
    return digest.hexdigest()[:16]


def mentioned_names(function: Callable[..., Any]) -> frozenset[str] | None:
    """Names and texts in a workflow's code, and the registered names of functions among them; None where it has none.

    An operation whose name is not among them is one that the code cannot ask for, unless by a name made at run time.
    """
    found = reachable(function)
    if not found:
        return None
    names: set[str] = set()
    for each in found:
        for code in _codes(each.__code__):
            names.update(constant for constant in code.co_consts if isinstance(constant, str))
            for name in (*code.co_names, *code.co_freevars):
                # A function that is registered under another name is called by that one alone.
                registered = [_registered_name(value) for value in _values(each, {name})]
                names.add(next((found for found in registered if found is not None), name))
    return frozenset(names)


def reachable(function: Callable[..., Any]) -> list[FunctionType]:
    """The function's own code and what it reaches in its project, the function first; empty for callables without."""
    own, holder = _own(inspect.unwrap(function))
    if own is None:
        return []
    found, pending = {own.__code__: own}, [own]
    while pending and len(found) < _MOST_FUNCTIONS:
        for each in _called(pending.pop(), holder):
            if each.__code__ not in found and _is_of_project(each, own):
                found[each.__code__] = each
                pending.append(each)
    return list(found.values())


def _own(function: Any) -> tuple[FunctionType | None, object]:
    """The plain function that a callable runs, and the object whose method it is, if any."""
    if isinstance(function, FunctionType):
        return function, None
    if isinstance(function, MethodType):
        return _own(function.__func__)[0], function.__self__
    if isinstance(function, partial):
        return _own(inspect.unwrap(function.func))
    called: object = getattr(function.__class__, "__call__", None)  # noqa: B004  # the function is wanted
    return (called, function) if isinstance(called, FunctionType) else (None, None)


def _called(function: FunctionType, holder: object) -> Iterator[FunctionType]:
    """Functions that a function's code names: globals, closures, members of the project's modules and classes."""
    used = {name for code in _codes(function.__code__) for name in (*code.co_names, *code.co_freevars)}
    owners: list[Any] = [] if holder is None else [type(holder)]
    for value in _values(function, used):
        if _is(value, ModuleType, type):
            owners.append(value)
        else:
            yield from _plain_functions(value)
    for owner in owners:
        for name in sorted(used | (_SPECIAL if isinstance(owner, type) else frozenset())):
            yield from _plain_functions(inspect.getattr_static(owner, name, None))


def _values(function: FunctionType, used: set[str]) -> Iterator[object]:
    for name in sorted(used):
        if name in function.__globals__:
            yield function.__globals__[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name in used:
            try:
                yield cell.cell_contents
            except ValueError:  # A name that is bound later, or never.
                continue


def _plain_functions(value: Any) -> Iterator[FunctionType]:
    """The function that a value is, wraps or belongs to, if any."""
    if _is(value, staticmethod, classmethod, MethodType):
        value = value.__func__
    elif _is(value, property):
        value = value.fget
    for _ in range(_MOST_WRAPPERS):
        inner = inspect.getattr_static(value, "__wrapped__", None)
        if inner is None:
            break
        value = inner
    if _is(value, FunctionType):
        yield value


def _is(value: object, *types: type) -> bool:
    """`isinstance` by the true type: a module may hold proxies, whose attributes run code of others, or raise."""
    return issubclass(type(value), types)


def _registered_name(value: Any) -> str | None:
    """The name under which a function is registered here; None where it is none, or not registered."""
    value = value.__func__ if _is(value, MethodType) else value
    found: object = inspect.getattr_static(value, "__tenuto_name__", None)
    return found if isinstance(found, str) else None


def _is_of_project(function: FunctionType, own: FunctionType) -> bool:
    """Whether a function belongs to the workflow's code: of its package or below its folder, and no cut point."""
    if getattr(function, "__tenuto_call__", None):
        return False
    root, other = ((each.__module__ or "").partition(".")[0] for each in (own, function))
    if other == "tenuto":
        return False
    if root == other and root != "__main__":
        return True
    folder = own.__code__.co_filename.rpartition("/")[0]
    file = function.__code__.co_filename
    return file.startswith(f"{folder}/") and not any(library in file for library in _LIBRARIES)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code object and those nested in it, in a fixed order."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _digest(code: CodeType, update: Callable[[bytes], object]) -> None:
    update(code.co_code)
    update(repr(code.co_names).encode())
    for constant in code.co_consts:
        if not isinstance(constant, CodeType):
            update(_stable_text(constant).encode())


def _stable_text(constant: object) -> str:
    """A constant as text that does not vary from process to process, as the order of a frozenset does."""
    if isinstance(constant, frozenset):
        return repr(sorted(repr(member) for member in constant))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return repr(constant)
