"""Each rule finds what its fixtures say, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lint.rule_cases import FOLDER, cases, expected, fixed, found, places
from tenuto._lint.api import lint_paths
from tenuto._lint.config import Config
from tenuto._lint.fixes import fix_source, safe_fixes
from tenuto._lint.project import DiskSources
from tenuto._lint.registry import all_rules, page_path

SECTIONS = ("What it finds", "Why it breaks on replay", "Example", "Use instead", "What it misses")
CASES = [pytest.param(rule, case, id=f"{rule}-{case.stem}") for rule in all_rules() for case in cases(rule)]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_a_rule_finds_what_its_fixture_expects(rule: str, case: Path) -> None:
    """Lines that carry `# expect:` are found by the rules named there, and no other line by any rule of `core`."""
    wanted = expected(case)
    if case.name.startswith("good"):
        assert not any(one[2] == rule for one in wanted)
    else:
        assert any(one[2] == rule for one in wanted)
    assert places(found(case, rule)) == wanted


FIXED = [one for one in CASES if isinstance(one.values[1], Path) and one.values[1].with_suffix(".fixed").exists()]


@pytest.mark.parametrize(("rule", "case"), FIXED)
def test_a_rule_mends_its_fixture(rule: str, case: Path) -> None:
    """The fixes of a rule give the text that stands beside the fixture; applied to that again, they change nothing."""
    after = fixed(case, rule)
    assert after == case.with_suffix(".fixed").read_text(encoding="utf-8")
    assert fix_again(after, rule) == after


def fix_again(text: str, rule: str) -> str:
    """Text after another `--fix` of one rule."""
    path = Path("again.py").absolute()
    report = lint_paths([path], Config(select=(rule,)), sources=DiskSources({path: text.encode()}))
    return fix_source(text.encode(), safe_fixes(one for one in report.findings if one.rule == rule))[0].decode()


@pytest.mark.parametrize("rule", all_rules())
def test_a_rule_has_fixtures_for_and_against(rule: str) -> None:
    """Each rule has at least one fixture in which it finds something, and one of near misses."""
    kinds = {"bad" if case.name.startswith("bad") else "good" for case in cases(rule)}
    assert kinds == {"bad", "good"}


@pytest.mark.parametrize("rule", all_rules())
def test_a_rule_has_its_page(rule: str) -> None:
    """Each rule has a page with a title and all sections."""
    text = page_path(all_rules()[rule]).read_text(encoding="utf-8")
    title, _, rest = text.partition("\n")
    assert title.startswith(f"# {rule} {all_rules()[rule].name}: ")
    assert [line[3:] for line in rest.splitlines() if line.startswith("## ")] == list(SECTIONS)


@pytest.mark.parametrize("rule", all_rules())
def test_a_rule_explains_itself(rule: str) -> None:
    """Each rule says why, what breaks and what to write instead, in sentences; its message is no sentence."""
    one = all_rules()[rule]
    assert all(text.endswith((".", ")")) for text in (one.why, one.breaks, one.instead))
    assert not one.message.endswith(".")


def test_no_fixture_is_without_its_rule() -> None:
    """A folder of fixtures whose rule does not exist tests nothing."""
    assert {path.name for path in FOLDER.iterdir()} - set(all_rules()) == set()


def test_tasks_are_never_sorted() -> None:
    """Tasks have no order among each other: `sorted(tasks)` would raise TypeError, so no fix offers it."""
    findings = found(FOLDER / "TEN181" / "bad_tasks.py", "TEN181")
    assert {one.fix for one in findings} == {None}
    assert all("Keep tasks in a list" in one.instead for one in findings)
