"""What the architecture (section 11) and the performance notes ask for, computed from a report's figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FULL_SPEED = ("redis-everysec", "redis-always")
FSYNC_TIER = ("redis-always", "sqlite", "postgres")
SHARED = ("redis-everysec", "postgres")


class Figures:
    """Looks figures up in a report. A figure that was not measured is a KeyError."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        # Reports of earlier releases have no hand-overs.
        found = [*report["results"], *report.get("handovers", [])]
        self._results = {(one["configuration"], one["workload"]): one for one in found}

    def median(self, configuration: str, workload: str, figure: str) -> float:
        value: float = self._results[configuration, workload]["figures"][figure]["median"]
        return value

    def worst(self, configuration: str, workload: str, figure: str) -> float:
        """The highest of all repeats."""
        value: float = self._results[configuration, workload]["figures"][figure]["high"]
        return value

    def lease_ms(self, configuration: str, workload: str) -> float:
        """How long a lease was in this workload."""
        seconds: float = self._results[configuration, workload]["request"]["lease_seconds"]
        return seconds * 1e3

    def ratio(self, configuration: str, workload: str) -> float:
        """Our rate over the yardstick's in the same run."""
        value: float = self._results[configuration, workload]["yardstick"]["ratio"]
        return value

    def yardstick_rate(self, configuration: str, workload: str) -> float:
        value: float = self._results[configuration, workload]["yardstick"]["figures"]["rate"]["median"]
        return value


@dataclass(frozen=True)
class Target:
    """A promise: what, how it is measured, which bound it must keep (at least, or at most)."""

    text: str
    configurations: tuple[str, ...]
    measure: Callable[[Figures, str], float]
    bound: float
    at_least: bool = True
    unit: str = ""

    def is_reached(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def _ratio(workload: str) -> Callable[[Figures, str], float]:
    return lambda figures, configuration: figures.ratio(configuration, workload)


def _median(workload: str, figure: str) -> Callable[[Figures, str], float]:
    return lambda figures, configuration: figures.median(configuration, workload, figure)


def _worst(workload: str, figure: str) -> Callable[[Figures, str], float]:
    return lambda figures, configuration: figures.worst(configuration, workload, figure)


def _beyond_lease(figures: Figures, configuration: str) -> float:
    worst = figures.worst(configuration, "hand-over-kill", "max_ms")
    return worst - figures.lease_ms(configuration, "hand-over-kill")


def _lost(figures: Figures, configuration: str) -> float:
    return sum(figures.worst(configuration, f"hand-over-{kind}", "lost") for kind in ("drain", "kill", "join"))


def _long_history_ratio(figures: Figures, configuration: str) -> float:
    last = 1e3 / figures.median(configuration, "events-10000", "last_ms_per_step")
    return last / figures.yardstick_rate(configuration, "chain-1000")


def _flatness(figures: Figures, configuration: str) -> float:
    first = figures.median(configuration, "events-10000", "first_ms_per_step")
    return figures.median(configuration, "events-10000", "last_ms_per_step") / first


def _fan_out_over_chain(figures: Figures, configuration: str) -> float:
    chain = figures.median(configuration, "chain-10-32", "rate")
    return figures.median(configuration, "fan-out-100-10", "rate") / chain


def _idle_cpu(figures: Figures, configuration: str) -> float:
    empty = figures.median(configuration, "idle-100000", "empty_engine_cpu_percent")
    return figures.median(configuration, "idle-100000", "idle_engine_cpu_percent") - empty


TARGETS = (
    Target("chain of 10, 32 in flight: share of the yardstick's rate", FULL_SPEED, _ratio("chain-10-32"), 0.5),
    Target("chain of 10, 256 in flight: share of the yardstick's rate", FULL_SPEED, _ratio("chain-10-256"), 0.5),
    Target("one activity, 32 in flight: share of the yardstick's rate", FULL_SPEED, _ratio("single-32"), 0.5),
    Target("chain of 10, 32 in flight", FULL_SPEED, _median("chain-10-32", "rate"), 4500, unit="steps/s"),
    Target("one activity, 32 in flight", FULL_SPEED, _median("single-32", "rate"), 1300, unit="workflows/s"),
    Target("chain of 1,000: share of the yardstick's rate", FULL_SPEED, _ratio("chain-1000"), 0.7),
    Target("last 500 steps of 10,000 events: share of the yardstick's chain", FULL_SPEED, _long_history_ratio, 0.7),
    Target(
        "10,000 events: cost of the last 500 steps over the first 500",
        (*FULL_SPEED, "postgres", "sqlite", "memory"),
        _flatness,
        1.25,
        at_least=False,
    ),
    Target("fan-out of 100 over chains of 10, steps/s", (*FULL_SPEED, "postgres", "sqlite"), _fan_out_over_chain, 1.0),
    Target(
        "100,000 idle instances: CPU of the engine above an empty one's",
        ("redis-everysec", "postgres", "sqlite", "memory"),
        _idle_cpu,
        1.0,
        at_least=False,
        unit="% of a core",
    ),
    Target("W1 starts", FSYNC_TIER, _median("start-32", "rate"), 1500, unit="starts/s"),
    Target("W2 one activity, p50", FSYNC_TIER, _median("single-1", "p50_ms"), 8, at_least=False, unit="ms"),
    Target("W2 one activity, 50 in flight", FSYNC_TIER, _median("single-50", "rate"), 300, unit="workflows/s"),
    Target("W3 chain of 10, p50", FSYNC_TIER, _median("chain-10-1", "p50_ms"), 30, at_least=False, unit="ms"),
    Target("W4 fan-out of 100, p50", FSYNC_TIER, _median("fan-out-100", "p50_ms"), 150, at_least=False, unit="ms"),
    Target(
        "W5 chain of 1,000, per step",
        FSYNC_TIER,
        lambda figures, configuration: 1e3 / figures.median(configuration, "chain-1000", "rate"),
        1.5,
        at_least=False,
        unit="ms",
    ),
    Target(
        "W6 timers over 20 s, lateness p99",
        ("postgres", "sqlite"),
        _median("timers-spread", "p99_ms"),
        500,
        False,
        "ms",
    ),
    Target("W7 event and acknowledgement, p50", FSYNC_TIER, _median("ping-pong-1", "p50_ms"), 8, False, "ms"),
    Target("drained engine: pause of an instance, p99", SHARED, _median("hand-over-drain", "p99_ms"), 500, False, "ms"),
    Target(
        "drained engine: activities run again, worst round", SHARED, _worst("hand-over-drain", "repeated"), 0, False
    ),
    Target("killed engine: pause of an instance beyond the lease, longest", SHARED, _beyond_lease, 1000, False, "ms"),
    Target(
        "killed engine: activities run again beyond those in flight, worst round",
        SHARED,
        _worst("hand-over-kill", "excess"),
        0,
        False,
    ),
    Target("drained, killed, new engine: instances that did not go on", SHARED, _lost, 0, False),
)


@dataclass(frozen=True)
class Verdict:
    """A target on one configuration."""

    target: Target
    configuration: str
    value: float

    @property
    def is_reached(self) -> bool:
        return self.target.is_reached(self.value)


def judge(report: Mapping[str, Any]) -> list[Verdict]:
    """All targets whose figures the report has; those of a smoke run say nothing and are left out."""
    if report["is_smoke"]:
        return []
    figures = Figures(report)
    verdicts: list[Verdict] = []
    for target in TARGETS:
        for configuration in target.configurations:
            try:
                verdicts.append(Verdict(target, configuration, target.measure(figures, configuration)))
            except KeyError:
                continue
    return verdicts
