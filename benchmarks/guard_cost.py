"""Measure what the runtime guard costs: `benchmarks/guard_cost.py`, or `--help`.

Two figures, each with the sides in turns within one run, so that a busy machine slows all of them down alike:

* *step*: microseconds of one step in the SDK alone, from its event to its action, for `off`, `warn` and `raise`;
* *chain*: steps per second of a real engine in memory and an app process, 32 chains of 10 in flight, `off` and `warn`.

Results go to `results/<date>-guard.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tenuto as wf
from tenuto._guard.guard import Guard, Mode
from tenuto._payloads import Payloads
from tenuto._replay import events
from tenuto._replay.definitions import NO_OPTIONS
from tenuto._replay.executor import Executor
from tenuto._worker.registry import Registry
from tenuto_bench.machine import describe, load_average
from tenuto_bench.servers import BENCHMARKS, Pair, engine_and_app, store_options


def add(ctx: wf.WorkflowActivityContext, value: dict[str, int]) -> int:
    """The activity that is asked for; it never runs here."""
    return value["add"]


def chain(ctx: wf.WorkflowContext, length: int) -> Generator[Any, Any, int]:
    """Activities one after the other, with a little work between."""
    total = 0
    for number in range(length):
        total += yield ctx.call_activity(add, input={"add": number})
    return total


def step_microseconds(mode: Mode, steps: int) -> float:
    """One execution of so many steps, replayed turn by turn."""
    registry = Registry()
    registry.add_workflow(chain, None)
    registry.add_activity(add, None, NO_OPTIONS)
    guard = Guard(mode, registry.workflow_functions)
    executor = Executor("i", "x", definitions=registry, payloads=Payloads(), watch=guard.watch("i"))
    executor.run([], [events.TurnStarted(1), events.ExecutionStarted("chain", "i", "x", str(steps).encode())])
    turns: list[list[events.Event]] = [
        [events.TurnStarted(number), events.ActivityCompleted(number, b"1")] for number in range(1, steps + 1)
    ]
    began = time.perf_counter()
    for turn in turns:
        executor.run([], turn)
    return (time.perf_counter() - began) / steps * 1e6


def chain_rate(pair: Pair, count: int) -> float:
    """Steps per second of chains of 10, 32 in flight."""
    answer = pair.app.ask({"command": "run", "workflow": "chain", "size": 10, "count": count, "in_flight": 32})
    return count * 10 / float(answer["seconds"])


def in_turns(sides: Sequence[str], rounds: int, measure: Any) -> dict[str, list[float]]:
    """Each side once a round, in an order that alternates; a first round is discarded."""
    found: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side in sides if number % 2 else reversed(sides):
            figure = measure(side)
            if number:
                found[side].append(figure)
    return found


def summary(figures: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median, lowest and highest."""
    return {
        side: {
            name: round(pick(all_of), 3) for name, pick in (("median", statistics.median), ("low", min), ("high", max))
        }
        for side, all_of in figures.items()
    }


def measure_chains(rounds: int, count: int) -> dict[str, list[float]]:
    """Two engines and apps side by side, of which one is idle while the other is measured."""
    with ExitStack() as stack:
        pairs: dict[str, Pair] = {}
        for side in ("off", "warn"):
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="guard-")))
            store = store_options("memory:", tier="D0", key_prefix="guard")
            pairs[side] = stack.enter_context(engine_and_app(folder, store, TENUTO_GUARD=side))
        return in_turns(list(pairs), rounds, lambda side: chain_rate(pairs[side], count))


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Measure what the runtime guard costs.")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, nothing written: does it still work?")
    parser.add_argument("--rounds", type=int, default=11, help="of each side (default: 11)")
    options = parser.parse_args()
    rounds, steps, count = (1, 100, 20) if options.smoke else (options.rounds, 5_000, 400)
    before = load_average()
    step = in_turns([mode.value for mode in Mode], rounds, lambda side: step_microseconds(Mode(side), steps))
    rates = measure_chains(rounds, count)
    with TemporaryDirectory(prefix="guard-") as folder:
        report = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            **describe(Path(folder)),
            "load_average": {"before": before, "after": load_average()},
            "rounds": rounds,
            "step_us": summary(step),
            "chain_steps_per_s": summary(rates),
        }
    print(json.dumps({name: report[name] for name in ("load_average", "step_us", "chain_steps_per_s")}, indent=2))
    if not options.smoke:
        path = BENCHMARKS / "results" / f"{datetime.now(UTC):%Y-%m-%d}-guard.json"
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"written to {path.relative_to(BENCHMARKS.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
