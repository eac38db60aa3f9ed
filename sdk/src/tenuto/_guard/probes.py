"""The functions of the catalogue, found in this process, and what a single call of one of them means."""

from __future__ import annotations

import importlib
import random
import sys
from decimal import Decimal
from opcode import opname
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType
from typing import Any, Final
from weakref import WeakSet

import msgspec

from tenuto._guard.catalog import CALLS, FOREIGN_RANDOM, METHODS, SHARED_RANDOM, UNSEEDED, Probe
from tenuto._guard.stacks import is_direct

# Imported by the SDK itself or by nearly everything; others are looked at only where the program has them.
_ALWAYS: Final = frozenset(
    {
        *("_io", "_socket", "_thread", "asyncio", "asyncio.base_events", "builtins", "datetime", "os", "os.path"),
        *(
            "concurrent.futures.thread",
            "pathlib",
            "platform",
            "random",
            "secrets",
            "socket",
            "threading",
            "time",
            "uuid",
        ),
    }
)
_CLOCK_METHODS: Final = frozenset({"now", "utcnow", "today"})
_PLAIN: Final = (int, float, bool, complex, Decimal, type(None))
UNKNOWN: Final = object()


class Call(msgspec.Struct, frozen=True):
    """A call of the catalogue: what it is, and how to name it."""

    probe: Probe
    name: str


