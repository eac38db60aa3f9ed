"""Measure `tenuto lint`: lines per second with and without its cache, on one core.

    python benchmarks/lint_speed.py                 measures, and writes benchmarks/results/lint_speed.json
    python benchmarks/lint_speed.py --lines 2000    a small run that only proves that it works: writes nothing

Two projects are generated. In `dense` every module holds workflows and helpers that they call, so that every line
is parsed and every function checked. In `mixed` four of five modules are other code, as in an application; the linter
reads them, sees no sign of a workflow, and leaves them. Each run is a process of its own with the whole command line
in it, from the start of Python on. Processor time is given beside time on the clock, for the machine may be busy; the
best of several counts, since others only ever add time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tenuto_bench.machine import load_average

RESULT = Path(__file__).parent / "results" / "lint_speed.json"
_SMALL = 10_000

WORKFLOW = '''
@wfr.workflow
def order_{n}(ctx: wf.WorkflowContext, order: dict[str, int]):
    """Takes one order through its steps."""
    began_at = ctx.current_utc_datetime
    lines = [line for line in order.get("lines", []) if line]
    prices = yield wf.when_all([ctx.call_activity(price_{n}, input=line) for line in lines])
    total = total_of_{n}(lines, prices)
    if total > 100:
        approval = yield ctx.wait_for_external_event("approved", timeout=timedelta(hours=1))
        ctx.logger.info("approved by %s", approval)
    try:
        receipt = yield ctx.call_activity(price_{n}, input=total)
    except wf.TaskFailedError as error:
        return {{"failed": str(error), "began": began_at.isoformat()}}
    yield ctx.create_timer(timedelta(seconds=total % 7))
    return {{"receipt": receipt, "total": total, "label": helpers_{m}.label_{n}(order)}}


def total_of_{n}(lines: list[int], prices: list[int]) -> int:
    """Sums up what the lines cost."""
    total = 0
    for line, price in zip(lines, prices, strict=True):
        if line > 3 and price:
            total += line * price
        else:
            total += min(line, price)
    return total


@wfr.activity
def price_{n}(ctx: wf.WorkflowActivityContext, line: int) -> int:
    """Asks the price service."""
    answer = httpx.get(f"https://prices.example/{{line}}")
    return int(answer.json()["price"])
'''
HELPER = '''
def label_{n}(order: dict[str, int]) -> str:
    """Names an order for people."""
    parts: list[str] = []
    for name, value in sorted(order.items()):
        text = str(value).strip().lower()
        if text and name != "lines":
            parts.append(f"{{name}}={{text}}")
    return Label_{n}(", ".join(parts)).shown


class Label_{n}:
    """A text that is not too long."""

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def shown(self) -> str:
        """What is shown."""
        return self.text if len(self.text) < 80 else self.cut(77) + "..."

    def cut(self, length: int) -> str:
        """Its beginning."""
        return self.text[:length]
'''
_PER_MODULE = 6


def generate(folder: Path, lines: int, *, plain_share: int) -> int:
    """Write a project of about so many lines; of each `plain_share` modules one has workflows. Return its lines."""
    (folder / "shop").mkdir()
    (folder / "pyproject.toml").write_text("")
    (folder / "shop/__init__.py").write_text("")
    written = module = 0
    while written < lines:
        numbers = range(module * _PER_MODULE, (module + 1) * _PER_MODULE)
        helpers = "".join(HELPER.format(n=n) for n in numbers)
        files = {f"helpers_{module}.py": '"""Texts."""\n' + helpers}
        if module % plain_share == 0:
            head = "from datetime import timedelta\n\nimport httpx\nimport tenuto as wf\n\n"
            head += f"from shop import helpers_{module}\n\nwfr = wf.WorkflowRuntime()\n"
            files[f"flows_{module}.py"] = head + "".join(WORKFLOW.format(n=n, m=module) for n in numbers)
        else:
            files[f"plain_{module}.py"] = '"""Other code."""\n' + helpers.replace("label", "other")
        for name, text in files.items():
            (folder / "shop" / name).write_text(text)
            written += text.count("\n")
        module += 1
    return written


@dataclass(frozen=True, order=True)
class Duration:
    """How long one run took."""

    cpu_s: float
    clock_s: float


def run(folder: Path, *options: str) -> Duration:
    """One whole run of the command line."""
    command = [sys.executable, "-m", "tenuto._cli.start", "lint", ".", *options]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or "nothing found" not in done.stdout:
        raise SystemExit(f"the linter did not end as it should:\n{done.stdout}{done.stderr}")
    return Duration(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, clock)


def measure(name: str, lines: int, *, plain_share: int, repeats: int) -> dict[str, Any]:
    """Measure one project: cold, with a full cache, and after one change."""
    with TemporaryDirectory() as text:
        folder = Path(text)
        total = generate(folder, lines, plain_share=plain_share)
        cold = min(run(folder, "--no-cache") for _ in range(repeats))
        run(folder)
        warm = min(run(folder) for _ in range(repeats))
        changes: list[Duration] = []
        for number in range(repeats):
            with (folder / "shop/flows_0.py").open("a") as file:
                file.write(f"# change {number}\n")
            changes.append(run(folder))
    runs = {"cold": cold, "warm": warm, "one_change": min(changes), "empty_file": _start(repeats)}
    return {
        "project": name,
        "lines": total,
        **{f"{what}_cpu_s": round(took.cpu_s, 3) for what, took in runs.items()},
        **{f"{what}_clock_s": round(took.clock_s, 3) for what, took in runs.items()},
        "cold_lines_per_cpu_s": round(total / cold.cpu_s),
        "warm_lines_per_cpu_s": round(total / warm.cpu_s),
    }


def _start(repeats: int) -> Duration:
    """A run over one empty file: Python and imports."""
    with TemporaryDirectory() as text:
        (Path(text) / "empty.py").write_text("")
        return min(run(Path(text), "--no-cache") for _ in range(repeats))


def _machine() -> dict[str, Any]:
    """Where this was measured; the load says how much else ran."""
    kernel = f"{platform.system()} {platform.release()}"
    facts = {"python": platform.python_version(), "cores": os.cpu_count(), "kernel": kernel}
    return {**facts, "load_average": load_average()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000, help="of each project (default: 100,000)")
    parser.add_argument("--repeats", type=int, default=5, help="the best counts (default: 5)")
    options = parser.parse_args(arguments)
    projects = [
        measure(name, options.lines, plain_share=share, repeats=options.repeats)
        for name, share in (("dense", 1), ("mixed", 5))
    ]
    report = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "projects": projects,
    }
    print(json.dumps(projects, indent=2))
    if options.lines >= _SMALL:
        RESULT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
