"""Calls seen through `sys.monitoring`: for Python 3.12 and later. Only marked code reports; other code costs nothing.

Two kinds of code are marked. *User code* reports its calls: workflow functions, what they call, and what they name, as
found from their global names, closures and classes; what it calls beyond that is marked as it is called. *Python
functions of the catalogue* report that they begin. The tool has an id of its own beside debuggers, coverage and
profilers, so it never stands in their place.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cached_property, partial
from threading import get_ident
from types import BuiltinFunctionType, CodeType, FunctionType, MethodDescriptorType, MethodType
from typing import Any, Final, cast
from weakref import ref

from tenuto._guard.probes import PROBES
from tenuto._guard.stacks import OWN, owner_of
from tenuto._guard.turns import TURNS, Pausable, met_c_call, met_python_call, note_fault
from tenuto._replay.definitions import is_activity

_monitoring: Final[Any] = getattr(sys, "monitoring", None)
# The ids that PEP 669 leaves to nobody in particular.
_IDS: Final = (4, 3)
_WRAPPERS: Final = (MethodType, classmethod, staticmethod, partial)
_CODE_HOLDERS: Final[tuple[type, ...]] = (FunctionType, MethodType, type, partial)
# Their hash is no code of the user's.
_HASHED: Final = (FunctionType, type)
_functions = PROBES.functions
_method_names = PROBES.method_names
_tool: list[int] = []
_seen: dict[int, ref[CodeType]] = {}
_settled: set[Any] = set()


def install() -> None:
    """Takes a tool id, once per process, and marks the Python functions of the catalogue."""
    if not _tool:
        tool = next((each for each in _IDS if _monitoring.get_tool(each) is None), None)
        if tool is None:
            return
        _monitoring.use_tool_id(tool, "tenuto")
        events = _monitoring.events
        _monitoring.register_callback(tool, events.CALL, _on_call)
        _monitoring.register_callback(tool, events.PY_START, _on_start)
        _tool.append(tool)
    for code, _ in PROBES.codes.values():
        if id(code) not in _seen:
            _see(code)
            _monitoring.set_local_events(_tool[0], code, _monitoring.events.PY_START)


def begin(watch: Pausable) -> str:  # as of `profiling`
    """A step begins; says where no tool id was left."""
    return "" if _tool else "other tools have all ids of sys.monitoring, so only files, network and processes are seen"


def end(watch: Pausable) -> None:  # as of `profiling`
    """A step is over."""


def cover(thing: Any) -> None:
    """Marks a function or class of the user's and what it names, so that calls made there are seen."""
    if not _tool:
        return
    pending: list[Any] = [thing]
    while pending:
        pending.extend(_cover_one(pending.pop()))


def _cover_one(thing: Any) -> Iterator[Any]:
    """Marks one thing; gives those to go on with."""
    while isinstance(thing, _WRAPPERS):
        thing = getattr(cast("Any", thing), "func" if isinstance(thing, partial) else "__func__")
    if not isinstance(thing, type) and (wrapped := getattr(thing, "__wrapped__", None)) is not None:
        yield wrapped  # Below a decorator, which may be a library's, or a cache's object.
    if isinstance(thing, property):
        yield from (thing.fget, thing.fset)
    elif isinstance(thing, cached_property):
        yield thing.func
    elif isinstance(thing, FunctionType):
        yield from _cover_function(thing)
    elif isinstance(thing, type):
        yield from _cover_class(thing)
    elif callable(thing):
        yield type(thing)


def _cover_function(function: FunctionType) -> Iterator[Any]:
    code = function.__code__
    if id(code) in _seen or is_activity(function):
        return
    _see(code)
    if owner_of(code.co_filename) not in OWN:
        return
    names: set[str] = set()
    for each in _with_nested(code):
        _see(each)
        _monitoring.set_local_events(_tool[0], each, _monitoring.events.CALL)
        names.update(each.co_names)
    for cell in function.__closure__ or ():
        try:
            yield _code_only(cell.cell_contents)
        except ValueError:  # Not filled yet.
            continue
    for name in names:
        yield _code_only(function.__globals__.get(name))


def _cover_class(kind: type) -> Iterator[Any]:
    for base in kind.__mro__:
        for member in list(vars(base).values()):
            if isinstance(member, (FunctionType, classmethod, staticmethod, property, cached_property)):
                yield member


def _code_only(value: Any) -> Any:
    """What may hold code. Instances do not: their classes are met when they are made or called."""
    return cast("Any", value) if isinstance(value, _CODE_HOLDERS) else None


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_nested(constant)


def _see(code: CodeType) -> None:
    key = id(code)  # A code object's own hash reads all of it.
    _seen[key] = ref(code, lambda _: _seen.pop(key, None))


def _on_call(_code: CodeType, _offset: int, function: Any, first: Any) -> None:
    if get_ident() not in TURNS:
        return
    kind = cast("Any", type(function))
    if kind is BuiltinFunctionType:
        if function in _functions or function.__name__ in _method_names:
            met_c_call(sys._getframe(1), function, first)  # pyright: ignore[reportPrivateUsage]  # the only way
    elif kind is MethodDescriptorType:
        if function.__name__ in _method_names and first is not _monitoring.MISSING:
            met_c_call(sys._getframe(1), function.__get__(first, type(first)))  # pyright: ignore[reportPrivateUsage]  # as above
    elif kind not in _HASHED or function not in _settled or type(first) in _CODE_HOLDERS:
        _meet(function, first)


def _meet(function: Any, first: Any) -> None:
    """Marks what is about to be called, and a function given to what calls it: `map(price, orders)`."""
    try:
        if not _is_settled(function):
            cover(function)
        # What code makes anew each time would stay in memory for ever; it is looked at again instead.
        if isinstance(function, (FunctionType, type)) and "<locals>" not in function.__qualname__:
            _settled.add(function)
        if isinstance(first, _CODE_HOLDERS) and not _is_settled(first):
            cover(first)
    except Exception as error:  # A class may do anything when it is looked at; the call goes on.
        note_fault(error)


def _is_settled(thing: Any) -> bool:
    if isinstance(thing, MethodType):
        thing = thing.__func__
    if isinstance(thing, FunctionType):
        return id(thing.__code__) in _seen
    return isinstance(thing, type) and thing in _settled


def _on_start(_code: CodeType, _offset: int) -> None:
    if get_ident() in TURNS:
        met_python_call(sys._getframe(1))  # pyright: ignore[reportPrivateUsage]  # the only way
