"""The status of a Workflow: what the operator reports, and the little it must remember between two looks.

Everything remembered may be lost: it is then gathered anew, and a decision only comes later.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

ConditionStatus = Literal["True", "False", "Unknown"]
VersionState = Literal["Pending", "Verifying", "Waiting", "Ramping", "Current", "Draining", "Drained", "Rejected"]


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    """One statement about an object, with a stable reason for machines and a sentence for people."""

    type: str
    status: ConditionStatus
    reason: str
    message: str
    last_transition_time: datetime
    observed_generation: int = 0


class VersionStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One version of the code.

    `since`: of its state. `empty_since`, `empty_starts`: the first look that found nothing left of it, and how many
    instances had started on it by then. `fewer_since`, `fewer_peak`: since when fewer pods would be enough, and the
    most that were needed since.
    """

    id: str
    state: VersionState
    deployment: str = ""
    image: str = ""
    ramp_percent: int | None = None
    open_instances: int | None = None
    replicas: int | None = None
    ready_replicas: int | None = None
    since: datetime | None = None
    empty_since: datetime | None = None
    empty_starts: int | None = None
    fewer_since: datetime | None = None
    fewer_peak: int | None = None


class ShardsStatus(msgspec.Struct, frozen=True, rename="camel"):
    summary: str
    total: int
    owned: int
    owners: int


class InstancesStatus(msgspec.Struct, frozen=True, rename="camel"):
    running: int
    backlog: int
    suspended: int
    stalled: int
    sampled_at: datetime


class WorkflowStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`selector`: of the pods, for the scale subresource. `shards`, `instances`: None while no engine can be asked."""

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    replicas: int = 0
    ready_replicas: int = 0
    pods_summary: str = ""
    selector: str = ""
    current_version: str = ""
    target_version: str = ""
    draining_versions: int = 0
    versions: tuple[VersionStatus, ...] = ()
    shards: ShardsStatus | None = None
    instances: InstancesStatus | None = None

    def version(self, version: str) -> VersionStatus | None:
        """What was reported of a version; None: nothing."""
        return next((each for each in self.versions if each.id == version), None)
