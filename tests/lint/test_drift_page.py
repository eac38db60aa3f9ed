"""The page about drift: its example is what the command says."""

from __future__ import annotations

import re
from pathlib import Path

from lint.test_base_revisions import git, lint
from tenuto._lint.registry import all_rules

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/lint-drift.md").read_text(encoding="utf-8")
COMMIT = re.compile(r"\([0-9a-f]{8}\)")


def test_the_example_is_told_as_shown(tmp_path: Path) -> None:
    """The page's change gives the page's text, the commit's id aside."""
    program = re.search(r"```python\n(import tenuto.*?)```", PAGE, re.DOTALL)
    shown = re.search(r"```text\n(orders\.py:.*?)```", PAGE, re.DOTALL)
    assert program
    assert shown
    git(tmp_path, "init", "-q")
    (tmp_path / "orders.py").write_text(program[1])
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "a shop")
    (tmp_path / "orders.py").write_text(program[1].replace('"charge"', '"charge-card"'))
    finished = lint(tmp_path, "--base", "HEAD", COLUMNS="120")
    assert COMMIT.sub("()", finished.stdout) == COMMIT.sub("()", shown[1])


def test_every_rule_that_needs_a_base_is_named() -> None:
    """The page's table holds the rules that look at a base revision, and no other."""
    assert re.findall(r"^\| \[(TEN\d+)\]", PAGE, re.MULTILINE) == [
        rule.id for rule in all_rules().values() if rule.check_base is not None
    ]
