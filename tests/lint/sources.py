"""Projects of a few lines, written for one test."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from tenuto._lint.config import Config
from tenuto._lint.finding import Finding
from tenuto._lint.run import Report, Run


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files with their text, unindented; `pyproject.toml` marks the root unless given."""
    for name, text in {"pyproject.toml": "", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")


def lint(folder: Path, config: Config | None = None, *, use_cache: bool = False) -> Report:
    """Lint a whole folder, with paths relative to it."""
    config = config or Config(root=folder)
    return Run(config, base=folder, use_cache=use_cache).lint([folder])


def brief(findings: list[Finding]) -> list[str]:
    """Findings as `path:line rule`."""
    return [f"{one.path}:{one.line} {one.rule}" for one in findings]
