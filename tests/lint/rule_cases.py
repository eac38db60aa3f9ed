"""Fixtures of rules: what each file expects, and what the linter finds in it."""

from __future__ import annotations

import re
from pathlib import Path

from tenuto._lint.api import lint_paths
from tenuto._lint.config import Config
from tenuto._lint.drift.revisions import BaseSources
from tenuto._lint.finding import Finding
from tenuto._lint.fixes import fix_source, safe_fixes

FOLDER = Path(__file__).parent / "fixtures"
_EXPECTED = re.compile(r"#\s*expect:\s*([A-Z0-9, ]+)")
Place = tuple[str, int, str]


def cases(rule: str) -> list[Path]:
    """The fixtures of a rule: files, or folders with several modules."""
    folder = FOLDER / rule
    return sorted(path for path in folder.glob("*") if path.suffix == ".py" or (path.is_dir() and path.name[0] in "bg"))


def expected(case: Path) -> set[Place]:
    """What the comments of a fixture expect: file, line, rule."""
    places: set[Place] = set()
    for path in sorted(case.rglob("*.py")) if case.is_dir() else [case]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if match := _EXPECTED.search(line):
                places |= {(path.name, number, rule.strip()) for rule in match[1].split(",") if rule.strip()}
    return places


def base_of(case: Path) -> BaseSources | None:
    """The base revision of a fixture, where it has one.

    A file `x.py.base` holds what `x.py` was; a module whose name begins with `new_` did not exist; others are the same.
    """
    held = {path.relative_to(case).with_suffix("").as_posix(): path.read_bytes() for path in case.rglob("*.py.base")}
    if not held:
        return None
    same = {path.relative_to(case).as_posix() for path in case.rglob("*.py") if not path.name.startswith("new_")}
    return BaseSources("base", case, frozenset(held) | same, held)


def found(case: Path, rule: str) -> list[Finding]:
    """What profile `core` and the rule itself find in a fixture."""
    report = lint_paths([case], Config(select=(rule,)), revision=base_of(case))
    assert report.faults == []
    return report.findings


def places(findings: list[Finding]) -> set[Place]:
    """Where findings are: file, line, rule."""
    return {(Path(one.path).name, one.line, one.rule) for one in findings}


def fixed(case: Path, rule: str) -> str:
    """A fixture after `--fix` of one rule."""
    fixes = safe_fixes(one for one in found(case, rule) if one.rule == rule)
    return fix_source(case.read_bytes(), fixes)[0].decode()
