"""A cluster and its engines as plain values: what a plan asks for is done to them as an API server and a store would.

Time stands still until it is moved. Pods are ready, and workers connected, only when a test says so.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

import msgspec

from tenuto_operator.model import labels
from tenuto_operator.model.metadata import Metadata, OwnerReference
from tenuto_operator.model.reading import member
from tenuto_operator.model.state_store import StateStore, read_state_store
from tenuto_operator.model.status import WorkflowStatus
from tenuto_operator.model.workflow import Workflow, read_workflow
from tenuto_operator.plan.changes import Apply, Change, Delete, Route, RunGate, Scale, SetClosed
from tenuto_operator.plan.observed import EngineView, GateResult, Key, Object, Observed, Routing, VersionCounters
from tenuto_operator.plan.workflow import Plan, plan_workflow

IMAGE = "example.com/tenuto-engine:0.1.0"
START = datetime(2026, 1, 1, tzinfo=UTC)
UID = "7b0c7e0a-0000-4000-8000-000000000001"


def workflow_resource(spec: Mapping[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """A Workflow `orders` in namespace `shop`, as the API server would give it."""
    return {
        "apiVersion": "tenuto.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "orders", "namespace": "shop", "uid": UID, "generation": 1, **metadata},
        "spec": {"stateStoreRef": {"name": "main"}, "template": template("1.0.0"), **(spec or {})},
    }


def template(tag: str, **pod: Any) -> dict[str, Any]:
    """A pod template of an image with this tag."""
    return {"spec": {"containers": [{"name": "app", "image": f"example.com/orders:{tag}"}], **pod}}


def make_workflow(spec: Mapping[str, Any] | None = None, **metadata: Any) -> Workflow:
    """The same, read."""
    return read_workflow(workflow_resource(spec, **metadata))


def make_store(spec: Mapping[str, Any] | None = None) -> StateStore:
    """A StateStore `main`: a Redis without login."""
    chosen = spec or {"redis": {"addresses": ["redis:6379"]}}
    return read_state_store({"metadata": {"name": "main", "namespace": "shop"}, "spec": chosen})


class World:
    """What is, and what becomes of it. `log`: every change that was made, in order."""

    def __init__(self, spec: Mapping[str, Any] | None = None) -> None:
        self.at = START
        self.resource = workflow_resource(spec)
        self.store: StateStore | None = make_store()
        self.objects: dict[Key, Object] = {}
        self.routing = Routing()
        self.counters: dict[str, VersionCounters] = {}
        self.gates: dict[str, GateResult] = {}
        self.status = WorkflowStatus()
        self.answers = True
        self.log: list[Change] = []

    # -- what a plan is made from ------------------------------------------------------------------------------

    @property
    def workflow(self) -> Workflow:
        """The Workflow with its last status."""
        return msgspec.structs.replace(read_workflow(self.resource), status=self.status)

    def look(self) -> Observed:
        """One look, of which nothing changes later."""
        engines = sum(1 for each in self.counters.values() if each.workers)
        view = EngineView(self.routing, dict(self.counters), engines, 64 if engines else 0, engines)
        return Observed(
            at=self.at,
            store=self.store,
            objects=copy.deepcopy(self.objects),
            view=view if self.answers else None,
            gates=dict(self.gates),
        )

    def plan(self) -> Plan:
        """What is to be done now."""
        return plan_workflow(self.workflow, self.look(), default_image=IMAGE)

    # -- what happens ------------------------------------------------------------------------------------------

    def pass_time(self, **duration: float) -> None:
        self.at += timedelta(**duration)

    def edit(self, **spec: Any) -> None:
        """Change the spec, as a user would; None removes a field."""
        merged = {**self.resource["spec"], **spec}
        self.resource["spec"] = {key: value for key, value in merged.items() if value is not None}
        self.resource["metadata"]["generation"] += 1

    def count(self, version: str, **numbers: Any) -> None:
        """Change what the store holds of a version."""
        self.counters[version] = msgspec.structs.replace(self.counters.get(version, VersionCounters()), **numbers)

    def make_ready(self) -> None:
        """Let all pods that are wanted be ready, with a worker each."""
        for key, found in list(self.objects.items()):
            if key.kind != "Deployment":
                continue
            wanted = found.manifest["spec"]["replicas"]
            ready = {
                "observedGeneration": found.metadata.generation,
                "readyReplicas": wanted,
                "updatedReplicas": wanted,
            }
            self.objects[key] = msgspec.structs.replace(found, manifest={**found.manifest, "status": ready})
            self.count(found.metadata.labels[labels.VERSION], workers=wanted)

    def step(self) -> Plan:
        """Plan once, and do it all."""
        plan = self.plan()
        for change in plan.changes:
            self.make(change)
        self.status = plan.status
        return plan

    def settle(self) -> Plan:
        """Plan and do until nothing is left to do at this moment, pods ready each time."""
        for _ in range(10):
            plan = self.step()
            if not plan.changes:
                return plan
            self.make_ready()
        raise AssertionError(f"the plan does not come to rest: {self.log[-5:]}")

    # -- how changes are made ----------------------------------------------------------------------------------

    def make(self, change: Change) -> None:
        """Make one change."""
        self.log.append(change)
        if isinstance(change, Apply):
            self._apply(change)
        elif isinstance(change, Scale):
            found = self.objects[change.key]
            spec = {**found.manifest["spec"], "replicas": change.replicas}
            self.objects[change.key] = msgspec.structs.replace(found, manifest={**found.manifest, "spec": spec})
        elif isinstance(change, Delete):
            assert self.objects[change.key].metadata.uid == change.uid
            del self.objects[change.key]
        elif isinstance(change, Route):
            self.routing = Routing(change.current, change.target, change.ramp_percent, change.rejected, self.at)
        elif isinstance(change, SetClosed):
            self.count(change.version, is_closed=change.is_closed)
        elif isinstance(change, RunGate):
            self.gates.setdefault(change.version, GateResult("Running", started_at=self.at))
        else:
            assert_never(change)

    def _apply(self, change: Apply) -> None:
        """Server-side apply: what is not in the manifest and was set by others stays."""
        manifest = copy.deepcopy(change.manifest)
        old = self.objects.get(change.key)
        if old is not None and "status" in old.manifest:
            manifest["status"] = old.manifest["status"]
        metadata = manifest["metadata"]
        self.objects[change.key] = Object(
            Metadata(
                name=metadata["name"],
                namespace=metadata["namespace"],
                uid=old.metadata.uid if old else f"uid-{len(self.log)}",
                generation=old.metadata.generation + 1 if old else 1,
                creation_timestamp=old.metadata.creation_timestamp if old else self.at,
                labels=metadata["labels"],
                annotations=metadata["annotations"],
                owner_references=msgspec.convert(metadata["ownerReferences"], tuple[OwnerReference, ...]),
            ),
            manifest,
        )

    # -- what a test asks --------------------------------------------------------------------------------------

    def replicas(self, version: str) -> int | None:
        """Pods wanted of a version; None: it has no Deployment."""
        for key, found in self.objects.items():
            if key.kind == "Deployment" and found.metadata.labels.get(labels.VERSION) == version:
                return int(member(found.manifest, "spec", "replicas"))
        return None

    def state(self, version: str) -> str:
        """The state of a version, as reported; empty: it is not."""
        found = self.status.version(version)
        return found.state if found is not None else ""

    def condition(self, name: str) -> tuple[str, str]:
        """Status and reason of a condition."""
        return next((each.status, each.reason) for each in self.status.conditions if each.type == name)

    def message(self, name: str) -> str:
        """Sentence of a condition."""
        return next(each.message for each in self.status.conditions if each.type == name)
