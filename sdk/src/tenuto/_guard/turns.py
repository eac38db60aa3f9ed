"""Which threads run a step of workflow code at this moment: what every hook asks first."""

from __future__ import annotations

import logging
from functools import partial
from threading import get_ident
from types import FrameType
from typing import Any, Final, Protocol

from tenuto._guard.probes import PROBES, UNKNOWN, Call
from tenuto.errors import GuardViolation, WorkflowSignal

_log = logging.getLogger("tenuto.guard")


class CallRefused(WorkflowSignal):
    """Raised instead of a call that workflow code must not make. Its turn is refused even where it is swallowed."""

    def __init__(self, violation: GuardViolation) -> None:
        super().__init__(str(violation))
        self.violation = violation


class Finder(Protocol):
    """Who is told what was found."""

    def found(self, call: Call, frame: FrameType, detail: str = "") -> None:
        """Raises `CallRefused` where the call must not be made."""
        ...


class Pausable(Protocol):
    """A watch, as far as what sees the calls cares."""

    pause: partial[Any]
    resume: partial[Any]


# By thread id. A thread that is not in it is none of the guard's business.
TURNS: Final[dict[int, Any]] = {}
_faults: set[str] = set()
# Does nothing, and without a frame or an event that a hook would see.
nothing: Final[partial[Any]] = partial(bool)


def met_c_call(caller: FrameType, function: Any, first: object = UNKNOWN) -> None:
    """Code of a turn calls a C function that the tables know.

    Raises:
        CallRefused: it must not be made.
    """
    thread = get_ident()
    # Out of the turn while it is judged: source lines are read and log lines written, which is not user code's doing.
    finder: Finder | None = TURNS.pop(thread, None)
    if finder is None:
        return
    try:
        call = PROBES.judge_c_call(caller, function, first)
        if call is not None:
            finder.found(call, caller)
    except Exception as error:  # A fault of the guard must not become one of the workflow.
        note_fault(error)
    finally:
        TURNS[thread] = finder


def met_python_call(frame: FrameType) -> None:
    """The function of `frame`, which the tables may know, begins within a turn.

    Raises:
        CallRefused: it must not.
    """
    thread = get_ident()
    finder: Finder | None = TURNS.pop(thread, None)
    if finder is None:
        return
    try:
        call = PROBES.judge_python_call(frame)
        if call is not None and frame.f_back is not None:
            finder.found(call, frame.f_back)
    except Exception as error:  # As above.
        note_fault(error)
    finally:
        TURNS[thread] = finder


def note_fault(error: Exception) -> None:
    """A fault of the guard itself, logged once per kind."""
    kind = f"{type(error).__qualname__}: {error}"
    if kind not in _faults:
        _faults.add(kind)
        _log.error("the guard failed to judge a call, and let it pass: %s", kind, exc_info=error)
