"""The page about the linter: its example, its configuration and its index are what the linter says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tenuto._cli.start import main
from tenuto._lint.config import read_config
from tenuto._lint.registry import all_rules

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/lint.md").read_text(encoding="utf-8")


def block(language: str, begin: str) -> str:
    """The first block of a language that begins so."""
    found = re.search(rf"```{language}\n({re.escape(begin)}.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_the_example_is_judged_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's program gives the page's output, to the letter."""
    (tmp_path / "shop.py").write_text(block("python", "import random"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as ended:
        main(["lint", "shop.py", "--no-cache"])
    assert ended.value.code == 1
    assert capsys.readouterr().out == block("text", "shop.py:")


def test_the_configuration_is_one(tmp_path: Path) -> None:
    """Every setting that the page shows exists."""
    path = tmp_path / "pyproject.toml"
    path.write_text(block("toml", "[tool.tenuto.lint]"), encoding="utf-8")
    config = read_config(path)
    assert config.names == {"TEN101": ("shop.clock.now",), "TEN141": ("shop.http.fetch",)}
    assert config.per_file_ignores == {"legacy/*.py": ("TEN12",)}


def test_the_index_names_every_rule() -> None:
    """Each rule stands in the index once, with a link to its page."""
    assert re.findall(r"^\| \[(TEN\d+)\]\(", PAGE, re.MULTILINE) == list(all_rules())


def test_the_generator_has_nothing_to_change() -> None:
    """The index is what `scripts/lint_page.py` writes."""
    command = [sys.executable, str(ROOT / "scripts/lint_page.py"), "--check"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout == ""
