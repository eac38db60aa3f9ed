"""Calls seen through `sys.setprofile`, set while user code runs: for Python 3.11.

The hook runs for every call and return within a step, so it does as little as can be: two look-ups. It reads
`f_globals` first because reading `f_code` is an audit event, and the audit hook makes those dear.
"""

from __future__ import annotations

import sys
from functools import partial
from types import FrameType
from typing import Any, Final

from tenuto._guard.probes import PROBES
from tenuto._guard.turns import Pausable, met_c_call, met_python_call, nothing

_functions = PROBES.functions
_method_names = PROBES.method_names
_modules = PROBES.modules


def install() -> None:
    """Nothing to install: the hook is set for each step."""


def cover(thing: Any) -> None:  # as of `monitoring`
    """Nothing to mark: the hook sees all code of its thread."""


def begin(watch: Pausable) -> str:
    """Lets `resume` set the hook on this thread; where a profiler has the place, says why not."""
    former = sys.getprofile()
    if former is not None and former is not _hook:
        module = getattr(former, "__module__", None) or type(former).__module__
        return f"a profiler ({module}) has the hook of this thread, so only files, network and processes are seen"
    watch.pause, watch.resume = _unset, _set
    return ""


def end(watch: Pausable) -> None:
    """From now on `pause` and `resume` do nothing."""
    watch.pause = watch.resume = nothing


def _hook(frame: FrameType, event: str, argument: Any) -> None:
    if event == "c_call":
        if argument in _functions or argument.__name__ in _method_names:
            met_c_call(frame, argument)
    elif event == "call" and frame.f_globals.get("__name__") in _modules:
        met_python_call(frame)


# Partials, since calling one is no event: the hook does not see itself being taken away.
_set: Final[partial[Any]] = partial(sys.setprofile, _hook)
_unset: Final[partial[Any]] = partial(sys.setprofile, None)
