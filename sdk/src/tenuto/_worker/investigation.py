"""Looks at the code behind a difference: its names, its text, what the linter says. Called only once there is one.

None of it may harm the turn: what cannot be read is not told, and a linter that fails or takes long is left out.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from tenuto._replay.operations import source_files
from tenuto._replay.scene import Suspect, Suspects
from tenuto._worker.reachable_code import mentioned_names, reachable

# (path of the file, qualified name of the function) -> what may differ each time it runs.
Linter = Callable[[str, str], Sequence[Suspect]]

_log = logging.getLogger("tenuto.worker")
# The linter reads the project's files; the worker's other turns wait meanwhile.
_LINT_SECONDS: Final = 3.0
_LARGEST_FILE_BYTES: Final = 2 << 20


class CodeInvestigator:
    """Answers a report's questions about workflow functions, and remembers what the linter said of each.

    Args:
        lint: see `Linter`; it may raise anything. None: no linter.
        lint_seconds: how long a report waits for it at most.
    """

    def __init__(self, lint: Linter | None, *, lint_seconds: float = _LINT_SECONDS) -> None:
        self._lint = lint
        self._lint_seconds = lint_seconds
        self._known: dict[object, Suspects] = {}

    def mentioned(self, function: Callable[..., Any]) -> frozenset[str] | None:
        """Names that the function, and what it calls in its project, mention; None where its code is not at hand."""
        return mentioned_names(function)

    def suspects(self, function: Callable[..., Any]) -> Suspects:
        """What the linter finds in the function."""
        code = getattr(inspect.unwrap(function), "__code__", None)
        if self._lint is None or code is None:
            return Suspects()
        known = self._known.get(code)
        if known is None:
            # Meanwhile this stands for it: a linter that hangs is asked once per function.
            self._known[code] = Suspects(note="the linter needs too long here: run `tenuto lint` on this file")
            path, name = code.co_filename, inspect.unwrap(function).__qualname__
            thread = threading.Thread(target=self._run, args=(code, path, name), name="tenuto-lint", daemon=True)
            thread.start()
            thread.join(self._lint_seconds)
            known = self._known[code]
        return known

    def _run(self, code: object, path: str, name: str) -> None:
        assert self._lint is not None
        try:
            self._known[code] = Suspects(list(self._lint(path, name)))
        except Exception as error:  # It reads whatever a project holds; its faults are not the workflow's.
            _log.warning("the linter could not look at %s in %s", name, path, exc_info=error)
            self._known[code] = Suspects(note=f"the linter could not look at the function: {type(error).__name__}")

    def text_of(self, source: str, function: Callable[..., Any]) -> str | None:
        """The whole text of the file that `source` ("folder/file.py:12") is of; None where it is not at hand."""
        short = source.rpartition(":")[0]
        own = [each.__code__.co_filename for each in reachable(function)]
        # The workflow's own files first: another folder of the same name may hold a file of the same name.
        candidates = [*(file for file in own if file.replace("\\", "/").endswith(f"/{short}")), *source_files(source)]
        for file in dict.fromkeys(candidates):
            try:
                path = Path(file)
                if path.stat().st_size <= _LARGEST_FILE_BYTES:
                    return path.read_text(encoding="utf-8")
            except (OSError, ValueError):
                continue
        return None
