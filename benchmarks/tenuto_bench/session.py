"""Runs a store's workloads: fresh processes for each phase, warm-up, repeats, the yardstick in turns with ours."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tenuto_bench.meters import Meter, percentile
from tenuto_bench.servers import (
    Child,
    Pair,
    database_bytes,
    engine_and_app,
    postgres_server,
    redis_server,
    store_options,
    yardstick,
)
from tenuto_bench.workloads import Phase, Workload

IDLE_WINDOW_S = 10.0
SMOKE_WINDOW_S = 0.5
Figures = dict[str, float]


@dataclass(frozen=True)
class Configuration:
    """A store with a durability tier.

    Args:
        name: what results are called.
        store: memory, sqlite, postgres or redis.
        tier: D0, D1 or D2.
        title: what a reader sees.
        fsync: Redis' `appendfsync`.
        is_default: whether the engine takes this tier for this store by itself.
        is_shared: whether several engines can stand on it.
    """

    name: str
    store: str
    tier: str
    title: str
    fsync: str = ""
    is_default: bool = True
    is_shared: bool = False


CONFIGURATIONS = (
    Configuration("memory", "memory", "D0", "memory (D0)"),
    Configuration("redis-everysec", "redis", "D1", "Redis, AOF everysec (D1)", fsync="everysec", is_shared=True),
    Configuration("redis-always", "redis", "D2", "Redis, AOF always (D2)", fsync="always", is_default=False),
    Configuration("sqlite", "sqlite", "D2", "SQLite, WAL, synchronous=FULL (D2)"),
    Configuration("postgres", "postgres", "D2", "PostgreSQL, synchronous_commit=on (D2)", is_shared=True),
)


@dataclass(frozen=True)
class Plan:
    """How a run is done.

    Args:
        workloads: which of them.
        repeats: how often each that is not long.
        smoke: whether sizes are those of a smoke run.
        seed: decides which side of a pair goes first.
        say: told what is being measured.
    """

    workloads: Sequence[Workload]
    repeats: int
    smoke: bool
    seed: int
    say: Callable[[str], None]


@dataclass
class Bench:
    """Everything that is running for one phase."""

    pair: Pair
    meter: Meter
    rival: Child | None
    store_bytes: Callable[[], float]


@dataclass
class Result:
    """What one workload gave on one configuration; figures of all repeats, ours and the yardstick's side by side."""

    configuration: Configuration
    workload: Workload
    request: Mapping[str, Any]
    ours: list[Figures] = field(default_factory=list[Figures])
    rival: list[Figures] = field(default_factory=list[Figures])

    def to_json(self) -> dict[str, Any]:
        """The result as the results file has it: median, lowest and highest of each figure."""
        found: dict[str, Any] = {
            "configuration": self.configuration.name,
            "store": self.configuration.store,
            "durability": self.configuration.tier,
            "workload": self.workload.name,
            "title": self.workload.title,
            "unit": self.workload.unit,
            "request": dict(self.request),
            "repeats": len(self.ours),
            "figures": summarize(self.ours),
        }
        if self.rival:
            pairs = zip(self.ours, self.rival, strict=True)
            found["yardstick"] = {
                "figures": summarize(self.rival),
                # Of pairs that ran right after one another: the machine's mood is the same for both.
                "ratio": round(statistics.median(ours["rate"] / rival["rate"] for ours, rival in pairs), 3),
            }
        return found


