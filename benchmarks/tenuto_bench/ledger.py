"""What the activities of the hand-over runs wrote down, and what follows from it: gaps, repetitions, losses.

Each run of an activity is one line, written before it does anything else: instance, number of the step, pod, moment
on the monotonic clock, which all processes of a machine share. Nothing here asks an engine: applications feel gaps, so
they are measured where applications are.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tenuto_bench.meters import percentile


@dataclass(frozen=True)
class Step:
    """One run of an activity. `pod`: a life of an engine with its app; one that was started again is another."""

    instance: str
    number: int
    pod: str
    at_ns: int


@dataclass(frozen=True)
class Move:
    """An instance went on elsewhere. `gap_s`: from the start of its last step there to that of its first one here."""

    instance: str
    source: str
    target: str
    gap_s: float


class Ledger:
    """A file to which every app appends; read as it grows. `newest`: the latest step of each instance."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps: list[Step] = []
        self.newest: dict[str, Step] = {}
        self._read_bytes = 0
        path.touch()

    def read(self) -> list[Step]:
        """All steps so far, in the order in which they were written."""
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            text = file.read()
        # A line that is being written is read next time.
        whole, _, _ = text.rpartition(b"\n")
        if whole:
            self._read_bytes += len(whole) + 1
            for line in whole.split(b"\n"):
                self._add(Step(*json.loads(line)))
        return self.steps

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        # Processes append in their own time: lines of two may be in another order than their moments.
        newest = self.newest.get(step.instance)
        if newest is None or newest.at_ns <= step.at_ns:
            self.newest[step.instance] = step


def by_instance(steps: Iterable[Step]) -> Mapping[str, Sequence[Step]]:
    """The steps of each instance, by time."""
    found: defaultdict[str, list[Step]] = defaultdict(list)
    for step in sorted(steps, key=lambda step: step.at_ns):
        found[step.instance].append(step)
    return found


def moves(steps: Iterable[Step], *, since_ns: int, source: str = "", target: str = "") -> list[Move]:
    """Each instance's first step on another pod than its step before, from then on.

    Args:
        steps: of all instances, in any order.
        since_ns: the moment of what caused them; a move is counted if its first step here is not before it.
        source: only moves away from this pod; empty: from any.
        target: only moves to this pod; empty: to any.
    """
    found: list[Move] = []
    for instance, own in by_instance(steps).items():
        for before, after in pairwise(own):
            if (
                after.at_ns >= since_ns
                and after.pod != before.pod
                and source in {"", before.pod}
                and target in {"", after.pod}
            ):
                found.append(Move(instance, before.pod, after.pod, (after.at_ns - before.at_ns) / 1e9))
                break
    return found


def step_seconds(steps: Iterable[Step], *, since_ns: int, until_ns: int) -> float:
    """The median time from one step of an instance to its next on the same pod, in an undisturbed while."""
    chosen = by_instance(step for step in steps if since_ns <= step.at_ns < until_ns)
    times = [
        (after.at_ns - before.at_ns) / 1e9
        for own in chosen.values()
        for before, after in pairwise(own)
        if before.pod == after.pod
    ]
    return statistics.median(times)


def repeated(steps: Iterable[Step], *, since_ns: int = 0) -> int:
    """How many runs of activities were repetitions of one that had begun already, from then on."""
    runs: Counter[tuple[str, int]] = Counter()
    count = 0
    for step in sorted(steps, key=lambda step: step.at_ns):
        key = (step.instance, step.number)
        count += runs[key] > 0 and step.at_ns >= since_ns
        runs[key] += 1
    return count


def skipped(steps: Iterable[Step]) -> int:
    """How many steps between an instance's first and its newest never ran."""
    numbers = {instance: {step.number for step in own} for instance, own in by_instance(steps).items()}
    return sum(max(own) - min(own) + 1 - len(own) for own in numbers.values())


def gap_figures(found: Sequence[Move], step_s: float) -> dict[str, float]:
    """Percentiles of what a move cost beyond an ordinary step, in ms; how many instances moved."""
    # A step that was quicker than the median one is no negative cost.
    costs = [max(0.0, move.gap_s - step_s) for move in found]
    figures = {"moved": float(len(costs)), "step_ms": step_s * 1e3}
    if costs:
        figures |= {f"p{share}_ms": percentile(costs, share / 100) * 1e3 for share in (50, 99)}
        figures["max_ms"] = max(costs) * 1e3
    return figures
