"""What a plan is made from: one look at the cluster and at the engines, taken by the shell.

What could not be seen is None, never zero: a plan must not take "nobody answered" for "nothing is left".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from tenuto_operator.model.decoding import Manifest
from tenuto_operator.model.metadata import Metadata
from tenuto_operator.model.state_store import StateStore

Kind = Literal["Deployment", "Service", "PodDisruptionBudget", "ServiceAccount"]
KINDS: tuple[Kind, ...] = ("ServiceAccount", "Service", "PodDisruptionBudget", "Deployment")
"""In the order in which they are made: pods need their account."""


class Key(msgspec.Struct, frozen=True, order=True):
    """Which object, in the namespace of the Workflow."""

    kind: Kind
    name: str


class Object(msgspec.Struct, frozen=True):
    """An object of the cluster that belongs to the Workflow, or has a name that the Workflow needs."""

    metadata: Metadata
    manifest: Manifest
    """As the API server gave it."""


class Routing(msgspec.Struct, frozen=True):
    """On which version new instances start; the record lies in the store, and engines act on it.

    `target`, `ramp_percent`: the version that takes over, and its part of the new instances; empty and 0: none does.
    `changed_at`: when it was last written, which is since when a step lasts. `rejected`: versions that were given up.
    """

    current: str = ""
    target: str = ""
    ramp_percent: int = 0
    rejected: tuple[str, ...] = ()
    changed_at: datetime | None = None


class GateResult(msgspec.Struct, frozen=True):
    """How far the gate of a version has come. `started_at`: None while it was not started."""

    outcome: Literal["NotStarted", "Running", "Passed", "Failed"] = "NotStarted"
    message: str = ""
    started_at: datetime | None = None


class VersionCounters(msgspec.Struct, frozen=True):
    """What the store holds of one version, summed over all shards of one moment.

    `open_instances`, `open_activities`, `outbox`: not ended, not closed, not delivered. `started`: how many instances
    ever started on it; never falls. `is_closed`: every shard refuses new roots on it. `backlog`: instances and calls
    that wait now. `workers`: connected, over all engines. `slots_busy`, `slots_total`: of activities. `ramp_ended`,
    `ramp_failed`: instances that ended or stalled since the version began to take instances, and those of them that
    failed or stalled. `hash_conflict`: workers of this version reported different code.
    """

    open_instances: int = 0
    open_activities: int = 0
    outbox: int = 0
    started: int = 0
    is_closed: bool = False
    backlog: int = 0
    workers: int = 0
    slots_busy: int = 0
    slots_total: int = 0
    ramp_ended: int = 0
    ramp_failed: int = 0
    hash_conflict: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing needs its code any more."""
        return not (self.open_instances or self.open_activities or self.outbox)


class EngineView(msgspec.Struct, frozen=True):
    """What the engines answered. `engines`: how many are members. Versions that are not listed hold nothing."""

    routing: Routing
    versions: Mapping[str, VersionCounters]
    engines: int
    shards_owned: int
    owners: int
    running: int = 0
    suspended: int = 0
    stalled: int = 0

    def counters(self, version: str) -> VersionCounters:
        """What the store holds of a version."""
        return self.versions.get(version, VersionCounters())


class PodsView(msgspec.Struct, frozen=True):
    """Pods of existing workloads that a Workflow selects. `without_engine`: names of those that have none."""

    total: int = 0
    ready: int = 0
    without_engine: tuple[str, ...] = ()


class Observed(msgspec.Struct, frozen=True):
    """One look.

    `at`: its moment. `store`: None: there is no such StateStore. `view`: None: no engine could be asked.
    `gates`: by version.
    """

    at: datetime
    store: StateStore | None
    objects: Mapping[Key, Object] = {}
    view: EngineView | None = None
    gates: Mapping[str, GateResult] = {}
    pods: PodsView = PodsView()
