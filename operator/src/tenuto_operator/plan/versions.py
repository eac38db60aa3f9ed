"""What a look shows of each version: its Deployment, what the store holds of it, what was remembered of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tenuto_operator.model import labels
from tenuto_operator.model.names import deployment_name
from tenuto_operator.model.reading import member, members
from tenuto_operator.model.status import VersionStatus
from tenuto_operator.model.workflow import Workflow
from tenuto_operator.plan.observed import Key, Object, Observed, VersionCounters

MAX_VERSIONS: Final = 10
"""Versions with a Deployment; each holds leases of its own in every shard, and pods."""


class VersionFacts(msgspec.Struct, frozen=True):
    """`deployment`: None: there is none of ours. `counters`: None: no engine could be asked."""

    id: str
    deployment: Object | None
    counters: VersionCounters | None
    remembered: VersionStatus | None

    @property
    def replicas(self) -> int:
        """Pods wanted by the Deployment as it is."""
        return self._number("spec", "replicas", default=1) if self.deployment else 0

    @property
    def ready_replicas(self) -> int:
        return self._number("status", "readyReplicas")

    @property
    def image(self) -> str:
        """Image of the first container."""
        if self.deployment is None:
            return ""
        containers = members(self.deployment.manifest, "spec", "template", "spec", "containers")
        return str(containers[0].get("image", "")) if containers else ""

    @property
    def is_rolled_out(self) -> bool:
        """Whether all pods that are wanted, and at least one, run the template of today and are ready."""
        if self.deployment is None or self.replicas == 0:
            return False
        is_seen = self._number("status", "observedGeneration") >= self.deployment.metadata.generation
        ready = min(self.ready_replicas, self._number("status", "updatedReplicas"))
        return is_seen and ready >= self.replicas

    def _number(self, part: str, field: str, *, default: int = 0) -> int:
        found = member(self.deployment.manifest, part, field) if self.deployment else None
        return int(found) if found is not None else default


def is_ours(workflow: Workflow, found: Object) -> bool:
    """Whether the Workflow controls an object; by uid, since another of the same name may have come before."""
    return bool(workflow.metadata.uid) and found.metadata.controller_uid == workflow.metadata.uid


def owned(workflow: Workflow, observed: Observed) -> dict[Key, Object]:
    """The objects that the Workflow controls, and that are not going already."""
    return {
        key: found
        for key, found in sorted(observed.objects.items())
        if is_ours(workflow, found) and found.metadata.deletion_timestamp is None
    }


def versions_of(workflow: Workflow, observed: Observed, ours: Mapping[Key, Object]) -> dict[str, VersionFacts]:
    """Every version that has a Deployment of ours, or of which the store holds anything, by id."""
    ids = {found.metadata.labels.get(labels.VERSION, "") for found in ours.values()}
    view = observed.view
    if view is not None:
        ids |= {version for version, counters in view.versions.items() if not counters.is_empty}
        ids |= {view.routing.current, view.routing.target}
    return {version: facts_of(workflow, observed, ours, version) for version in sorted(ids - {""})}


def facts_of(workflow: Workflow, observed: Observed, ours: Mapping[Key, Object], version: str) -> VersionFacts:
    """What is seen of one version; all empty where nothing is."""
    return VersionFacts(
        id=version,
        deployment=ours.get(Key("Deployment", deployment_name(workflow.metadata.name, version))),
        counters=observed.view.counters(version) if observed.view is not None else None,
        remembered=workflow.status.version(version),
    )
