"""Recorded histories as tests that pytest runs: what `tenuto_pytest` adds where histories are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest

from tenuto._offline.perturbing import PerturbOptions
from tenuto._offline.processes import ApplicationRefused
from tenuto._offline.replaying import ReplayOptions
from tenuto._offline.results import ReplayResult
from tenuto._offline.sources import NothingFound, find_files
from tenuto._offline.suite import code_of, run_suite
from tenuto._worker.loading import NotRunnable, load, trace_of_import
from tenuto.errors import ReplayFailed
from tenuto.worker import WorkflowRuntime


def found(places: Sequence[str]) -> list[Path]:
    """Return the histories at some places; none where there are no places.

    Raises:
        UsageError: a place holds none.
    """
    try:
        return find_files(places)
    except NothingFound as error:
        raise pytest.UsageError(str(error)) from error


def history_items(session: pytest.Session, places: Sequence[str], app: str, *, perturb: bool) -> list[pytest.Item]:
    """Return a test for each history.

    Args:
        session: what they belong to.
        places: files, folders, patterns.
        app: the code, as MODULE:RUNTIME.
        perturb: whether they are replayed in changed surroundings too.

    Raises:
        UsageError: there are no such histories, or no such code.
    """
    files = found(places)
    replays = _Replays(_runtime(app), files, app if perturb else "")
    make = cast("Callable[..., HistoryItem]", HistoryItem.from_parent)  # pyright: ignore[reportUnknownMemberType]  # pytest's
    return [make(session, name=path.stem, nodeid=f"{path}::replay", path=path, replays=replays) for path in files]


def _runtime(app: str) -> WorkflowRuntime:
    try:
        runtime = load(app)
    except NotRunnable as error:
        raise pytest.UsageError(str(error)) from error
    except Exception as error:  # Whatever the module raises while it is imported is the user's to read.
        raise pytest.UsageError(f"{app} cannot be imported:\n{trace_of_import(error)}") from error
    if not isinstance(runtime, WorkflowRuntime):
        raise pytest.UsageError(f"{app} is a {type(runtime).__name__}, not a WorkflowRuntime")
    return runtime


class _Replays:
    """The results of all histories, made together when the first test asks: perturbing shares its processes."""

    def __init__(self, runtime: WorkflowRuntime, files: list[Path], target: str) -> None:
        self._runtime = runtime
        self._files = files
        self._target = target

    @cached_property
    def results(self) -> dict[Path, ReplayResult]:
        """The result of each file."""
        tried = PerturbOptions() if self._target else None
        code = code_of(self._runtime)
        outcome = run_suite(code, self._files, options=ReplayOptions(), target=self._target, perturb=tried)
        return dict(zip(self._files, outcome.results, strict=True))


class HistoryItem(pytest.Item):
    """The test of one history: its failure is the report of the replay."""

    def __init__(self, *, replays: _Replays, **given: Any) -> None:
        super().__init__(**given)  # pyright: ignore[reportUnknownMemberType]  # pytest's
        self._replays = replays

    def runtest(self) -> None:
        """Replay, or look up what was found where all are replayed at once."""
        try:
            self._replays.results[self.path].raise_for_problem()
        except ApplicationRefused as refused:
            pytest.fail(f"the application cannot be imported by a replay process:\n{refused}", pytrace=False)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the report alone: no line of ours is to blame."""
        if isinstance(excinfo.value, ReplayFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where it stands, and what pytest calls it."""
        return self.path, 0, f"replay of {self.path.name}"
