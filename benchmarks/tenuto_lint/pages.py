"""Markdown tables, and the parts of a page that a run writes between markers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "lint-accuracy.md"
_BEGIN, _END = "<!-- {name}: begin (written by benchmarks/{name}.py) -->", "<!-- {name}: end -->"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, words: int = 1) -> str:
    """A table whose first `words` columns hold words, and the others numbers."""
    rules = ["---" if number < words else "---:" for number in range(len(headings))]
    lines = [headings, rules, *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(part: int, whole: int) -> str:
    """A share with one digit; a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def first_report(name: str) -> dict[str, Any] | None:
    """The report of the run that was kept as the first one: `results/<date>-<name>-first.json`; None without one."""
    kept = sorted((ROOT / "benchmarks" / "results").glob(f"*-{name}-first.json"))
    return json.loads(kept[0].read_text(encoding="utf-8")) if kept else None


def write_part(name: str, text: str) -> None:
    """Put text between the markers of that name.

    Raises:
        ValueError: the page has no such markers.
    """
    page = PAGE.read_text(encoding="utf-8")
    begin, end = _BEGIN.format(name=name), _END.format(name=name)
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"{PAGE} lacks the markers {begin} and {end}")
    head, rest = page.split(begin)
    PAGE.write_text(f"{head}{begin}\n\n{text.strip()}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")
