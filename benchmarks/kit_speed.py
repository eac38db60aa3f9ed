"""Measure how long tests with the test kit take: `benchmarks/kit_speed.py`, or `--help`.

All in this process, the guard on, as a user's tests have it:

* *first*: milliseconds of the first test, imports included;
* *test*: of each later one: an environment, a workflow of two activities, an assertion, the replay at its end;
* *thirty days*: the same with a timer of thirty days between the two;
* *thousand*: seconds for a thousand instances, each with a timer of its own;
* *crashes*: milliseconds of one run in `crash_everywhere`, and how many there are.

Results go to `results/<date>-kit.json`.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

BEGAN = time.perf_counter()

import tenuto as wf  # noqa: E402  # the first test's time begins before the imports
from tenuto.testing import WorkflowEnvironment  # noqa: E402
from tenuto_bench.machine import describe, load_average  # noqa: E402
from tenuto_bench.servers import BENCHMARKS  # noqa: E402

wfr = wf.WorkflowRuntime()
Steps = Generator[Any, Any, int]


@wfr.activity
def add(ctx: wf.WorkflowActivityContext, value: int) -> int:
    """A synchronous activity, which runs in a thread."""
    return value + 1


@wfr.workflow
def two(ctx: wf.WorkflowContext, value: int) -> Steps:
    """Two activities."""
    value = yield ctx.call_activity(add, input=value)
    value = yield ctx.call_activity(add, input=value)
    return value


@wfr.workflow
def month(ctx: wf.WorkflowContext, value: int) -> Steps:
    """Two activities, thirty days apart."""
    value = yield ctx.call_activity(add, input=value)
    yield ctx.create_timer(timedelta(days=30))
    value = yield ctx.call_activity(add, input=value)
    return value


@wfr.workflow
def sleeper(ctx: wf.WorkflowContext, seconds: int) -> Steps:
    """A timer of its own."""
    yield ctx.create_timer(timedelta(days=1, seconds=seconds))
    return seconds


def one_test(workflow: Callable[..., Any]) -> None:
    """What a user's test does."""
    with WorkflowEnvironment(wfr) as env:
        instance = env.start(workflow, input=1)
        assert instance.result() == 3
        instance.assert_activity_called(add, times=2)


def thousand(count: int) -> None:
    """Many instances in one environment."""
    with WorkflowEnvironment(wfr) as env:
        instances = [env.start(sleeper, input=number) for number in range(count)]
        assert [instance.result() for instance in instances] == list(range(count))


def crashes() -> int:
    """A crash at every place."""
    return WorkflowEnvironment.crash_everywhere(wfr, lambda env: env.run(month, input=1)).crashes


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def summary(figures: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {
        "median": round(statistics.median(figures), 2),
        "low": round(min(figures), 2),
        "high": round(max(figures), 2),
    }


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Measure how long tests with the test kit take.")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, nothing written: does it still work?")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a crash is told, hundreds of times
    one_test(two)
    first_ms = (time.perf_counter() - BEGAN) * 1000
    before = load_average()
    rounds, count = (3, 20) if options.smoke else (100, 1_000)
    found = {
        "first_ms": round(first_ms, 1),
        "test_ms": summary([seconds(lambda: one_test(two)) * 1000 for _ in range(rounds)]),
        "thirty_days_ms": summary([seconds(lambda: one_test(month)) * 1000 for _ in range(rounds)]),
        "thousand_s": summary([seconds(lambda: thousand(count)) for _ in range(1 if options.smoke else 3)]),
    }
    began = time.perf_counter()
    runs = crashes()
    found["crashes"] = {"runs": runs, "ms_each": round((time.perf_counter() - began) / runs * 1000, 2)}
    print(json.dumps(found, indent=2))
    if not options.smoke:
        with TemporaryDirectory(prefix="kit-") as folder:
            load = {"before": before, "after": load_average()}
            at = datetime.now(UTC).isoformat(timespec="seconds")
            report = {"at": at, **describe(Path(folder)), "load_average": load, **found}
        path = BENCHMARKS / "results" / f"{datetime.now(UTC):%Y-%m-%d}-kit.json"
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"written to {path.relative_to(BENCHMARKS.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
