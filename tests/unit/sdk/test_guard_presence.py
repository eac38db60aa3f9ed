"""The guard beside others that watch the interpreter: it takes nobody's place, and says where it stands aside."""

from __future__ import annotations

import asyncio
import bdb
import cProfile
import pstats
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import guarded
import tenuto as wf
from guarded import one_turn, reads_clock, refusal
from tenuto._guard import guard as guard_module
from tenuto._guard.guard import Mode
from tenuto._guard.probes import PROBES
from tenuto._replay import actions as a
from tenuto._replay import events as e

FILES = Path(__file__)
OLD = sys.version_info < (3, 12)


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests were told is forgotten."""
    monkeypatch.setattr(guard_module, "_told", set())
    monkeypatch.setattr(guard_module, "_asides", set())


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "tenuto.guard"]


def clock(ctx: wf.WorkflowContext) -> float:
    return reads_clock()


def file(ctx: wf.WorkflowContext) -> str:
    return FILES.read_text()


def test_a_profiler_keeps_its_place(caplog: pytest.LogCaptureFixture) -> None:
    """CProfile's figures are complete. On 3.11, where both need one hook, the guard stands aside and says so once."""
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        outcomes = [one_turn(clock) for _ in range(2)]
        sees_files = one_turn(file).problem is not None
    finally:
        profiler.disable()
    calls: dict[Any, Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    counted = {name: count for (_, _, name), (count, *_) in calls.items() if name in ("clock", "reads_clock")}
    assert counted == {"clock": 2, "reads_clock": 2}
    assert sees_files
    if OLD:
        assert all(outcome.problem is None for outcome in outcomes)
        assert len(told(caplog)) == 1
        assert "a profiler (cProfile) has the hook" in told(caplog)[0]
    else:
        assert all(outcome.problem is not None for outcome in outcomes)
        assert told(caplog) == []
    assert sys.getprofile() is None


def test_a_profile_function_is_put_back() -> None:
    """Whatever `sys.setprofile` was given before a turn is in place after it."""
    seen: list[str] = []

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        seen.append(event)

    sys.setprofile(profile)
    try:
        one_turn(clock)
        kept = sys.getprofile()
    finally:
        sys.setprofile(None)
    assert kept is profile
    assert "call" in seen


def test_a_debugger_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Under `bdb` nothing is refused, files included, and that is said once."""
    debugger = bdb.Bdb()
    for workflow in (clock, file, clock):
        outcome: Any = debugger.runcall(one_turn, workflow)
        assert outcome.problem is None
    assert len(told(caplog)) == 1
    assert told(caplog)[0].startswith("the guard stands aside: ")
    assert "traces this thread" in told(caplog)[0]
    assert one_turn(clock).problem is not None, "it is back without the debugger"


@pytest.mark.parametrize("core", ["ctrace", "pytrace"] if OLD else ["ctrace", "pytrace", "sysmon"])
def test_coverage_and_the_guard_both_work(core: str, tmp_path: Path) -> None:
    """Under coverage the guard refuses as ever, and each line of the workflow that ran is measured."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """\
            import time
            from guarded import one_turn

            def helper():
                return time.time()

            def refused(ctx):
                before = 1
                return helper() + before

            def fine(ctx):
                total = 0
                for number in range(3):
                    total += number
                return total

            assert one_turn(refused).problem is not None
            assert one_turn(fine).problem is None
            print("both worked")
            """
        )
    )
    root = Path(__file__).resolve().parents[3]
    tests = root / "tests"
    environment = {"COVERAGE_CORE": core, "PYTHONPATH": f"{tests}:{':'.join(path for path in sys.path if path)}"}
    data = ["--data-file", str(tmp_path / "data")]
    ran = subprocess.run(
        [sys.executable, "-m", "coverage", "run", *data, "--include", str(program), str(program)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "both worked\n", ran.stderr
    assert "stands aside" not in ran.stderr
    report = [sys.executable, "-m", "coverage", "report", *data, "--show-missing", "--format", "total"]
    shown = subprocess.run(report, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout == "100\n"


def test_a_fault_of_the_guard_is_not_the_workflows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where judging fails, the call is made, the turn goes on, and the fault is logged once."""

    def broken(*_arguments: object) -> None:
        raise LookupError("broken table")

    monkeypatch.setattr(type(PROBES), "judge_c_call", broken)
    monkeypatch.setattr("tenuto._guard.turns._faults", set())
    outcomes = [one_turn(lambda ctx: reads_clock() > 0) for _ in range(2)]
    assert all(outcome.problem is None and outcome.is_finished for outcome in outcomes)
    assert len(told(caplog)) == 1
    assert "broken table" in told(caplog)[0]


def test_turns_of_two_threads_are_told_apart() -> None:
    """Each thread's refusal names the instance that runs there, and neither disturbs the other."""
    both = threading.Barrier(2)
    problems: dict[str, Any] = {}

    def run(name: str, workflow: Callable[..., Any]) -> None:
        problems[name] = one_turn(workflow).problem

    def violates(ctx: wf.WorkflowContext) -> None:
        both.wait(30)
        try:
            time.time()
        finally:
            both.wait(30)

    def behaves(ctx: wf.WorkflowContext) -> None:
        both.wait(30)
        both.wait(30)

    threads = [threading.Thread(target=run, args=each) for each in (("bad", violates), ("good", behaves))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems["bad"].rule == "TEN102"
    assert problems["good"] is None


def test_an_event_loop_within_a_turn_is_survived() -> None:
    """Where the guard only warns, code that runs a loop of its own gets its result, and no hook is left."""

    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    def workflow(ctx: wf.WorkflowContext) -> int:
        answering = answer()
        try:
            return asyncio.run(answering)
        finally:
            answering.close()

    assert refusal(workflow).rule == "TEN166"
    outcome = one_turn(workflow, Mode.WARN)
    assert [action.result for action in outcome.actions if isinstance(action, a.CompleteExecution)] == [b"7"]
    assert sys.getprofile() is None


def test_a_workflow_within_a_workflows_turn_leaves_the_outer_one_watched() -> None:
    """A replay that runs inside of a turn (a test kit may do so) gives the place back."""

    def inner(ctx: wf.WorkflowContext) -> int:
        return 1

    executor = guarded.live(inner, Mode.RAISE)

    def outer(ctx: wf.WorkflowContext) -> float:
        executor.run([], [e.TurnStarted(1), e.ExecutionStarted("w", "i", "x")])
        return time.time()

    assert refusal(outer).rule == "TEN102"


if not OLD:  # `test_guard_newer_python` runs these wherever there is a later Python; skipping would claim they are due.

    def test_other_tools_of_monitoring_keep_theirs(caplog: pytest.LogCaptureFixture) -> None:
        """A debugger that attaches by `sys.monitoring` is left alone; a profiler's id and coverage's do not matter."""
        monitoring: Any = getattr(sys, "monitoring", None)
        monitoring.use_tool_id(monitoring.PROFILER_ID, "a profiler")
        try:
            assert one_turn(clock).problem is not None
            monitoring.use_tool_id(monitoring.DEBUGGER_ID, "a debugger")
            try:
                assert one_turn(clock).problem is None
                assert one_turn(file).problem is None
            finally:
                monitoring.free_tool_id(monitoring.DEBUGGER_ID)
        finally:
            monitoring.free_tool_id(monitoring.PROFILER_ID)
        assert told(caplog) == ["the guard stands aside: the debugger 'a debugger' is attached"]

    def test_without_an_id_left_only_effects_are_seen() -> None:
        """Where other tools have all ids, files are refused, clocks are not, and that is said."""
        program = """
import sys
for number in (3, 4):
    sys.monitoring.use_tool_id(number, f"tool {number}")
from pathlib import Path
from guarded import one_turn, reads_clock
for workflow in (lambda ctx: reads_clock() > 0, lambda ctx: Path("x").read_text()):
    print(one_turn(workflow).problem is None)
"""
        paths = [str(Path(__file__).resolve().parents[2]), *filter(None, sys.path)]
        environment = {"PYTHONPATH": ":".join(paths)}
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
        )
        assert ran.stdout == "True\nFalse\n", ran.stderr
        assert ran.stderr.count("other tools have all ids of sys.monitoring") == 1
