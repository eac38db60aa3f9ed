"""What becomes of a call that was found: let pass, warned about once, or refused; and when the guard stands aside."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial
from threading import get_ident
from types import FrameType
from typing import Any, Final

from tenuto._guard import audit, backend
from tenuto._guard.catalog import LIBRARIES
from tenuto._guard.presence import aside_for_debugger
from tenuto._guard.probes import PROBES, Call
from tenuto._guard.stacks import Spot, adopt, find_spot
from tenuto._guard.suppressions import is_suppressed
from tenuto._guard.turns import TURNS, CallRefused, nothing
from tenuto.errors import GuardViolation

_log = logging.getLogger("tenuto.guard")
# Places are lines of code, so there are few; generated code might have names without end.
_MOST_PLACES: Final = 1_000
# One process, one list: several runtimes in it, and replays of the same code, tell of a line once.
_told: set[tuple[str, int, str]] = set()
_asides: set[str] = set()


class Mode(Enum):
    """What the guard does about a call that it finds."""

    OFF = "off"
    WARN = "warn"
    RAISE = "raise"


def choose_mode(given: str | None, variable: str | None) -> Mode:
    """The mode: as given, else as the variable TENUTO_GUARD says, else `warn`.

    Raises:
        ValueError: it names no mode.
    """
    name, source = (given, "guard") if given is not None else (variable or Mode.WARN.value, "TENUTO_GUARD")
    try:
        return Mode(name)
    except ValueError:
        raise ValueError(f"{source} is {name!r}, but must be off, warn or raise") from None


class Guard:
    """Watches workflow code of one runtime.

    Args:
        mode: what to do about what is found; with `OFF`, `watch` gives None and nothing is installed.
        workflows: the functions, for interpreters where code must be marked before it can be watched.
    """

    def __init__(self, mode: Mode, workflows: Iterable[Callable[..., Any]] = ()) -> None:
        self.mode = mode
        self._module_count = 0
        if mode is Mode.OFF:
            return
        audit.install()
        self._look_up()
        for workflow in workflows:
            code = getattr(inspect.unwrap(workflow), "__code__", None)
            if code is not None:
                adopt(code.co_filename)
            backend.cover(workflow)

    def watch(self, instance_id: str) -> Watch | None:
        """A watch over one execution; None with mode `OFF`."""
        if self.mode is Mode.OFF:
            return None
        if len(sys.modules) != self._module_count:
            self._look_up()  # A library that is known may have been imported meanwhile, by a workflow perhaps.
        return Watch(self.mode, instance_id)

    def _look_up(self) -> None:
        PROBES.load()
        backend.install()
        self._module_count = len(sys.modules)


class Watch:
    """The `StepWatch` of one execution."""

    __slots__ = ("_instance_id", "_is_in", "_mode", "_outer", "_refused", "pause", "resume")

    def __init__(self, mode: Mode, instance_id: str) -> None:
        self._mode = mode
        self._instance_id = instance_id
        self._outer: Watch | None = None
        self._refused: GuardViolation | None = None
        self._is_in = False
        # Between steps without effect: code that is dropped may still ask its context for something.
        self.pause: partial[Any] = nothing
        self.resume: partial[Any] = nothing

    def enter(self) -> None:
        """A step is about to begin on this thread."""
        if sys.gettrace() is not None or backend.HAS_MONITORING:
            reason = aside_for_debugger()
            if reason:
                stand_aside(reason)
                return
        thread = get_ident()
        self._outer = TURNS.get(thread)
        TURNS[thread] = self
        self._is_in = True
        reason = backend.begin(self)
        if reason:
            stand_aside(reason)

    def leave(self) -> None:
        """The step is over.

        Raises:
            GuardViolation: it made a call that is refused.
        """
        if self._is_in:
            backend.end(self)
            self._is_in = False
            if self._outer is None:
                del TURNS[get_ident()]
            else:
                TURNS[get_ident()] = self._outer
                self._outer.resume()
        if self._refused is not None:
            refused, self._refused = self._refused, None
            raise refused

    def found(self, call: Call, frame: FrameType, detail: str = "") -> None:
        """Code below `frame` makes, or is about to make, a call of the catalogue.

        Raises:
            CallRefused: it must not be made.
        """
        spot = find_spot(frame)
        if spot is None:
            return
        probe = next((LIBRARIES[name] for name in reversed(spot.libraries) if name in LIBRARIES), call.probe)
        key = (spot.file, spot.line, probe.topic)
        is_refused = self._mode is Mode.RAISE and probe.is_certain
        if key in _told and not is_refused:
            return
        if is_suppressed(spot.file, spot.line, probe.rule):
            if len(_told) < _MOST_PLACES:
                _told.add(key)
            return
        violation = GuardViolation(
            _name(call, spot, detail),
            what=probe.what,
            place=spot.place,
            function=spot.function,
            workflow=spot.workflow,
            instead=probe.instead,
            rule=probe.rule,
            instance_id=self._instance_id,
        )
        if is_refused:
            self._refused = violation
            raise CallRefused(violation)
        if len(_told) < _MOST_PLACES:
            _told.add(key)
            _log.warning("%s\n  so far:    the turn goes on; said once for this line and process", violation.finding)


def stand_aside(reason: str) -> None:
    """Says, once per reason, what the guard does not see now."""
    if reason not in _asides:
        _asides.add(reason)
        _log.warning("the guard stands aside: %s", reason)


def _name(call: Call, spot: Spot, detail: str) -> str:
    """As the user's line called it: a function of a library, perhaps, with what that does in the end."""
    own = detail or call.name
    callee = spot.callee
    if callee is None:
        return own
    module = callee.f_globals.get("__name__", "")
    if call.probe.through and module == "collections.abc":
        return own  # `os.environ.get`, whose frame names nothing that the user wrote.
    outer = f"{module}.{_own_name(callee)}".removesuffix(".__init__") + "()"
    is_same = f".{outer}".endswith(f".{own}")
    return outer if call.probe.through else own if is_same else f"{outer}, which does {own}"


def _own_name(frame: FrameType) -> str:
    """What a function is called; that of a dataclass without a file goes by its class, which the user wrote."""
    code = frame.f_code
    is_made = code.co_name == "__init__" and code.co_filename.startswith("<") and code.co_argcount > 0
    made = frame.f_locals.get(code.co_varnames[0]) if is_made else None
    return code.co_qualname if made is None else type(made).__qualname__
