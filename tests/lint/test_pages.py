"""What a rule's page shows is what the rule does: the example is found, what to use instead is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenuto._lint.api import lint_paths
from tenuto._lint.config import Config
from tenuto._lint.registry import all_rules, page_path

# Rules whose pages show whole modules; on the others code is shown in parts.
WHOLE = [rule for rule in all_rules() if "TEN160" < rule < "TEN240"]
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(rule: str, section: str) -> list[str]:
    """The Python code of one section of a rule's page."""
    text = page_path(all_rules()[rule]).read_text(encoding="utf-8")
    part = text.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return _BLOCK.findall(part)


def rules_in(code: str, rule: str, folder: Path) -> set[str]:
    """The rules that find something in code, of profile `core` and one more."""
    path = folder / "page.py"
    path.write_text(code, encoding="utf-8")
    report = lint_paths([path], Config(select=(rule,)))
    assert report.faults == []
    return {one.rule for one in report.findings}


@pytest.mark.parametrize("rule", WHOLE)
def test_the_example_of_a_page_is_found(rule: str, tmp_path: Path) -> None:
    """The example on a rule's page is a finding of that rule."""
    shown = blocks(rule, "Example")
    assert shown
    for block in shown:
        assert rule in rules_in(block, rule, tmp_path)


@pytest.mark.parametrize("rule", WHOLE)
def test_what_a_page_recommends_is_clean(rule: str, tmp_path: Path) -> None:
    """The code under "Use instead" is a finding of no rule of `core`, nor of that rule."""
    shown = blocks(rule, "Use instead")
    assert shown
    for block in shown:
        assert rules_in(block, rule, tmp_path) == set()
