"""Run the suites of `suites.py` as continuous integration does, and say what passed, what it took, what was not run.

Two suites run beside each other, since the machine it is made for has two cores; those marked `alone` do not.
`TENUTO_REQUIRE=all` makes everything that was not run a failure. The last line is `N passed, N failed`; the exit code
is 0 when nothing failed, 1 otherwise, 2 for a suite that does not exist.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from suites import PYTHON, SUITES, Suite

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / ".cache" / "tests"
NO_TESTS_COLLECTED = 5
console = Console(highlight=False, soft_wrap=True)


@dataclass
class Outcome:
    """What one suite did. `not_run` holds a reason for each part that was left out."""

    suite: Suite
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    not_run: list[str] = field(default_factory=lambda: [])
    trouble: str = ""

    @property
    def log(self) -> Path:
        return OUTPUT / f"{self.suite.name}.log"


def environment() -> dict[str, str]:
    """The caller's environment without what would point tests at another engine or other packages."""
    kept = ("TENUTO_REQUIRE", "TENUTO_TEST_")
    return {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" and (not name.startswith("TENUTO_") or name.startswith(kept))
    } | {"PYTHONUNBUFFERED": "1"}


class Runner:
    """Starts the suites' processes and ends, by their process group, those that it started."""

    def __init__(self) -> None:
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._stopping = False

    def run(self, suite: Suite) -> Outcome:
        """Run one suite to its end, or to twice its budget."""
        outcome = Outcome(suite)
        began = time.monotonic()
        missing = [path for path in suite.needs if not (ROOT / path).exists()]
        if missing:
            outcome.not_run.append(f"{', '.join(missing)} does not exist")
            return outcome
        with outcome.log.open("wb") as log:
            for command in suite.commands:
                code = self._execute(command, log.fileno(), outcome, began)
                outcome.passed += code == 0
                outcome.failed += code != 0
            self._run_pytest(log.fileno(), outcome, began)
        outcome.seconds = time.monotonic() - began
        if outcome.seconds > suite.budget_s and not outcome.trouble:
            outcome.trouble = f"took {outcome.seconds:.0f} s of {suite.budget_s} s allowed"
            outcome.failed += 1
        return outcome

    def stop(self) -> None:
        """End every process still running and start no other."""
        self._stopping = True
        for process in list(self._running.values()):
            _kill(process)

    def _run_pytest(self, log: int, outcome: Outcome, began: float) -> None:
        suite = outcome.suite
        paths = [path for path in suite.paths if any((ROOT / path).rglob("test_*.py"))]
        outcome.not_run += [f"{path} holds no tests" for path in suite.paths if path not in paths]
        if not paths:
            return
        report = OUTPUT / f"{suite.name}.xml"
        report.unlink(missing_ok=True)
        command = (PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *paths)
        code = self._execute(command, log, outcome, began)
        if report.exists():
            _count(report, outcome)
        if code not in (0, NO_TESTS_COLLECTED) and not outcome.failed:
            outcome.failed += 1  # pytest itself broke: a collection error, a crash, an end by force

    def _execute(self, command: tuple[str, ...], log: int, outcome: Outcome, began: float) -> int:
        if self._stopping or outcome.trouble:
            return -1
        os.write(log, f"$ {' '.join(command)}\n".encode())
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._running[process.pid] = process
        limit = 2 * outcome.suite.budget_s
        try:
            return process.wait(timeout=max(1.0, began + limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            outcome.trouble = f"ended by force after {limit} s, twice its budget"
            return -1
        finally:
            _kill(process)
            del self._running[process.pid]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it left running in its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _count(report: Path, outcome: Outcome) -> None:
    """Add what a pytest report says; a skipped test is one that was not run."""
    for case in ET.parse(report).getroot().iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failed += 1
        elif skipped is not None:
            name = f"{case.get('classname', '').replace('.', '/')}::{case.get('name')}"
            outcome.not_run.append(f"{name}: {skipped.get('message', 'no reason given')}")
        else:
            outcome.passed += 1


def report(outcome: Outcome) -> None:
    """Print one suite's line, and its whole output if it failed."""
    suite = outcome.suite
    if outcome.failed:
        word, style = "FAILED", "bold red"
    elif outcome.passed:
        word, style = "ok", "green"
    else:
        word, style = "not run", "yellow"
    line = f"{suite.name:<12}[{style}]{word:<8}[/] {outcome.seconds:7.1f} s of {suite.budget_s:>4} s"
    console.print(f"{line}   {outcome.passed} passed, {outcome.failed} failed   {outcome.trouble}".rstrip())
    if outcome.failed and outcome.log.exists():
        console.rule(f"output of {suite.name}")
        console.out(outcome.log.read_text(errors="replace"), highlight=False)
        console.rule(f"end of {suite.name}")


def run_suites(suites: list[Suite]) -> list[Outcome]:
    """Run the suites two at a time, then one by one those that must be alone; report each as it ends."""
    runner = Runner()
    outcomes: list[Outcome] = []
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        shared = [pool.submit(runner.run, suite) for suite in suites if not suite.alone]
        for future in as_completed(shared):
            outcomes.append(future.result())
            report(outcomes[-1])
        for suite in suites:
            if suite.alone:
                outcomes.append(runner.run(suite))
                report(outcomes[-1])
    finally:
        runner.stop()
        pool.shutdown(cancel_futures=True)
    return outcomes


def summarize(outcomes: list[Outcome], *, require_all: bool) -> int:
    """Print what was not run and the last line; answer the number of failures."""
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    not_run = [(outcome.suite.name, reason) for outcome in outcomes for reason in outcome.not_run]
    if not_run:
        console.print(f"\nNOT RUN ({len(not_run)})")
        for name, reason in not_run:
            console.print(f"  {name}: {reason}", markup=False)
        if require_all:
            console.print("  TENUTO_REQUIRE=all: each of these counts as a failure")
            failed += len(not_run)
    console.print(f"\n{passed} passed, {failed} failed", style="bold red" if failed else "bold green")
    return failed


def main() -> int:
    """Run the suites named on the command line, or all."""
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(description="Run what continuous integration runs.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"which of: {', '.join(names)}; all by default")
    wanted: list[str] = parser.parse_args().suites
    unknown = [name for name in wanted if name not in names]
    if unknown:
        parser.error(f"no suite is called {', '.join(unknown)}; there are: {', '.join(names)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an ended run ends what it started, as Ctrl-C does
    OUTPUT.mkdir(parents=True, exist_ok=True)
    try:
        outcomes = run_suites([suite for suite in SUITES if not wanted or suite.name in wanted])
    except KeyboardInterrupt:
        console.print("interrupted; every process that was started has been ended")
        return 130
    return 1 if summarize(outcomes, require_all=os.environ.get("TENUTO_REQUIRE") == "all") else 0


if __name__ == "__main__":
    sys.exit(main())
