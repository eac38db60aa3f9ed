"""What is measured: a name, what it counts, how much of it. Ids W1 to W8 are those of the performance notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Phase(Enum):
    """Workloads of one phase share an engine; each phase begins with a fresh one."""

    THROUGHPUT = "throughput"
    TIMERS = "timers"
    IDLE = "idle"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One line of the results.

    Args:
        name: what `--workload` selects, and results are called.
        title: what a reader sees.
        unit: what is counted per second; the plural.
        units: how many of them one request of this size makes: `sizes` gives the factors.
        request: what the app is asked for.
        smoke: what replaces parts of the request in a smoke run.
        warm_up: what replaces parts of the request in a warm-up, whose figures are discarded; None: no warm-up.
        yardstick: whether the hot path runs the same beside it.
        is_long: whether one repeat is enough, for it takes long or is itself made of thousands.
        heavy: whether it runs in the default configuration of each store only.
        phase: which engine it runs on.
    """

    name: str
    title: str
    unit: str
    units: tuple[str, ...]
    request: Mapping[str, Any]
    smoke: Mapping[str, Any]
    warm_up: Mapping[str, Any] | None = field(default_factory=dict[str, Any])
    yardstick: bool = False
    is_long: bool = False
    heavy: bool = False
    phase: Phase = Phase.THROUGHPUT

    def sized(self, *, smoke: bool) -> dict[str, Any]:
        """The request, in full or for a smoke run."""
        return {**self.request, **(self.smoke if smoke else {})}

    def unit_count(self, request: Mapping[str, Any]) -> int:
        """How many units a request makes."""
        count = 1
        for name in self.units:
            count *= request[name]
        return count


def _runs(name: str, title: str, *, workflow: str, size: int, count: int, in_flight: int, **rest: Any) -> Workload:
    # A smoke run keeps the shape: so many in flight, twice over.
    small = min(size, 20)
    return Workload(
        name=name,
        title=title,
        unit="steps",
        units=("count", "size"),
        request={"command": "run", "workflow": workflow, "size": size, "count": count, "in_flight": in_flight},
        smoke={"count": min(count, 2 * in_flight, 64), "size": small},
        warm_up={"count": max(1, min(count // 5, 2 * in_flight)), "size": small},
        **rest,
    )


WORKLOADS = (
    Workload(
        name="start-32",
        title="W1 start only, 32 in flight",
        unit="starts",
        units=("count",),
        request={"command": "start", "count": 2000, "in_flight": 32},
        smoke={"count": 50},
        warm_up={"count": 100},
    ),
    _runs("single-1", "W2 one activity, 1 in flight", workflow="chain", size=1, count=200, in_flight=1, yardstick=True),
    _runs(
        "single-32", "W2 one activity, 32 in flight", workflow="chain", size=1, count=800, in_flight=32, yardstick=True
    ),
    _runs("single-50", "W2 one activity, 50 in flight", workflow="chain", size=1, count=800, in_flight=50),
    _runs(
        "chain-10-1", "W3 chain of 10, 1 in flight", workflow="chain", size=10, count=40, in_flight=1, yardstick=True
    ),
    _runs(
        "chain-10-32",
        "W3 chain of 10, 32 in flight",
        workflow="chain",
        size=10,
        count=320,
        in_flight=32,
        yardstick=True,
    ),
    _runs(
        "chain-10-256",
        "W3 chain of 10, 256 in flight",
        workflow="chain",
        size=10,
        count=768,
        in_flight=256,
        yardstick=True,
    ),
    _runs(
        "chain-1000",
        "W5 chain of 1,000, 1 in flight",
        workflow="chain",
        size=1000,
        count=1,
        in_flight=1,
        yardstick=True,
    ),
    Workload(
        name="events-10000",
        title="W5 one execution of 10,000 events",
        unit="steps",
        units=("length",),
        request={"command": "long_chain", "length": 3333, "window": 500},
        smoke={"length": 60, "window": 20},
        warm_up=None,
        is_long=True,
    ),
    _runs("fan-out-100", "W4 fan-out of 100, 1 in flight", workflow="fan_out", size=100, count=20, in_flight=1),
    _runs("fan-out-100-10", "W4 fan-out of 100, 10 in flight", workflow="fan_out", size=100, count=40, in_flight=10),
    _runs("fan-out-1000", "W4 fan-out of 1,000, 1 in flight", workflow="fan_out", size=1000, count=2, in_flight=1),
    Workload(
        name="ping-pong-1",
        title="W7 event and acknowledgement, 1 instance",
        unit="rounds",
        units=("instances", "rounds"),
        request={"command": "ping_pong", "instances": 1, "rounds": 300},
        smoke={"rounds": 10},
        warm_up={"rounds": 20},
    ),
    Workload(
        name="ping-pong-32",
        title="W7 event and acknowledgement, 32 instances",
        unit="rounds",
        units=("instances", "rounds"),
        request={"command": "ping_pong", "instances": 32, "rounds": 30},
        smoke={"rounds": 2},
        warm_up={"rounds": 2},
    ),
    Workload(
        name="burst-1000",
        title="W7 1,000 events into one instance",
        unit="events",
        units=("count",),
        request={"command": "burst", "count": 1000, "in_flight": 32},
        smoke={"count": 50},
        warm_up={"count": 50},
    ),
    Workload(
        name="timers-spread",
        title="W6 10,000 timers, due over 20 s",
        unit="timers",
        units=("count",),
        request={"command": "timers", "count": 10_000, "spread_seconds": 20},
        smoke={"count": 100, "spread_seconds": 0.5},
        warm_up=None,
        is_long=True,
        heavy=True,
        phase=Phase.TIMERS,
    ),
    Workload(
        name="timers-herd",
        title="W6 10,000 timers, due at one instant",
        unit="timers",
        units=("count",),
        request={"command": "timers", "count": 10_000, "spread_seconds": 0},
        smoke={"count": 100},
        warm_up=None,
        is_long=True,
        heavy=True,
        phase=Phase.TIMERS,
    ),
    Workload(
        name="idle-100000",
        title="W8 100,000 idle instances",
        unit="starts",
        units=("count",),
        request={"command": "idle", "count": 100_000},
        smoke={"count": 200},
        warm_up=None,
        is_long=True,
        heavy=True,
        phase=Phase.IDLE,
    ),
)
