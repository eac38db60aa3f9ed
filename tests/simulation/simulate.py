"""Simulate seeds: `make simulate ARGS="--seeds 10000 --start 0"`.

A seed that fails is printed with the invariant it breaks, shrunk, and written beside the other regressions, where a
test replays it from then on. The exit code is 1 if any failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from simulation.network import Entry
from simulation.plans import Plan, make_plan
from simulation.shrinking import shrink
from simulation.world import Verdict, simulate

REGRESSIONS = Path(__file__).parent / "regressions"
_CHUNK = 8


class Failure(msgspec.Struct):
    """A seed that broke an invariant."""

    seed: int
    invariant: str
    text: str


def run_seeds(seeds: Sequence[int]) -> tuple[list[Failure], Counter[str]]:
    """Run some seeds in this process; returns those that failed, and what happened in all of them together."""
    failures: list[Failure] = []
    counts: Counter[str] = Counter()
    for seed in seeds:
        verdict = simulate(make_plan(seed))
        counts.update(verdict.counts)
        counts["steps"] += verdict.steps
        counts["virtual seconds"] += int(verdict.virtual_s)
        if not verdict.passed:
            failures.append(Failure(seed, verdict.invariant, verdict.text))
    return failures, counts


def run_many(start: int, seeds: int, *, processes: int, seconds: float) -> Iterator[tuple[list[Failure], Counter[str]]]:
    """Run seeds in several processes, in chunks, until all are run or the time is over."""
    chunks = [range(first, min(first + _CHUNK, start + seeds)) for first in range(start, start + seeds, _CHUNK)]
    deadline = time.monotonic() + seconds
    if processes < 2:
        for chunk in chunks:
            if time.monotonic() > deadline:
                return
            yield run_seeds(chunk)
        return
    with ProcessPoolExecutor(processes) as pool:
        pending = [pool.submit(run_seeds, chunk) for chunk in chunks]
        for future in pending:
            if time.monotonic() > deadline:
                future.cancel()
                continue
            yield future.result()


def describe(plan: Plan, verdict: Verdict) -> str:
    """A failing plan for people: what is broken, by which commands and faults, and how to see it again."""
    lines = [verdict.text, f"{plan.engines} engines, durability {plan.durability}, {verdict.steps} steps"]
    lines += [f"  {c.at_s:7.3f} s  client {c.client}: {c.kind} {c.target} {c.name} {c.given!r}" for c in plan.commands]
    lines += [f"  {f.at_s:7.3f} s  fault: {f.kind} engine {f.engine} for {f.for_s} s {f.detail}" for f in plan.faults]
    return "\n".join(lines)


def keep(failure: Failure) -> Path:
    """Shrink a failing seed and write it as a regression."""
    plan = shrink(make_plan(failure.seed), lambda smaller: simulate(smaller).invariant == failure.invariant)
    verdict = simulate(plan)
    print(f"shrunk, seed {failure.seed}: {describe(plan, verdict)}")
    REGRESSIONS.mkdir(exist_ok=True)
    path = REGRESSIONS / f"{failure.invariant.lower()}_{failure.seed}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(plan)) + b"\n")
    return path


def load(path: Path) -> Plan:
    """A plan that was kept."""
    return msgspec.json.decode(path.read_bytes(), type=Plan)


def show(plan: Plan, wanted: str) -> None:
    """Run one plan, printing every operation of the store whose text contains `wanted`."""

    def line(now_s: float, entry: Entry) -> None:
        text = repr(entry.operation)
        if entry.operation is not None and wanted in text:
            print(f"{now_s:9.3f} {entry.engine}: {text} -> {entry.outcome!r}")

    verdict = simulate(plan, on_entry=line)
    print(describe(plan, verdict) if not verdict.passed else f"passed: {verdict.steps} steps, trace {verdict.trace}")


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="one per core by default")
    parser.add_argument("--no-shrink", action="store_true", help="print failing seeds only")
    parser.add_argument("--show", metavar="TEXT", help="run the one seed --start, printing operations that say TEXT")
    parser.add_argument("--plan", type=Path, help="with --show: a kept plan instead of a seed")
    given = parser.parse_args()
    if given.show is not None:
        show(load(given.plan) if given.plan else make_plan(given.start), given.show)
        return 0
    began = time.monotonic()
    failures: list[Failure] = []
    counts: Counter[str] = Counter()
    runs = run_many(given.start, given.seeds, processes=given.processes, seconds=given.seconds)
    for failed, counted in runs:
        counts.update(counted)
        for failure in failed:
            print(f"seed {failure.seed}: {failure.text}", flush=True)
        failures += failed
    for failure in failures if not given.no_shrink else ():
        print(f"kept as {keep(failure)}")
    print(f"{given.seeds} seeds from {given.start}: {len(failures)} failed, {time.monotonic() - began:.0f} s")
    print(", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
