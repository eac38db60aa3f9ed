"""The linter for the rest of this package. Nothing here runs the code it reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tenuto._lint.config import Config
from tenuto._lint.drift.revisions import BaseSources
from tenuto._lint.finding import Finding
from tenuto._lint.project import Sources
from tenuto._lint.run import Report, Run


def lint_paths(
    paths: Iterable[Path | str],
    config: Config | None = None,
    *,
    sources: Sources | None = None,
    revision: BaseSources | None = None,
) -> Report:
    """Lint files, and the Python files below folders.

    Args:
        paths: files and folders.
        config: which rules, and where. None: profile `core`.
        sources: where files come from, such as a revision. None: the disk.
        revision: what to compare workflows with (`drift.revisions.read_base`). None: nothing.
    """
    return Run(config or Config(), sources=sources, revision=revision).lint([Path(path) for path in paths])


def lint_function(path: str, qualname: str, config: Config | None = None) -> list[Finding]:
    """Return what is found in one function, taken for a workflow, and in what it calls in its project.

    Args:
        path: its file.
        qualname: its qualified name: `C.run`, `f.<locals>.g`.
        config: which rules. None: profile `core`.

    Returns:
        Findings by path and place; empty where there is no such function, or it cannot be read.
    """
    return Run(config or Config()).lint_function(Path(path), qualname).findings
