"""`tenuto lint`: finds what would differ in a replay. Needs no engine, and imports neither its client nor user code."""

from __future__ import annotations

import difflib
import os
import shutil
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer

from tenuto._lint.config import Config, ConfigError, find_config, with_options
from tenuto._lint.drift.revisions import BaseSources, BaseUnavailable, read_base
from tenuto._lint.finding import Finding
from tenuto._lint.fixes import fix_source, safe_fixes
from tenuto._lint.github import as_github
from tenuto._lint.output import as_json
from tenuto._lint.project import DiskSources, Project, decode, digest_of
from tenuto._lint.run import Report, Run
from tenuto._lint.sarif import as_sarif
from tenuto._lint.text import Line, layout, statistics, summary

FOUND, USAGE = 1, 2
# Mending one finding may show another one; so many rounds are plenty.
_ROUNDS = 5
_WIDEST = 120
_STDIN = "-"


class LintOutput(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def lint(
    context: typer.Context,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="[PATHS]...", help="Files and folders; - for standard input.")
    ] = None,
    *,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="core, strict or pedantic; default: core.")
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="RULES", help="Run these rules too: TEN152, or TEN15 for all."),
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", metavar="RULES", help="Do not run these.")] = None,
    severity: Annotated[
        str | None,
        typer.Option(
            "--severity", metavar="LEVEL", help="Fail from this level: error, warning or info; default: info."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="REVISION", help="Find what would stop instances started on this git revision."),
    ] = None,
    output: Annotated[LintOutput, typer.Option("--output", "-o", help="How findings are written.")] = LintOutput.TEXT,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what --fix would change, and change nothing.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Read and write no .tenuto_cache.")] = False,
    show_statistics: Annotated[bool, typer.Option("--statistics", help="Count findings by rule at the end.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="Write without colours; NO_COLOR does too.")] = False,
) -> None:
    """Find what would differ when workflows are replayed: clocks, randomness, I/O and more, through all they call.

    Exit codes: 0 nothing found; 1 something found, or --diff would change something; 2 wrong usage or configuration.
    """
    del context
    given = paths or ["."]
    try:
        _refuse_missing(given)
        config = with_options(
            find_config(_first(given)), profile=profile, select=select or (), ignore=ignore or (), fail_on=severity
        )
        revision = None if base is None else read_base(base, _folder(given))
    except (ConfigError, BaseUnavailable) as error:
        _stop(str(error))
    task = _Task(given, config, revision=revision, use_cache=not no_cache)
    report = task.run()
    if diff:
        raise typer.Exit(FOUND if task.show_changes(report) else 0)
    if fix:
        report = task.mend(report)
    task.show(report, output, counted=show_statistics, is_coloured=not no_color)
    raise typer.Exit(FOUND if any(one.severity.rank <= config.fail_on.rank for one in report.findings) else 0)


def _first(given: Sequence[str]) -> Path:
    return Path.cwd() if given[0] == _STDIN else Path(given[0]).absolute()


def _folder(given: Sequence[str]) -> Path:
    """The folder whose repository holds what is linted."""
    first = _first(given)
    return first if first.is_dir() else first.parent


def _refuse_missing(given: Sequence[str]) -> None:
    missing = [one for one in given if one != _STDIN and not Path(one).exists()]
    if missing:
        raise ConfigError(f"there is no file or folder {missing[0]!r}")


def _stop(text: str) -> NoReturn:
    print(f"error: {text}", file=sys.stderr)
    raise typer.Exit(USAGE)


class _Task:
    """One run of the command: what is linted, and what of it comes from standard input."""

    def __init__(self, given: Sequence[str], config: Config, *, revision: BaseSources | None, use_cache: bool) -> None:
        self._config = config
        self._revision = revision
        self._use_cache = use_cache
        self._prints_source = False
        self._project = Project()
        self._stdin = Path("<stdin>").absolute() if _STDIN in given else None
        self._contents = {} if self._stdin is None else {self._stdin: sys.stdin.buffer.read()}
        self._paths = [self._stdin if one == _STDIN and self._stdin else Path(one) for one in given]

    def run(self) -> Report:
        run = Run(
            self._config,
            sources=DiskSources(self._contents),
            revision=self._revision,
            use_cache=self._use_cache,
        )
        self._project = run.project
        return run.lint(self._paths)

    def source(self, path: str) -> bytes:
        """The bytes of a file by the path of its findings."""
        file = Path(path).absolute()
        try:
            return self._contents[file] if file in self._contents else file.read_bytes()
        except OSError:
            return b""

    # -- fixes

    def mend(self, report: Report) -> Report:
        """Apply safe fixes until there are none, and return what is left to find."""
        mended = 0
        for _ in range(_ROUNDS):
            counts = [
                count for path, after, count in self._changed(report) if self._replace(Path(path).absolute(), after)
            ]
            if not counts:
                break
            mended += sum(counts)
            report = self.run()
        if self._stdin is not None:
            # Bytes, so that line ends and encoding stay as they came.
            sys.stdout.flush()
            sys.stdout.buffer.write(self._contents[self._stdin])
            sys.stdout.buffer.flush()
            self._prints_source = True
        if mended:
            print(f"mended {mended} finding{'s' if mended > 1 else ''}", file=sys.stderr)
        return report

    def _replace(self, file: Path, content: bytes) -> bool:
        """Give a file other content, all of it or nothing; answer whether that was possible."""
        if file in self._contents:
            self._contents[file] = content
            return True
        target = file.resolve()
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            temporary.write_bytes(content)
            shutil.copymode(target, temporary)
            temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            print(f"error: {file} cannot be written: {error.strerror or error}", file=sys.stderr)
            return False
        return True

    def _changed(self, report: Report) -> list[tuple[str, bytes, int]]:
        """Files that safe fixes change, each with its new bytes and how many fixes they hold.

        Helpers beyond what was to be linted stay as they are, and so does a file that somebody has changed meanwhile.
        """
        by_path: dict[str, list[Finding]] = {}
        for one in report.findings:
            by_path.setdefault(one.path, []).append(one)
        changed: list[tuple[str, bytes, int]] = []
        for path, findings in by_path.items():
            file, source, fixes = Path(path).absolute(), self.source(path), safe_fixes(findings)
            is_meant = any(file.is_relative_to(one.absolute()) for one in self._paths)
            if fixes and is_meant and self._project.digest_at(file) == digest_of(source):
                after, count = fix_source(source, fixes)
                changed += [(path, after, count)] if count else []
        return changed

    def show_changes(self, report: Report) -> bool:
        """Write what safe fixes would change; answer whether there is anything."""
        changed = self._changed(report)
        for path, after, _ in changed:
            before = decode(self.source(path)).splitlines(keepends=True)
            lines = difflib.unified_diff(before, decode(after).splitlines(keepends=True), f"a/{path}", f"b/{path}")
            sys.stdout.writelines(lines)
        return bool(changed)

    # -- results

    def show(self, report: Report, output: LintOutput, *, counted: bool, is_coloured: bool) -> None:
        """Write the findings; with a program's format nothing else goes to standard output."""
        for fault in report.faults:
            print(f"error: {fault}; this is a fault of the linter, please report it", file=sys.stderr)
        lines = statistics(report.findings) if counted else []
        if output is not LintOutput.TEXT:
            print(_formatted(report, output), file=self._stream)
            for line in lines:
                print(line, file=sys.stderr)
            return
        width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
        rows = list(layout(report.findings, lambda path: decode(self.source(path)).split("\n"), width=width))
        rows += [[(line, "")] for line in lines]
        rows.append([(summary(report.findings, report.files), "bold" if report.findings else "green")])
        _write(rows, self._stream, is_coloured=is_coloured)

    @property
    def _stream(self) -> TextIO:
        """Where findings go: standard output, unless the mended source is there."""
        return sys.stderr if self._prints_source else sys.stdout


def _formatted(report: Report, output: LintOutput) -> str:
    """A report in a format of programs."""
    match output:
        case LintOutput.SARIF:
            return as_sarif(report.findings, report.faults)
        case LintOutput.GITHUB:
            return "\n".join(as_github(report.findings))
        case _:
            return as_json(report.findings)


def _write(rows: list[Line], stream: TextIO, *, is_coloured: bool) -> None:
    """Paint on a terminal, write plainly elsewhere."""
    if not stream.isatty():
        print("\n".join("".join(text for text, _ in row).rstrip() for row in rows), file=stream)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, no_color=None if is_coloured else True, highlight=False, emoji=False, markup=False)
    for row in rows:
        console.print(Text.assemble(*row), soft_wrap=True)
