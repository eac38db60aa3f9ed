"""Findings for people: each with the source it is about, why it matters, and what to write instead.

The layout is made of styled pieces, which rich paints on a terminal; elsewhere they are plain text, and rich is not
even imported.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from tenuto._lint.finding import Finding, Severity

Piece = tuple[str, str]
Line = list[Piece]
_COLORS = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold blue"}
_LABEL = 10
_MOST_LINES = 3


def layout(findings: Iterable[Finding], source_of: Callable[[str], list[str]], *, width: int = 110) -> Iterator[Line]:
    """Yield the lines of a report.

    Args:
        findings: in the order to show them.
        source_of: gives the lines of a file by the path of its findings.
        width: where sentences are wrapped, in characters.
    """
    for finding in findings:
        yield from _finding(finding, source_of(finding.path), width)
        yield []


def _finding(finding: Finding, lines: list[str], width: int) -> Iterator[Line]:
    yield [
        (f"{finding.path}:{finding.line}:{finding.column}", "bold"),
        (" ", ""),
        (f"{finding.severity.value} {finding.rule}", _COLORS[finding.severity]),
        (f" {finding.name}: ", ""),
        (finding.message, "bold"),
    ]
    yield from _excerpt(finding, lines)
    parts = [("why", finding.why), ("replay", finding.breaks), ("instead", finding.instead)]
    if finding.fix is not None:
        parts.append(("fix", finding.fix.title + (" (--fix)" if finding.fix.is_safe else " (look at it first)")))
    if len(finding.chain) > 1:
        parts.append(("chain", " → ".join(finding.chain)))
    if finding.others:
        others = "1 other workflow reaches" if finding.others == 1 else f"{finding.others} other workflows reach"
        parts.append(("", f"{others} this place too"))
    for label, text in parts:
        style = "green" if label in ("instead", "fix") else ""
        for number, line in enumerate(_wrapped(text, max(40, width - _LABEL - 2))):
            yield [(f"  {label if not number else '':<{_LABEL - 2}}", "dim"), (line, style)]


def _wrapped(text: str, width: int) -> Iterator[str]:
    """The lines of a text: its first paragraph wrapped, the rest (code, columns) as it stands."""
    first, *rest = text.split("\n\n", 1)
    yield from textwrap.wrap(first, width, break_on_hyphens=False, break_long_words=False)
    for part in rest:
        yield ""
        yield from (line.rstrip() for line in part.split("\n"))


def _excerpt(finding: Finding, lines: list[str]) -> Iterator[Line]:
    """The lines of the place, with carets below; of a long one its beginning, after the line before it."""
    last = min(finding.end_line, finding.line + _MOST_LINES - 1, len(lines))
    if not 1 <= finding.line <= len(lines):
        return
    first = finding.line - 1 if finding.line > 1 and lines[finding.line - 2].strip() else finding.line
    digits = max(4, len(str(last)))
    for number in range(first, last + 1):
        text = lines[number - 1].expandtabs(4)
        yield [(f"  {number:>{digits}} │ ", "dim"), (text, "")]
        if number >= finding.line:
            start, end = _span(finding, number, lines[number - 1])
            yield [
                (f"  {'':>{digits}} │ ", "dim"),
                (" " * start + "^" * max(1, end - start), _COLORS[finding.severity]),
            ]


def _span(finding: Finding, number: int, line: str) -> tuple[int, int]:
    """First and last column of the carets below one line, tabs expanded."""
    start = finding.column - 1 if number == finding.line else len(line) - len(line.lstrip())
    end = finding.end_column - 1 if number == finding.end_line else len(line.rstrip())
    return len(line[:start].expandtabs(4)), len(line[:end].expandtabs(4))


def summary(findings: list[Finding], files: int) -> str:
    """Return the last line of a report: how many of what, and what `--fix` would do."""
    checked = _count(files, "file")
    if not findings:
        return f"nothing found in {checked}"
    counts = Counter(one.severity for one in findings)
    parts = [_count(counts[one], one.value) for one in Severity if counts[one]]
    fixable = sum(one.fix is not None and one.fix.is_safe for one in findings)
    tail = f"; --fix mends {fixable}" if fixable else ""
    return f"{', '.join(parts)} in {checked}{tail}"


def statistics(findings: Iterable[Finding]) -> list[str]:
    """Return one line per rule that found something, most first."""
    counts = Counter((one.rule, one.name) for one in findings)
    return [
        f"{count:>6}  {rule} {name}" for (rule, name), count in sorted(counts.items(), key=lambda it: (-it[1], it[0]))
    ]


def _count(number: int, what: str) -> str:
    plural = what if number == 1 or what == Severity.INFO else f"{what}s"
    return f"{number} {plural}"
