"""What other programs read: SARIF, GitHub's annotations, flake8, pre-commit."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic_sarif.model import (  # type: ignore[import-untyped]  # it ships no marker
    StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog,
)

from engines import BIN
from lint.rule_cases import FOLDER, found
from tenuto._lint.finding import Edit, Finding, Fix, Severity
from tenuto._lint.github import as_github
from tenuto._lint.sarif import as_sarif

ROOT = Path(__file__).resolve().parents[2]
SHOP = """from datetime import datetime

import tenuto as wf
from clocks import stamp

wfr = wf.WorkflowRuntime()


@wfr.workflow
def order(ctx: wf.WorkflowContext, item: str):
    yield ctx.call_activity("charge", input=[datetime.now(), stamp()])
    kept = datetime.now()  # noqa: TEN101
    also = datetime.now()  # tenuto: ignore[TEN101] shown to nobody
"""
CLOCKS = """from datetime import datetime


def stamp():
    return datetime.now()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a violation in a workflow and one in a helper of another module."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "clocks.py").write_text(CLOCKS)
    return tmp_path


def run(*command: str, folder: Path, given: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program of the environment, run in a folder."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, input=given, capture_output=True, text=True, check=False
    )


def fixture_findings() -> list[Finding]:
    """Findings of many kinds: with and without fixes, chains, places in functions and at the top of files."""
    cases = [("TEN281", "bad_renamed"), ("TEN281", "bad_helper"), ("TEN284", "bad_gone"), ("TEN101", "bad_calls.py")]
    folder = [(rule, FOLDER / rule / name) for rule, name in cases]
    return [finding for rule, case in folder if case.exists() for finding in found(case, rule)]


def test_sarif_is_what_its_schema_says() -> None:
    """A log of findings and one of none keep to SARIF 2.1.0, which allows no property it does not name."""
    findings = fixture_findings()
    assert findings
    for log in (as_sarif(findings, ["rule TEN999 failed on x.py"]), as_sarif([])):
        SarifLog.model_validate(json.loads(log))


def test_sarif_says_all_that_a_finding_says() -> None:
    """Place, rule, level, message, chain and fix of a finding are in its result, counted as SARIF counts."""
    fix = Fix("replace it", (Edit(3, 4, 3, 9, "ctx.x"),))
    finding = Finding(
        path="a b/shop.py",
        line=3,
        column=5,
        end_line=3,
        end_column=10,
        rule="TEN101",
        name="wall-clock",
        severity=Severity.WARNING,
        message="now() reads the clock",
        instead="Use the context.",
        fix=fix,
        chain=("a b/shop.py:9 order", "a b/shop.py:3 helper"),
        function="helper",
    )
    run_: dict[str, Any] = json.loads(as_sarif([finding]))["runs"][0]
    (result,) = run_["results"]
    place = result["locations"][0]
    region = {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 10}
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "a%20b/shop.py"
    assert place["physicalLocation"]["region"] == region
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "helper"
    assert (result["ruleId"], result["level"]) == ("TEN101", "warning")
    assert result["message"]["text"] == "now() reads the clock.\n\nUse the context."
    assert [one["physicalLocation"]["region"]["startLine"] for one in result["relatedLocations"]] == [9, 3]
    (replacement,) = result["fixes"][0]["artifactChanges"][0]["replacements"]
    assert (replacement["deletedRegion"], replacement["insertedContent"]["text"]) == (region, "ctx.x")
    (rule,) = run_["tool"]["driver"]["rules"]
    assert rule["help"]["markdown"].startswith("# TEN101 wall-clock")


def test_sarif_knows_a_finding_again_on_another_line() -> None:
    """The fingerprint stays when lines above a finding are added, and differs between findings."""
    first, second = fixture_findings()[:2]
    moved = Finding(**{name: getattr(first, name) for name in first.__struct_fields__ if name != "line"}, line=99)
    prints = [
        one["partialFingerprints"]["tenuto/v1"]
        for one in json.loads(as_sarif([first, moved, second]))["runs"][0]["results"]
    ]
    assert prints[0] == prints[1] != prints[2]


def test_github_lines_keep_their_parts_apart() -> None:
    """What has a meaning in a workflow command is escaped; columns are given only within one line."""
    finding = Finding(
        path="a,b:c.py",
        line=1,
        column=2,
        end_line=1,
        end_column=5,
        rule="TEN101",
        name="wall-clock",
        severity=Severity.INFO,
        message="100% wrong\nreally",
    )
    (line,) = as_github([finding])
    title = "title=TEN101 wall-clock::100%25 wrong%0Areally"
    assert line == f"::notice file=a%2Cb%3Ac.py,line=1,endLine=1,col=2,endColumn=4,{title}"
    spread = Finding(**{**{name: getattr(finding, name) for name in finding.__struct_fields__}, "end_line": 4})
    assert "col=" not in as_github([spread])[0]


