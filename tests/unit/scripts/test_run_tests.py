"""The test runner: what it calls a failure, what it calls not run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import run_tests
from run_tests import Outcome, Runner
from suites import Suite

FAST = 100  # a budget no suite of this file comes near


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """A runner whose project is an empty folder."""
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    monkeypatch.setattr(run_tests, "OUTPUT", tmp_path)
    monkeypatch.setattr(run_tests, "PYTHON", sys.executable)
    return Runner()


def python(program: str) -> tuple[str, ...]:
    """A command that runs a line of Python."""
    return (sys.executable, "-c", program)


def test_each_command_counts(runner: Runner) -> None:
    """A command that succeeds is one test passed, one that fails is one test failed, and both run."""
    outcome = runner.run(
        Suite(name="s", budget_s=FAST, commands=(python("raise SystemExit(3)"), python("print('later')")))
    )
    assert (outcome.passed, outcome.failed) == (1, 1)
    assert "later" in outcome.log.read_text()


def test_each_test_counts_and_skips_are_not_run(runner: Runner, tmp_path: Path) -> None:
    """Pytest's tests are counted one by one; a skipped one is listed with its reason."""
    tests = tmp_path / "tests"
    tests.mkdir()
    program = "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\ndef test_c(): pytest.skip('needs root')\n"
    (tests / "test_three.py").write_text(program)
    outcome = runner.run(Suite(name="s", budget_s=FAST, paths=("tests", "absent")))
    assert (outcome.passed, outcome.failed) == (1, 1)
    assert outcome.not_run[0] == "absent holds no tests"
    assert outcome.not_run[1].endswith("test_three::test_c: needs root")


def test_a_broken_collection_fails(runner: Runner, tmp_path: Path) -> None:
    """A test module that cannot be imported is a failure, not an empty success."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_broken.py").write_text("import absent_module\n")
    outcome = runner.run(Suite(name="s", budget_s=FAST, paths=("tests",)))
    assert (outcome.passed, outcome.failed) == (0, 1)


def test_over_budget_fails(runner: Runner) -> None:
    """A suite that succeeds but takes longer than its budget has failed."""
    outcome = runner.run(Suite(name="s", budget_s=0, commands=(python("pass"),)))
    assert (outcome.passed, outcome.failed) == (1, 1)
    assert "of 0 s allowed" in outcome.trouble


def test_a_hanging_suite_is_ended(runner: Runner) -> None:
    """A suite that never ends is ended by force, and its remaining commands do not start."""
    hanging = python("import threading; threading.Event().wait()")
    outcome = runner.run(Suite(name="s", budget_s=0, commands=(hanging, python("print('never')"))))
    assert (outcome.passed, outcome.failed) == (0, 2)
    assert "ended by force" in outcome.trouble
    assert "never" not in outcome.log.read_text().replace("print('never')", "")


def test_a_missing_need_is_not_run(runner: Runner) -> None:
    """A suite whose program is absent counts as nothing and says why."""
    outcome = runner.run(Suite(name="s", budget_s=FAST, needs=("demo.py",), commands=(python("pass"),)))
    assert (outcome.passed, outcome.failed, outcome.not_run) == (0, 0, ["demo.py does not exist"])


def test_everything_may_be_required(capsys: pytest.CaptureFixture[str]) -> None:
    """Parts not run fail the run only where all are required; the last line has its fixed form."""
    outcome = Outcome(Suite(name="s", budget_s=FAST), passed=4, not_run=["x: needs root"])
    assert run_tests.summarize([outcome], require_all=False) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "4 passed, 0 failed"
    assert run_tests.summarize([outcome], require_all=True) == 1


def test_children_do_not_inherit_another_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's TENUTO_ENGINE does not reach the tests; what steers the tests themselves does."""
    monkeypatch.setenv("TENUTO_ENGINE", "production:50001")
    monkeypatch.setenv("TENUTO_REQUIRE", "all")
    inherited = run_tests.environment()
    assert "TENUTO_ENGINE" not in inherited
    assert inherited["TENUTO_REQUIRE"] == "all"
