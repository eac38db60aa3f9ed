"""The plugin for flake8: the same findings, under flake8's own selection, `noqa` and output.

flake8 hands over one file at a time, in several processes; a workflow's helpers are in other files. So the first file
that a process is given has all files of the command line linted, once, and each file then gets what was found in it.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from tenuto._lint.api import lint_paths
from tenuto._lint.config import Config, ConfigError, find_config
from tenuto._lint.finding import Finding
from tenuto._lint.project import DiskSources
from tenuto._lint.run import NO_PYTHON

_STANDARD_INPUT = ("stdin", "-")


class Plugin:
    """One file, as flake8 wants it checked."""

    name = "tenuto"
    version = version("tenuto")
    _paths: ClassVar[tuple[str, ...]] = ()
    _config: ClassVar[Config] = Config()
    _known: ClassVar[dict[Path, list[Finding]] | None] = None

    def __init__(self, tree: ast.AST, filename: str, lines: list[str]) -> None:
        del tree  # It asks for one, so that flake8 calls it once for each file, and not for what is no Python.
        self._filename = filename
        self._lines = lines

    @classmethod
    def parse_options(cls, options: argparse.Namespace) -> None:
        """Note what flake8 was told to check; the configuration is that of `tenuto lint`.

        Raises:
            SystemExit: the configuration is wrong; with the sentence that says how.
        """
        cls._paths = tuple(one for one in options.filenames or (".",) if one not in _STANDARD_INPUT)
        cls._known = None
        first = Path(cls._paths[0]) if cls._paths else Path.cwd()
        try:
            cls._config = find_config(first.absolute())
        except ConfigError as error:
            raise SystemExit(f"error: {error}") from error

    def run(self) -> Iterator[tuple[int, int, str, type[Any]]]:
        """Yield line from 1, column from 0, `TEN101 message`, and this class."""
        for finding in self._findings():
            if finding.rule != NO_PYTHON:
                yield finding.line, finding.column - 1, f"{finding.rule} {finding.message}", type(self)

    def _findings(self) -> list[Finding]:
        path = Path(self._filename).absolute()
        if path.is_file() and self._lines == _lines_of(path):
            known = self._of_all()
            if path in known or any(path.is_relative_to(Path(one).absolute()) for one in self._paths):
                return known.get(path, [])
        # An editor's unsaved text, or a file that flake8 found elsewhere.
        sources = DiskSources({path: "".join(self._lines).encode()})
        return _by_path(lint_paths([path], self._config, sources=sources).findings).get(path, [])

    @classmethod
    def _of_all(cls) -> dict[Path, list[Finding]]:
        """What was found in all files of the command line, by file."""
        if cls._known is None:
            cls._known = _by_path(lint_paths(cls._paths, cls._config).findings)
        return cls._known


def _by_path(findings: list[Finding]) -> dict[Path, list[Finding]]:
    found: dict[Path, list[Finding]] = {}
    for finding in findings:
        found.setdefault(Path(finding.path).absolute(), []).append(finding)
    return found


def _lines_of(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError):
        return []
