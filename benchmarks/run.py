"""Measure Tenuto on this machine: `make bench`, or `benchmarks/run.py --help`.

A full run takes about twenty minutes and writes `benchmarks/results/<date>.json`; `--write-readme` also puts the tables
into `benchmarks/README.md`. A smoke run takes seconds, proves that every workload still works, and writes nothing.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from tenuto_bench.handover import NAME as HAND_OVER
from tenuto_bench.handover import run_handovers
from tenuto_bench.machine import describe, load_average
from tenuto_bench.report import README, console_tables, markdown, write_readme
from tenuto_bench.servers import BENCHMARKS, ProcessFailed
from tenuto_bench.session import CONFIGURATIONS, Plan, Result, run
from tenuto_bench.workloads import WORKLOADS

STORES = ("memory", "sqlite", "postgres", "redis")
console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure Tenuto beside a minimal hot path on the same machine.")
    option = parser.add_argument
    option("--store", action="append", choices=STORES, help="only this store; may be repeated")
    option("--workload", action="append", metavar="PATTERN", help="only these, such as chain-*; may be repeated")
    option("--repeats", type=int, default=5, help="of each workload that is not long (default: 5)")
    option("--seed", type=int, default=1, help="decides which side of a pair goes first (default: 1)")
    option("--smoke", action="store_true", help="tiny sizes: does everything still work?")
    option("--output", type=Path, metavar="FILE", help="where results go (default: benchmarks/results/<date>.json)")
    option("--write-readme", action="store_true", help="put the tables into benchmarks/README.md")
    option("--from-file", type=Path, metavar="FILE", help="measure nothing: show the tables of earlier results")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0: all was measured, 1: a process failed, 2: nothing fits the patterns."""
    options = parse(arguments)
    if options.from_file:
        report = json.loads(options.from_file.read_text(encoding="utf-8"))
    else:
        patterns = options.workload or ["*"]
        names = [*(one.name for one in WORKLOADS), HAND_OVER]
        chosen = {name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)}
        if not chosen:
            console.print(f"no workload fits; there are {', '.join(names)}")
            return 2
        workloads = [one for one in WORKLOADS if one.name in chosen]
        plan = Plan(workloads, options.repeats, smoke=options.smoke, seed=options.seed, say=say)
        try:
            report = measure(plan, options.store or STORES, with_handovers=HAND_OVER in chosen)
        except ProcessFailed as error:
            console.print(f"[red]failed:[/] {error}", soft_wrap=True)
            return 1
        save(report, options)
    if report["is_smoke"]:
        markdown(report)  # A table that cannot be made is a failure, too.
        measured = len(report["results"]) + len(report["handovers"])
        console.print(f"{measured} measurements work; a smoke run's figures say nothing and are not shown")
        return 0
    for table in console_tables(report):
        console.print(table)
    if options.write_readme:
        write_readme(report)
        console.print(f"tables written to {README.relative_to(BENCHMARKS.parent)}")
    return 0


def measure(plan: Plan, stores: Sequence[str], *, with_handovers: bool) -> dict[str, Any]:
    """Measure all chosen configurations; answer the whole report."""
    began_at, began, load = datetime.now(UTC), time.monotonic(), load_average()
    with TemporaryDirectory(prefix="bench-") as folder:
        facts = describe(Path(folder))
    results: list[Result] = []
    handovers: list[dict[str, Any]] = []
    for configuration in CONFIGURATIONS:
        if configuration.store in stores:
            results += run(configuration, plan)
            if with_handovers and configuration.is_shared:
                handovers += run_handovers(configuration, plan)
    return {
        "format": "tenuto-benchmarks/1",
        "began_at": began_at.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "is_smoke": plan.smoke,
        "seed": plan.seed,
        "repeats": plan.repeats,
        **facts,
        "load_average": {"before": load, "after": load_average()},
        "results": [result.to_json() for result in results],
        "handovers": handovers,
    }


def save(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the results file; a smoke run writes one only where asked."""
    path: Path | None = options.output
    if path is None and not options.smoke:
        path = BENCHMARKS / "results" / f"{report['began_at'][:10]}.json"
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        console.print(f"results written to {path}")


def say(text: str) -> None:
    """Show what is being measured."""
    console.print(f"[dim]{datetime.now(UTC):%H:%M:%S}[/] {text}")


if __name__ == "__main__":
    sys.exit(main())
