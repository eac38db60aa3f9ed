"""Three engines with their apps on one store, under load: what drains, crashes and newcomers cost each instance.

One scenario, several rounds: an engine is drained, comes back, one is killed with its app, comes back. The ledger of
the activities says what happened; the engines are asked only when the shards are spread evenly again.
"""

from __future__ import annotations

import random
import re
import signal
import time
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tenuto_bench.ledger import Ledger, gap_figures, moves, repeated, skipped, step_seconds
from tenuto_bench.servers import Pair, ProcessFailed, engine_and_app, store_options
from tenuto_bench.session import Configuration, Figures, Plan, running, summarize

NAME = "hand-over"
TITLES = {
    "drain": "an engine is drained (SIGTERM)",
    "kill": "an engine and its app are killed (SIGKILL)",
    "join": "an engine joins",
}
ENGINES = 3
_OWNED = re.compile(r"^tenuto_shards_owned(?:\{[^}]*\})? ([0-9.]+)$", re.MULTILINE)
# Scrapes and looks at the ledger take time from what is measured; what they wait for lasts hundreds of times longer.
_LOOK_S = 0.1
# Beyond the lease: until something is certainly lost.
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Scale:
    """How large the scenario is.

    Args:
        instances: chains that run all the time, the same number in each shard.
        shards: of the app.
        lease_seconds: of a shard; short, so that rounds are, and what is promised is relative to it.
        step_seconds: how long an activity works.
        settle_seconds: how long chains run undisturbed before each event; their steps then are ordinary steps.
    """

    instances: int = 128
    shards: int = 64
    lease_seconds: float = 5.0
    step_seconds: float = 0.05
    settle_seconds: float = 1.5


SMOKE = Scale(instances=64, lease_seconds=1.0, settle_seconds=0.3)


class Cluster:
    """All pods, and the chains that run on them.

    Args:
        folder: a short path of its own.
        store: the engines' options that say which.
        scale: of the scenario.
    """

    def __init__(self, folder: Path, store: list[str], scale: Scale) -> None:
        self._folder = folder
        self._store = store
        self._scale = scale
        self.ledger = Ledger(folder / "ledger")
        self.pods: dict[str, Pair] = {}
        self._ends: dict[str, ExitStack] = {}
        self._names = (f"p{number}" for number in count())
        self._instances = instance_ids(scale.instances, scale.shards)

    def start_pod(self) -> str:
        """Start an engine and its app; its name, which no other pod ever has."""
        name = next(self._names)
        folder = self._folder / name
        folder.mkdir()
        options = ("--shards", str(self._scale.shards), "--lease-seconds", f"{self._scale.lease_seconds:g}")
        noted = {"BENCH_POD": name, "BENCH_LEDGER": str(self.ledger.path)}
        with ExitStack() as ends:
            pair = engine_and_app(folder, self._store, *options, app="tenuto_bench.ledger_app", **noted)
            self.pods[name] = ends.enter_context(pair)
            self.pods[name].app.line()
            self._ends[name] = ends.pop_all()
        return name

    def end_pod(self, name: str) -> None:
        """End what of a pod still runs."""
        del self.pods[name]
        self._ends.pop(name).close()

    def end(self) -> None:
        for name in list(self._ends):
            self.end_pod(name)

    def start_load(self) -> None:
        app = next(iter(self.pods.values())).app
        app.ask({"command": "start", "instances": self._instances, "seconds": self._scale.step_seconds})

    def end_load(self) -> None:
        """Let all chains end. Raises ProcessFailed if one does not, or has skipped a step."""
        Path(f"{self.ledger.path}.end").touch()
        app = next(iter(self.pods.values())).app
        lost = app.ask({"command": "ended", "instances": self._instances, "timeout": _PATIENCE_S})["lost"]
        gaps = skipped(self.ledger.read())
        if lost or gaps:
            raise ProcessFailed(f"{lost} of {len(self._instances)} chains did not end, {gaps} steps were never run")

    def wait_until(self, is_reached: Callable[[], bool]) -> bool:
        """Look again and again, with patience; whether it came true."""
        deadline = time.monotonic() + self._scale.lease_seconds + _PATIENCE_S
        while not is_reached():
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)
        return True

    def wait_until_balanced(self) -> None:
        """Wait until every shard is owned, and no engine has more than one above another."""

        def is_balanced() -> bool:
            owned = [shards_owned(pair.metrics_url) for pair in self.pods.values()]
            return sum(owned) == self._scale.shards and max(owned) - min(owned) <= 1

        if not self.wait_until(is_balanced):
            raise ProcessFailed(f"{len(self.pods)} engines did not come to own the same number of shards each")

    def left_at(self, pod: str) -> int:
        """How many instances have not gone on anywhere else since they were there."""
        self.ledger.read()
        return sum(step.pod == pod for step in self.ledger.newest.values())

    def silent_since(self, moment_ns: int) -> int:
        """How many instances have run no step since then."""
        self.ledger.read()
        return sum(self.ledger.newest[i].at_ns < moment_ns for i in self._instances if i in self.ledger.newest)


