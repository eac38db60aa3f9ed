"""Whose code a frame is, and which line of the user's stands behind a call."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from enum import Enum, auto
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import msgspec

from tenuto._guard.catalog import EXEMPT
from tenuto._replay.stepping import SteppedCode


class Owner(Enum):
    """Who wrote a piece of code. GENERATED has no file: a dataclass's `__init__`, a notebook's cell."""

    USER = auto()
    GENERATED = auto()
    LIBRARY = auto()
    STANDARD = auto()
    SDK = auto()


class Spot(msgspec.Struct, frozen=True):
    """Where user code called. `callee` is the Python function it called there, None where that is not Python."""

    file: str
    line: int
    function: str
    workflow: str
    callee: FrameType | None
    libraries: tuple[str, ...]

    @property
    def place(self) -> str:
        """As people write it, and terminals make a link of."""
        return f"{_shown(self.file)}:{self.line}"


_STEP: Final = SteppedCode.step_code()
OWN: Final = (Owner.USER, Owner.GENERATED)
_SDK: Final = str(Path(__file__).resolve().parent.parent) + os.sep
_PATHS: Final = sysconfig.get_paths()
STANDARD_FOLDERS: Final = tuple(
    {os.path.realpath(_PATHS[key]) + os.sep for key in ("stdlib", "platstdlib")}
    | {_PATHS[key] + os.sep for key in ("stdlib", "platstdlib")}
)
LIBRARY_FOLDERS: Final = tuple(
    {
        folder.removesuffix(os.sep) + os.sep
        for folder in (_PATHS["purelib"], _PATHS["platlib"], *site.getsitepackages(), site.getusersitepackages())
    }
)
_owners: dict[str, Owner] = {}
_own_packages: list[str] = []


def owner_of(file: str) -> Owner:
    """Who wrote the code of that file name, as code objects carry it."""
    owner = _owners.get(file)
    if owner is None:
        owner = _owners[file] = _find_owner(file)
    return owner


def adopt(file: str) -> None:
    """That file has workflow code: where it is installed as a library, its whole package is user code."""
    for folder in LIBRARY_FOLDERS:
        if file.startswith(folder):
            top = file[len(folder) :].partition(os.sep)[0]
            package = folder + top if top.endswith(".py") else folder + top + os.sep
            if package not in _own_packages:
                _own_packages.append(package)
                _owners.clear()
            return


def find_spot(frame: FrameType) -> Spot | None:
    """The user's line behind what `frame` is about to do; None where it is not user code's doing.

    It is not where the SDK, or a module of `EXEMPT`, stands between, nor where an object is being destroyed: that
    happens whenever the garbage is collected.
    """
    nearest: FrameType | None = None
    generated: FrameType | None = None
    callee: FrameType | None = None
    inner: FrameType | None = None
    libraries: list[str] = []
    outer: FrameType | None = frame
    while outer is not None and (code := outer.f_code) is not _STEP:
        owner = owner_of(code.co_filename)
        top = str(outer.f_globals.get("__name__") or "").partition(".")[0]
        if owner is Owner.SDK or code.co_name == "__del__" or (owner not in OWN and top in EXEMPT):
            return None
        if nearest is None:
            if owner is Owner.USER:
                nearest, callee = outer, generated or inner
            elif owner is Owner.GENERATED:
                generated = generated or outer
            else:
                libraries.append(top)
        inner, outer = outer, outer.f_back
    shown = nearest or generated or inner
    if outer is None or shown is None or inner is None:
        return None
    return Spot(
        shown.f_code.co_filename,
        shown.f_lineno,
        shown.f_code.co_qualname,
        _describe(inner.f_code),
        None if callee is shown else callee,
        tuple(libraries),
    )


def is_direct(frame: FrameType, through: frozenset[str]) -> bool:
    """Whether user code itself called, or only `through` modules of the standard library stand between."""
    caller: FrameType | None = frame
    while caller is not None:
        owner = owner_of(caller.f_code.co_filename)
        if owner in OWN:
            return True
        if owner is not Owner.STANDARD or caller.f_globals.get("__name__") not in through:
            return False
        caller = caller.f_back
    return False


def is_installed(path: str) -> bool:
    """Whether a file comes with Python, a library or the system's time zones: data that belongs to the deployment."""
    zones: Any = sys.modules.get("zoneinfo")  # Its C code opens files with no frame of its own.
    return path.startswith((*STANDARD_FOLDERS, *LIBRARY_FOLDERS)) or (
        zones is not None and any(path.startswith(folder + os.sep) for folder in zones.TZPATH)
    )


def _find_owner(file: str) -> Owner:
    if file.startswith(_SDK):
        return Owner.SDK
    if file.startswith("<"):
        return Owner.STANDARD if file.startswith("<frozen ") else Owner.GENERATED
    if any(file.startswith(package) for package in _own_packages):
        return Owner.USER
    if file.startswith(LIBRARY_FOLDERS):
        return Owner.LIBRARY
    return Owner.STANDARD if file.startswith(STANDARD_FOLDERS) else Owner.USER


def _describe(code: CodeType) -> str:
    return f"{code.co_qualname} ({_shown(code.co_filename)}:{code.co_firstlineno})"


def _shown(file: str) -> str:
    """Relative to the working directory, if below."""
    try:
        return file.removeprefix(f"{Path.cwd()}{os.sep}")
    except OSError:  # The directory is gone.
        return file