class Probes:
    """Tables that the hooks look into; filled by `load`, never emptied.

    `functions`: C functions, and bound methods of C classes, by themselves: two that are made for the same function of
    the same object are equal. `method_names`: names of C methods that `find_method` may know. `codes`: Python functions
    by the id of their code, which is kept; `modules` are theirs.
    """

    def __init__(self) -> None:
        self.functions: dict[Any, Call] = {}
        self.method_names: set[str] = {"random", "getrandbits", *_CLOCK_METHODS}
        self.modules: set[str] = set()
        self.codes: dict[int, tuple[CodeType, Call]] = {}
        self._methods: dict[str, list[tuple[type, Call]]] = {}
        self._loaded: set[str] = set()
        self._own_generators: WeakSet[random.Random] = WeakSet()

    def load(self) -> None:
        """Looks up what is not known yet; again once the program has imported more."""
        for dotted, probe in CALLS.items():
            if dotted not in self._loaded and (function := _find(dotted)) is not None:
                self._loaded.add(dotted)
                self._add(function, Call(probe, _shown(dotted)))
        for dotted, probe in METHODS.items():
            kind_name, _, name = dotted.rpartition(".")
            kind = _find(kind_name) if dotted not in self._loaded else None
            if isinstance(kind, type):
                self._loaded.add(dotted)
                self.method_names.add(name)
                self._methods.setdefault(name, []).append((kind, Call(probe, f"{kind.__name__}.{name}()")))
        self._load_generators()

    def _load_generators(self) -> None:
        if "random" in self._loaded:
            return
        self._loaded.add("random")
        for name, member in vars(random.Random).items():
            if isinstance(member, FunctionType) and (not name.startswith("_") or name == "__init__"):
                self._add(member, Call(SHARED_RANDOM, f"random.{name}()"))

    def _add(self, function: Any, call: Call) -> None:
        plain = getattr(function, "__func__", function)
        if isinstance(plain, FunctionType):
            code = plain.__code__
            self.codes.setdefault(id(code), (code, call))
            self.modules.add(plain.__module__)
        elif isinstance(plain, BuiltinFunctionType):
            self.functions.setdefault(plain, call)

    def judge_c_call(self, caller: FrameType, function: Any, first: object = UNKNOWN) -> Call | None:
        """What it means that `caller` calls a C function; None where it means nothing.

        Args:
            caller: the frame that calls.
            function: the function.
            first: its first argument, where that is known.
        """
        call = self.functions.get(function) or self._find_method(function)
        if call is None:
            return None
        probe, code = call.probe, caller.f_code
        through = frozenset[str]() if probe is not FOREIGN_RANDOM else frozenset({"random"})
        if not is_direct(caller, through):
            return None
        if not probe.is_certain and (code.co_name in ("__hash__", "__eq__", "__repr__") or _is_plain(first)):
            return None
        if probe.arguments is not None and _argument_count(code, caller.f_lasti) != probe.arguments:
            return None
        if call.name == "hash()" and not sys.flags.hash_randomization:
            return None
        return call

    def judge_python_call(self, frame: FrameType) -> Call | None:
        """What it means that the function of `frame` begins; None where it means nothing."""
        code = frame.f_code
        _, call = self.codes.get(id(code), (code, None))
        caller = frame.f_back
        if call is None or caller is None:
            return None
        if code.co_filename == random.__file__:
            call = self._judge_generator(frame, code.co_name, call)
        if call is None or not is_direct(caller, call.probe.through):
            return None
        if call.probe.arguments is not None and frame.f_locals[code.co_varnames[0]] is not None:
            return None
        return call

    def _find_method(self, function: Any) -> Call | None:
        """Methods of C types on whatever object: subclasses' clocks, generators, open files, connections."""
        name, owner = function.__name__, getattr(function, "__self__", None)
        if name in _CLOCK_METHODS:
            return self._find_clock(name, owner)
        if isinstance(owner, random.Random):
            return None if self._is_own(owner) else Call(FOREIGN_RANDOM, f"{type(owner).__name__}.{name}()")
        for kind, call in self._methods.get(name, ()):
            if isinstance(owner, kind):
                return call
        return None

    def _find_clock(self, name: str, owner: object) -> Call | None:
        bases = owner.__mro__[1:] if isinstance(owner, type) else ()
        known = (self.functions.get(getattr(base, name, None)) for base in bases)
        found = next((call for call in known if call is not None), None)
        return None if found is None else Call(found.probe, f"{getattr(owner, '__name__', '')}.{name}()")

    def _judge_generator(self, frame: FrameType, name: str, call: Call) -> Call | None:
        values = frame.f_locals
        generator = values.get("self")
        if isinstance(generator, random.SystemRandom):
            secret = self._system_call(name)
            return None if name == "__init__" else secret
        if not isinstance(generator, random.Random):
            return call
        if name == "__init__":
            if values.get("x") is None:
                return Call(UNSEEDED, f"{type(generator).__name__}()")
            self._own_generators.add(generator)
            return None
        if generator is getattr(random.random, "__self__", None):
            return call
        return None if self._is_own(generator) else Call(FOREIGN_RANDOM, f"{type(generator).__name__}.{name}()")

    def _system_call(self, name: str) -> Call:
        _, known = self.codes[id(random.SystemRandom.random.__code__)]
        return Call(known.probe, f"SystemRandom.{name}()")

    def _is_own(self, generator: random.Random) -> bool:
        """Made with a seed by the code of this or an earlier step, or by its context."""
        return generator in self._own_generators or type(generator).__module__ == "tenuto._worker.context"


PROBES: Final = Probes()


def _find(dotted: str) -> Any:
    """The object of that name, None where it does not exist or nobody has imported its module."""
    parts = dotted.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        module = importlib.import_module(name) if name in _ALWAYS else sys.modules.get(name)
        if module is None:
            continue
        found: Any = module
        for part in parts[cut:]:
            found = getattr(found, part, None)
        return found
    return None


def _shown(dotted: str) -> str:
    if dotted.startswith("os._Environ."):
        return "os.environ"
    return dotted.removeprefix("builtins.").removeprefix("_").removesuffix(".__init__") + "()"


def _is_plain(value: object) -> bool:
    return type(value) in _PLAIN


def _argument_count(code: CodeType, offset: int) -> int | None:
    """How many arguments the call instruction there passes; None where that cannot be told."""
    if not 0 <= offset < len(code.co_code) - 1:
        return None
    name = opname[code.co_code[offset]]
    return code.co_code[offset + 1] if name.startswith("CALL") and name != "CALL_FUNCTION_EX" else None
