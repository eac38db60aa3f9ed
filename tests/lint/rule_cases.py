"""Fixtures of rules: what each file expects, and what the linter finds in it."""

from __future__ import annotations

import re
from pathlib import Path

from tenuto._lint.api import lint_paths
from tenuto._lint.config import Config
from tenuto._lint.finding import Finding

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


def found(case: Path, rule: str) -> list[Finding]:
    """What profile `core` and the rule itself find in a fixture."""
    report = lint_paths([case], Config(select=(rule,)))
    assert report.faults == []
    return report.findings


def places(findings: list[Finding]) -> set[Place]:
    """Where findings are: file, line, rule."""
    return {(Path(one.path).name, one.line, one.rule) for one in findings}
