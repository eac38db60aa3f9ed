"""Audit events: files, sockets and processes, from whatever code below the user's line they come.

The hook stays for the life of the process, since Python has no way to remove one. Outside of turns it is one look at
an empty table, and never raises.
"""

from __future__ import annotations

import sys
from threading import get_ident
from typing import Any

from tenuto._guard.catalog import EVENTS
from tenuto._guard.probes import Call
from tenuto._guard.stacks import is_installed
from tenuto._guard.turns import TURNS, Finder, note_fault

_installed: list[bool] = []


def install() -> None:
    """Adds the hook, once per process."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not TURNS or event not in EVENTS:
        return
    thread = get_ident()
    finder: Finder | None = TURNS.pop(thread, None)
    if finder is None:
        return
    try:
        if event != "open" or not _is_harmless(*arguments):
            finder.found(Call(EVENTS[event], event), sys._getframe(1), _detail(event, arguments))  # pyright: ignore[reportPrivateUsage]  # the only way
    except Exception as error:  # A fault of the guard must not become one of the workflow.
        note_fault(error)
    finally:
        TURNS[thread] = finder


def _is_harmless(path: object, mode: object, _flags: object = 0) -> bool:
    """Data that comes with Python or a library is the same wherever the code is."""
    is_read = not isinstance(mode, str) or not set(mode) & set("wax+")
    return isinstance(path, int) or (is_read and isinstance(path, str) and is_installed(path))


def _detail(event: str, arguments: tuple[Any, ...]) -> str:
    if event == "open" or event.startswith(("os.", "sqlite3.")):
        named = next((each for each in arguments if isinstance(each, (str, bytes))), None)
        return f"{event}({named!r})" if named is not None else f"{event}()"
    return f"{event}()"