def summarize(samples: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """Median, lowest and highest of each figure."""
    found: dict[str, dict[str, float]] = {}
    for name in samples[0]:
        values = [sample[name] for sample in samples]
        numbers = {"median": statistics.median(values), "low": min(values), "high": max(values)}
        found[name] = {key: float(f"{value:.4g}") for key, value in numbers.items()}
    return found


def run(configuration: Configuration, plan: Plan) -> list[Result]:
    """Measure one configuration."""
    results: list[Result] = []
    # A short folder name, for a socket's path must fit into 108 bytes.
    with TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name, ExitStack() as servers:
        folder = Path(name)
        server = servers.enter_context(running(configuration, folder))
        for phase in Phase:
            chosen = [
                workload
                for workload in plan.workloads
                if workload.phase is phase and (configuration.is_default or not workload.heavy)
            ]
            if chosen:
                with bench(configuration, folder, phase, server=server) as ready:
                    results += [measure(configuration, workload, ready, plan) for workload in chosen]
    return results


@dataclass(frozen=True)
class Server:
    """A store's server. `redis`: its process and port if it is Redis; `bytes_used`: on disk, as it tells itself."""

    url: str
    redis: tuple[Child, int] | None = None
    bytes_used: Callable[[], float] = lambda: 0.0


@contextmanager
def running(configuration: Configuration, folder: Path) -> Iterator[Server | None]:
    """The server of a configuration; None where the store is a part of the engine."""
    if configuration.store == "redis":
        with redis_server(folder, fsync=configuration.fsync) as (process, port):
            yield Server(f"redis://127.0.0.1:{port}/0", (process, port))
    elif configuration.store == "postgres":
        with postgres_server() as (_, url):
            yield Server(url, bytes_used=partial(database_bytes, url))
    else:
        yield None


@contextmanager
def bench(configuration: Configuration, folder: Path, phase: Phase, *, server: Server | None) -> Iterator[Bench]:
    """Start what a phase needs: engine, app, and on Redis the yardstick."""
    with ExitStack() as processes:
        database = folder / f"{phase.value}.db"
        url = "memory:" if configuration.store == "memory" else f"sqlite:///{database}"
        redis = server.redis if server is not None else None
        rival = None
        if redis is not None and phase is Phase.THROUGHPUT:
            rival = processes.enter_context(yardstick(folder, redis[1]))
        store = store_options(
            server.url if server is not None else url, tier=configuration.tier, key_prefix=f"bench-{phase.value}"
        )
        pair = processes.enter_context(engine_and_app(folder, store))
        meter = Meter(pair, redis_pid=redis[0].pid, redis_port=redis[1]) if redis is not None else Meter(pair)

        def store_bytes() -> float:
            if server is not None:
                return server.bytes_used()
            return float(sum(path.stat().st_size for path in folder.glob(f"{database.name}*")))

        yield Bench(pair, meter, rival, store_bytes)


def measure(configuration: Configuration, workload: Workload, ready: Bench, plan: Plan) -> Result:
    """Warm up, then measure ours and the yardstick, one after the other, in an order that the seed decides."""
    request = workload.sized(smoke=plan.smoke)
    result = Result(configuration, workload, request)
    plan.say(f"{configuration.title}: {workload.title}")
    rival = ready.rival if workload.yardstick else None
    if workload.warm_up is not None:
        small = {**request, **workload.warm_up}
        ready.pair.app.ask(small)
        if rival is not None:
            rival.ask(yardstick_request(small))
    order = random.Random(f"{plan.seed} {configuration.name} {workload.name}")
    for _ in range(1 if workload.is_long or plan.smoke else plan.repeats):
        sides = ["ours", "rival"] if rival is not None else ["ours"]
        order.shuffle(sides)
        for side in sides:
            if side == "ours":
                result.ours.append(measure_ours(workload, request, ready, smoke=plan.smoke))
            elif rival is not None:
                answer = rival.ask(yardstick_request(request))
                result.rival.append(figures_of(answer, workload.unit_count(request)))
    return result


def yardstick_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The same load, in the yardstick's words."""
    return {"length": request["size"], "count": request["count"], "in_flight": request["in_flight"]}


def measure_ours(workload: Workload, request: Mapping[str, Any], ready: Bench, *, smoke: bool) -> Figures:
    """One repeat: its figures, and what it used per unit."""
    units = workload.unit_count(request)
    idle_before = idle_cpu_share(ready.meter, smoke=smoke) if workload.phase is Phase.IDLE else 0.0
    memory, size = ready.meter.memory_mb(), ready.store_bytes()
    before = ready.meter.read()
    answer = ready.pair.app.ask(request)
    used = {name: value - before[name] for name, value in ready.meter.read().items()}
    figures = figures_of(answer, units)
    figures |= {f"{name}_per_unit": value / units for name, value in used.items() if not name.endswith("_cpu_s")}
    figures |= {
        name.replace("_s", "_us_per_unit"): used[name] / units * 1e6 for name in used if name.endswith("_cpu_s")
    }
    figures |= ready.meter.memory_mb()
    if workload.phase is Phase.IDLE:
        figures["idle_engine_cpu_percent"] = idle_cpu_share(ready.meter, smoke=smoke)
        figures["empty_engine_cpu_percent"] = idle_before
        grown = ready.meter.memory_mb()
        for name, now in grown.items():
            figures[name.replace("_rss_mb", "_bytes_per_unit")] = (now - memory[name]) / units * 1e6
        if size_now := ready.store_bytes():
            figures["file_bytes_per_unit"] = (size_now - size) / units
    return figures


def figures_of(answer: dict[str, Any], units: int) -> Figures:
    """The figures of one answer: rate, percentiles of latency, and whatever else it tells."""
    latencies: list[float] = answer.pop("latencies", [])
    figures: Figures = {"rate": units / answer["seconds"]}
    if latencies:
        figures |= {f"p{share}_ms": percentile(latencies, share / 100) * 1e3 for share in (50, 90, 99)}
        figures["max_ms"] = max(latencies) * 1e3
    return figures | {name: float(value) for name, value in answer.items()}


def idle_cpu_share(meter: Meter, *, smoke: bool) -> float:
    """CPU time of the engine while nothing is asked of it, in percent of one core."""
    window = SMOKE_WINDOW_S if smoke else IDLE_WINDOW_S
    # What the previous request left to do (acknowledgements, retention) is not idleness.
    time.sleep(window / 5)
    before = meter.read()["engine_cpu_s"]
    time.sleep(window)
    return (meter.read()["engine_cpu_s"] - before) / window * 100