def test_the_command_writes_both(project: Path) -> None:
    """`tenuto lint --output sarif` and `--output github` write nothing else to standard output, and exit 1."""
    sarif = run("tenuto", "lint", "--no-cache", "--output", "sarif", folder=project)
    assert sarif.returncode == 1, sarif.stderr
    assert len(json.loads(sarif.stdout)["runs"][0]["results"]) == 3
    annotations = run("tenuto", "lint", "--no-cache", "--output", "github", folder=project)
    assert [line.partition(",")[0] for line in annotations.stdout.splitlines()] == [
        "::error file=clocks.py",
        "::error file=shop.py",
        "::error file=shop.py",
    ]


def test_flake8_finds_the_same(project: Path) -> None:
    """flake8 reports workflow and helper, each in its file, and obeys both kinds of comments."""
    finished = run("flake8", "--select", "TEN", ".", folder=project)
    assert [line.partition(": ")[0] for line in sorted(finished.stdout.splitlines())] == [
        "./clocks.py:5:12",
        "./shop.py:11:46",
    ], finished.stderr
    assert all("TEN101 datetime.now() reads the clock" in line for line in finished.stdout.splitlines())
    assert finished.returncode == 1


def test_flake8_reads_what_an_editor_holds(project: Path) -> None:
    """Text on standard input is judged instead of the file, with the file's neighbours around it."""
    text = SHOP.replace("import datetime\n", "import datetime\n\n", 1)
    finished = run("flake8", "--select", "TEN", "--stdin-display-name", "shop.py", "-", folder=project, given=text)
    assert [line.partition(": ")[0] for line in finished.stdout.splitlines()] == ["shop.py:12:46"], finished.stderr


def test_flake8_survives_what_is_no_python(project: Path) -> None:
    """A broken file is flake8's own E999; the others are judged."""
    (project / "broken.py").write_text("def (:\n# .workflow\n")
    finished = run("flake8", "--select", "TEN,E9", ".", folder=project)
    codes = sorted(line.split()[1] for line in finished.stdout.splitlines())
    assert codes == ["E999", "TEN101", "TEN101"], finished.stderr


def test_flake8_obeys_the_configuration(project: Path) -> None:
    """Rules are ignored by `[tool.tenuto.lint]`; a setting that does not exist is told in a sentence."""
    (project / "pyproject.toml").write_text('[tool.tenuto.lint]\nignore = ["TEN101"]\n')
    assert run("flake8", "--select", "TEN", ".", folder=project).stdout == ""
    (project / "pyproject.toml").write_text('[tool.tenuto.lint]\nignored = ["TEN101"]\n')
    finished = run("flake8", "--select", "TEN", ".", folder=project)
    assert finished.returncode == 1
    assert "did you mean 'ignore'?" in finished.stderr
    assert "Traceback" not in finished.stderr


def git(folder: Path, *words: str, **variables: str) -> str:
    """Runs git as somebody, without anybody's configuration."""
    who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@localhost"}
    who |= {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@localhost"}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    finished = run("git", *words, folder=folder, **who, **alone, **variables)
    return f"{finished.returncode} {finished.stdout}{finished.stderr}"


def test_the_hooks_hold_a_commit_back(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With pre-commit, `git commit` is refused for a violation and for a drift, and goes through otherwise."""
    hooks = tmp_path_factory.mktemp("hooks")
    (hooks / ".pre-commit-hooks.yaml").write_bytes((ROOT / ".pre-commit-hooks.yaml").read_bytes())
    git(hooks, "init", "-q", "-b", "main")
    git(hooks, "add", ".")
    git(hooks, "commit", "-qm", "hooks")
    revision = git(hooks, "rev-parse", "HEAD").split()[1]
    config = f"repos:\n- repo: {hooks}\n  rev: {revision}\n  hooks: [{{id: tenuto-lint}}, {{id: tenuto-lint-base}}]\n"
    (project / ".pre-commit-config.yaml").write_text(config)
    (project / ".gitignore").write_text(".tenuto_cache\n")
    home = {"PRE_COMMIT_HOME": str(tmp_path_factory.mktemp("home"))}
    git(project, "init", "-q", "-b", "main")
    git(project, "commit", "-qm", "nothing yet", "--allow-empty")
    installed = run("pre-commit", "install", folder=project, **home)
    assert installed.returncode == 0, installed.stderr

    git(project, "add", ".")
    refused = git(project, "commit", "-m", "a shop", **home)
    assert refused.startswith("1 "), refused
    assert "shop.py:11:46 error TEN101" in refused
    for name in ("shop.py", "clocks.py"):
        clean = (project / name).read_text().replace("datetime.now()", "None")
        (project / name).write_text(clean.replace("from datetime import datetime\n", "").replace("  # tenuto:", "  #"))
    git(project, "add", ".")
    accepted = git(project, "commit", "-m", "a shop", **home)
    assert accepted.startswith("0 "), accepted

    (project / "shop.py").write_text((project / "shop.py").read_text().replace('"charge"', '"charge-card"'))
    git(project, "add", ".")
    drifted = git(project, "commit", "-m", "cards", **home)
    assert drifted.startswith("1 "), drifted
    assert "TEN281" in drifted
    assert 'if ctx.is_patched("charge-to-charge-card"):' in drifted