def instance_ids(instances: int, shards: int) -> list[str]:
    """So many ids, the same number of them in each shard."""
    room = Counter(dict.fromkeys(range(shards), instances // shards))
    chosen: list[str] = []
    for number in count():
        name = f"chain-{number}"
        shard = zlib.crc32(name.encode()) % shards
        if room[shard]:
            room[shard] -= 1
            chosen.append(name)
        if len(chosen) == instances // shards * shards:
            return chosen
    raise AssertionError("counting ends only with the return above")


def shards_owned(metrics_url: str) -> int:
    """How many shards an engine says that it owns."""
    with urllib.request.urlopen(metrics_url, timeout=30) as answer:
        return sum(int(float(value)) for value in _OWNED.findall(answer.read().decode()))


@contextmanager
def cluster(configuration: Configuration, scale: Scale) -> Iterator[Cluster]:
    """A balanced cluster under load on a fresh store."""
    with TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name, ExitStack() as ends:
        folder = Path(name)
        server = ends.enter_context(running(configuration, folder))
        assert server is not None, "several engines need a store outside of them"
        store = store_options(server.url, tier=configuration.tier, key_prefix="bench-hand-over")
        made = Cluster(folder, store, scale)
        ends.callback(made.end)
        for _ in range(ENGINES):
            made.start_pod()
        made.wait_until_balanced()
        made.start_load()
        yield made


def run_handovers(configuration: Configuration, plan: Plan) -> list[dict[str, Any]]:
    """Run the scenario on one configuration; one result for each kind of event, as the results file has it."""
    scale = SMOKE if plan.smoke else Scale()
    order = random.Random(f"{plan.seed} {configuration.name} {NAME}")
    samples: dict[str, list[Figures]] = {kind: [] for kind in TITLES}
    with cluster(configuration, scale) as ready:
        for number in range(1 if plan.smoke else plan.repeats):
            plan.say(f"{configuration.title}: hand-over and take-over, round {number + 1}")
            for kind in ("drain", "kill"):
                samples[kind].append(lose_engine(ready, order.choice(sorted(ready.pods)), kind, scale))
                samples["join"].append(join(ready, scale))
        ready.end_load()
    return [
        {
            "configuration": configuration.name,
            "store": configuration.store,
            "durability": configuration.tier,
            "workload": f"{NAME}-{kind}",
            "title": TITLES[kind],
            "request": {"engines": ENGINES, **asdict(scale)},
            "repeats": len(found),
            "figures": summarize(found),
        }
        for kind, found in samples.items()
    ]


def lose_engine(ready: Cluster, pod: str, kind: str, scale: Scale) -> Figures:
    """Drain an engine, or kill it with its app; what that cost the instances that were there."""
    began_ns = settle(scale)
    pair = ready.pods[pod]
    at_ns = time.monotonic_ns()
    if kind == "kill":
        pair.engine.process.kill()
        pair.app.process.kill()
    else:
        pair.engine.process.send_signal(signal.SIGTERM)
    ready.wait_until(lambda: pair.engine.process.poll() is not None and ready.left_at(pod) == 0)
    lost = ready.left_at(pod)
    ready.end_pod(pod)
    return figures(ready, began_ns, at_ns, lost=lost, source=pod)


def join(ready: Cluster, scale: Scale) -> Figures:
    """Start an engine with its app; what that cost the instances that went there."""
    began_ns = settle(scale)
    at_ns = time.monotonic_ns()
    ready.start_pod()
    ready.wait_until_balanced()
    balanced_ns = time.monotonic_ns()
    ready.wait_until(lambda: ready.silent_since(balanced_ns) == 0)
    return figures(ready, began_ns, at_ns, lost=ready.silent_since(balanced_ns), source="")


def settle(scale: Scale) -> int:
    """Let chains run undisturbed; since when."""
    began_ns = time.monotonic_ns()
    time.sleep(scale.settle_seconds)
    return began_ns


def figures(ready: Cluster, began_ns: int, at_ns: int, *, lost: int, source: str) -> Figures:
    """What an event at a moment cost, and what an ordinary step takes from `began_ns` on."""
    steps = ready.ledger.read()
    ordinary_s = step_seconds(steps, since_ns=began_ns, until_ns=at_ns)
    found = gap_figures(moves(steps, since_ns=at_ns, source=source), ordinary_s)
    again = float(repeated(steps, since_ns=at_ns))
    return {**found, "repeated": again, "excess": max(0.0, again - found["moved"]), "lost": float(lost)}
