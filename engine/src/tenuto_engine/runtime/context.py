"""What every part of the runtime shares: who this engine is, its bounds, its clock, and where ids come from."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec

from tenuto_engine.core.limits import Limits
from tenuto_engine.ports.notifier import Notifier, SilentNotifier
from tenuto_engine.runtime.clock import StoreClock
from tenuto_engine.runtime.faults import Faults
from tenuto_engine.runtime.membership import Membership
from tenuto_engine.runtime.metrics import Metrics
from tenuto_engine.runtime.nudges import Nudges
from tenuto_engine.runtime.sources import Sources
from tenuto_engine.runtime.tracing import Tracing


class RuntimeSettings(msgspec.Struct, frozen=True):
    """Settings of the runtime. Times in seconds unless the name says otherwise.

    `lease_seconds`: how long a shard stays owned without renewal; renewed every third. 10 by default: short enough that
    a crash is taken over soon, long enough for a paused process not to lose its shards at every hiccup.
    `sweep_seconds`: how often ready marks are read, in case a nudge was lost. `turn_timeout_seconds`: a turn without
    answer counts as a failed try. `max_turn_failures`: failed tries in a row, after which the instance is stalled.
    `max_deliveries`: hand-outs of one activity call that nobody answered, after which it fails instead of killing
    worker after worker.
    `reconnect_grace_seconds`: how long activities of a vanished worker wait for its return before others run them.
    `rebalance_seconds`: how long the members must have stayed the same before shards move between engines that all
    live; 0: half a lease, so that a rollout does not move shards to and fro. They move in steps a fifth of it apart.
    `linger_seconds`: how long a shard that is handed over waits for a turn under way, which then runs again elsewhere.
    `capacity`: this engine's weight among the others when shards are dealt out.
    `live_instances`: idle instances kept in memory, oldest go first. `loads`: instances read from the store at once.
    """

    app: str = "default"
    version: str = ""
    shards: int = 64
    capacity: int = 1
    rebalance_seconds: float = 0.0
    linger_seconds: float = 10.0
    lease_seconds: float = 10.0
    drain_seconds: float = 25.0
    sweep_seconds: float = 1.0
    turn_timeout_seconds: float = 60.0
    max_turn_failures: int = 5
    max_deliveries: int = 20
    reconnect_grace_seconds: float = 2.0
    retain_completed_seconds: float = 7 * 86_400.0
    retain_failed_seconds: float = 30 * 86_400.0
    dedup_window_seconds: float = 120.0
    live_instances: int = 5_000
    loads: int = 32


class Context:
    """Shared by the runtime's parts; made once by the composition root.

    `membership`: who else is alive. `nudges`: news to and from the other engines. `sources`: time and chance.
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        limits: Limits,
        *,
        metrics: Metrics,
        faults: Faults,
        notifier: Notifier | None = None,
        tracing: Tracing | None = None,
        sources: Sources | None = None,
    ) -> None:
        self.settings = settings
        self.limits = limits
        self.metrics = metrics
        self.tracing = tracing or Tracing()
        self.faults = faults
        self.sources = sources or Sources()
        self.clock = StoreClock(self.sources)
        self.monotonic_ns = self.sources.monotonic_ns
        self.monotonic: Callable[[], float] = lambda: self.monotonic_ns() / 1e9
        # Whether the leases certainly have not run out; told by the lease keeper.
        self.may_act: Callable[[], bool] = lambda: True
        # Whether nobody has come of whom this engine has not heard yet; told by the lease keeper.
        self.knows_members: Callable[[], bool] = lambda: True
        self.engine_id = self.sources.random_hex(8)
        self.membership = Membership(self.engine_id)
        self.nudges = Nudges(notifier or SilentNotifier(), self.engine_id)
        self.nudges.is_alone = lambda: len(self.membership.members) < 2
        self._commits = itertools.count(1)

    def new_commit_id(self) -> str:
        """Unique over all engines and time: this process's random id and a counter."""
        return f"{self.engine_id}.{next(self._commits):x}"

    def new_id(self) -> str:
        """A random id of 24 hex digits, for executions and instances."""
        return self.sources.random_hex(12)
