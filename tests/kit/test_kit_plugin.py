"""The pytest fixture, what it costs where nobody uses it, and environments in many processes and threads at once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from kit.kit_workflows import Receipt, awaiting, charge, pay, wfr
from tenuto.testing import MakeEnvironment, WorkflowEnvironment

SECONDS = 60


def test_the_fixture_makes_environments(workflow_env: MakeEnvironment) -> None:
    """As many as a test asks for, with the arguments of the class; each is closed at its end."""
    one, other = workflow_env(wfr), workflow_env(wfr, patience=timedelta(seconds=20))
    one.fake_activity(charge, returns=Receipt(1, 1))
    assert (one.run(pay, input=1).amount, other.run(pay, input=1).amount) == (1, 10)


def run_pytest(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a test module in a process of its own, outside this repository's settings."""
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, *options, "-m", "pytest", "-p", "no:cacheprovider", "-q", "test_it.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_a_test_run_without_the_fixture_imports_nothing(tmp_path: Path) -> None:
    """Pytest finds the plugin by its entry point, and imports no module of tenuto or its engine for it."""
    text = """
import sys

def test_it(request):
    assert request.config.pluginmanager.hasplugin("tenuto")
    assert not [name for name in sys.modules if name.split(".")[0] in ("tenuto", "tenuto_engine", "grpc")]
"""
    done = run_pytest(tmp_path, text)
    assert done.returncode == 0, done.stdout


def test_a_failing_test_shows_no_code_of_the_kit(tmp_path: Path) -> None:
    """A blocked and a stalled instance are shown by the line of the test and the message, without frames of the kit."""
    text = """
import time
import tenuto as wf

wfr = wf.WorkflowRuntime()

@wfr.workflow
def waits(ctx: wf.WorkflowContext):
    yield ctx.wait_for_external_event("go")

@wfr.workflow
def reads_clock(ctx: wf.WorkflowContext):
    return time.time()

def test_blocked(workflow_env):
    workflow_env(wfr).run(waits)

def test_stalled(workflow_env):
    workflow_env(wfr).start(reads_clock).result()
"""
    done = run_pytest(tmp_path, text)
    assert "it waits for event 'go'" in done.stdout
    assert "instead:   ctx.current_utc_datetime.timestamp()" in done.stdout
    failures = done.stdout.partition("FAILURES")[2].partition("Captured log")[0]
    assert ">       workflow_env(wfr).run(waits)" in failures
    assert "testing/_" not in failures
    assert "concurrent" not in failures


def test_a_failing_test_prints_its_traces(tmp_path: Path) -> None:
    """What pytest shows of a failed test holds the trace, and the check at the end is an error of the test."""
    text = """
import itertools
import tenuto as wf

wfr = wf.WorkflowRuntime()
count = itertools.count()

@wfr.activity
def one(ctx): ...

@wfr.activity
def two(ctx): ...

@wfr.workflow
def shaky(ctx):
    yield ctx.call_activity(one if next(count) % 2 == 0 else two)

def test_replayed(workflow_env):
    workflow_env(wfr).start(shaky)

def test_shown():
    from tenuto.testing import WorkflowEnvironment
    with WorkflowEnvironment(wfr) as env:
        env.start(shaky)
        env.run_until_blocked()
        assert env.now is None
"""
    done = run_pytest(tmp_path, text)
    assert done.returncode == 1
    assert "UNEXPECTED_ACTIVITY" in done.stdout
    assert "trace of shaky-1" in done.stdout


def test_a_missing_engine_is_told_in_one_sentence() -> None:
    """Without the extra the import says what to install."""
    program = (
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'tenuto_engine' else find(name, *rest)\n"
        "import tenuto.testing\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (
        "tenuto.testing runs the real engine, which is not installed here: pip install 'tenuto[testing]'" in done.stderr
    )


def test_environments_side_by_side_in_threads() -> None:
    """Sixteen environments of one runtime in one process do not disturb one another."""

    def use(number: int) -> int:
        with WorkflowEnvironment(wfr) as env:
            env.fake_activity(charge, returns=Receipt(1, number))
            result: int = env.run(awaiting, input=1, instance_id="same")
            return result

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(16))) == [number + 3 for number in range(16)]


def test_environments_in_processes_at_once(tmp_path: Path) -> None:
    """Test processes side by side, as pytest-xdist has them, share nothing."""
    program = tmp_path / "uses.py"
    program.write_text(
        "import tenuto as wf\n"
        "from datetime import timedelta\n"
        "from tenuto.testing import WorkflowEnvironment\n"
        "wfr = wf.WorkflowRuntime()\n"
        "@wfr.workflow\n"
        "def nap(ctx):\n"
        "    yield ctx.create_timer(timedelta(days=1))\n"
        "    return 'woke'\n"
        "for _ in range(5):\n"
        "    with WorkflowEnvironment(wfr) as env:\n"
        "        print(env.run(nap, instance_id='same'))\n",
        encoding="utf-8",
    )
    running = [
        subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in running:
        said, errors = process.communicate(timeout=SECONDS)
        assert (said.split(), errors) == (["woke"] * 5, "")


@pytest.mark.parametrize("style", ["with", "close"])
def test_an_environment_may_be_closed_early(style: str) -> None:
    """Closing inside the block is fine, and twice too."""
    with WorkflowEnvironment(wfr) as env:
        env.start(pay, input=1)
        if style == "close":
            env.close()
            env.close()
