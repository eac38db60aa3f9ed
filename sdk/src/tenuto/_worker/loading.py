"""Finds the `WorkflowRuntime` that some module holds, by MODULE:RUNTIME.

MODULE is an importable name or a path ending in `.py`; RUNTIME the name of the object in it.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast


class Runnable(Protocol):
    """What RUNTIME must be able to do."""

    def run(self) -> object:
        """Work until told to stop by a signal."""
        ...


class NotRunnable(Exception):
    """MODULE:RUNTIME names nothing that can be run; the message says what is wrong."""


def load(target: str) -> Runnable:
    """Import MODULE and return its RUNTIME; errors inside the module pass through.

    Raises:
        NotRunnable: the target is malformed, or there is no such module or runtime.
    """
    name, colon, attribute = target.rpartition(":")
    if not colon or not name or not attribute:
        raise NotRunnable(f"{target!r} is not of the form module:runtime, for example app:wfr")
    module = _import(name)
    found = getattr(module, attribute, None)
    if found is None:
        raise NotRunnable(f"module {name!r} has no {attribute!r}")
    if not callable(getattr(found, "run", None)):
        raise NotRunnable(f"{target} is a {type(found).__name__}, not a WorkflowRuntime")
    return cast("Runnable", found)


def _import(name: str) -> ModuleType:
    folder = Path.cwd()
    if name.endswith(".py"):
        path = Path(name).resolve()
        if not path.is_file():
            raise NotRunnable(f"there is no file {name}")
        folder, name = path.parent, path.stem
    # As `python script.py` does for its own folder, so that the app's other modules are found.
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise NotRunnable(f"there is no module {error.name!r} in {folder} or in this environment") from error
        raise


def trace_of_import(error: BaseException) -> str:
    """The traceback of what a module raised while it was imported, from that module on."""
    described = traceback.TracebackException.from_exception(error)
    frames = list(described.stack)
    own = [position for position, frame in enumerate(frames) if frame.filename == __file__]
    kept = frames[own[-1] + 1 if own else 0 :]
    described.stack = traceback.StackSummary.from_list([one for one in kept if "importlib" not in one.filename])
    return "".join(described.format())
