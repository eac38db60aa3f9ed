"""The status of a Workflow, and whether it is worth a write: each one is a write to the cluster's own database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tenuto_operator.model import labels
from tenuto_operator.model.status import InstancesStatus, ShardsStatus, VersionStatus, WorkflowStatus
from tenuto_operator.model.workflow import Workflow
from tenuto_operator.plan.conditions import Statement, merge
from tenuto_operator.plan.observed import Observed

SAMPLE_EVERY: Final = timedelta(seconds=30)
SAMPLE_CHANGE: Final = 0.05
"""Part by which a number must differ to be written; a change from or to zero always is."""

_MAX_VERSIONS: Final = 32
"""As many as the custom resource definition takes."""


class Report(msgspec.Struct, frozen=True):
    """What a plan says, before it is merged with what was said. `versions` without the moment of a new state."""

    statements: Sequence[Statement]
    versions: Sequence[VersionStatus] = ()
    current: str = ""
    target: str = ""
    replicas: int = 0
    ready_replicas: int = 0
    selector: str = ""


def build_status(workflow: Workflow, observed: Observed, report: Report) -> WorkflowStatus:
    """Return the status, with the moments of transition that were and those that are new."""
    before, view = workflow.status, observed.view
    shards = instances = None
    if view is not None:
        total = workflow.spec.shards
        shards = ShardsStatus(f"{view.shards_owned}/{total}", total, view.shards_owned, view.owners)
        backlog = sum(each.backlog for each in view.versions.values())
        instances = InstancesStatus(view.running, backlog, view.suspended, view.stalled, observed.at)
    return WorkflowStatus(
        observed_generation=workflow.metadata.generation,
        conditions=merge(before.conditions, report.statements, at=observed.at, generation=workflow.metadata.generation),
        replicas=report.replicas,
        ready_replicas=report.ready_replicas,
        pods_summary=f"{report.ready_replicas}/{report.replicas}",
        selector=report.selector or f"{labels.WORKFLOW}={workflow.metadata.name}",
        current_version=report.current,
        target_version=report.target,
        draining_versions=sum(1 for each in report.versions if each.state == "Draining"),
        versions=tuple(_dated(each, observed.at) for each in report.versions)[:_MAX_VERSIONS],
        shards=shards,
        instances=instances,
    )


def is_worth_writing(before: WorkflowStatus, after: WorkflowStatus) -> bool:
    """Whether a status says something new: anything but samples at once, samples seldom and if they changed by much."""
    if _without_samples(before) != _without_samples(after):
        return True
    old, new = before.instances, after.instances
    if old is None or new is None:
        return old is not new
    if new.sampled_at - old.sampled_at < SAMPLE_EVERY:
        return False
    return any(map(_differs, _samples(before), _samples(after)))


def _dated(version: VersionStatus, at: datetime) -> VersionStatus:
    return version if version.since is not None else msgspec.structs.replace(version, since=at)


def _without_samples(status: WorkflowStatus) -> WorkflowStatus:
    versions = tuple(msgspec.structs.replace(each, open_instances=None) for each in status.versions)
    return msgspec.structs.replace(status, versions=versions, instances=None)


def _samples(status: WorkflowStatus) -> list[int]:
    sampled = status.instances
    counts = [sampled.running, sampled.backlog, sampled.suspended, sampled.stalled] if sampled is not None else []
    return counts + [each.open_instances or 0 for each in status.versions]


def _differs(old: int, new: int) -> bool:
    return old != new and (not old or not new or abs(new - old) > SAMPLE_CHANGE * old)
