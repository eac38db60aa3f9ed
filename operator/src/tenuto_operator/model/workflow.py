"""The kind Workflow: an application whose workflows survive. Defaults are those of the custom resource definition.

A test compares the two, so that an object made in a test means what the API server would make of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from tenuto_operator.model.decoding import Manifest, SpecRefused, decode
from tenuto_operator.model.durations import Duration
from tenuto_operator.model.metadata import Metadata, Reference
from tenuto_operator.model.reading import member, members
from tenuto_operator.model.status import WorkflowStatus

Switch = Literal["Enabled", "Disabled"]


class Part(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A part of a spec: an unknown field is refused rather than passed over in silence."""


class EngineSpec(Part, frozen=True):
    """`image`: empty means the one that the operator was installed with. `resources`: None means the builder's own."""

    image: str = ""
    api: Literal["Loopback", "UnixSocket"] = "Loopback"
    durable_task: Switch = "Disabled"
    dapr_http: Switch = "Disabled"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    lease_duration: Duration = Duration(seconds=10)
    drain_timeout: Duration = Duration(seconds=25)
    turn_timeout: Duration = Duration(seconds=60)
    resources: Mapping[str, Any] | None = None


class Step(Part, frozen=True):
    """`percent`: part of the new instances, in [1, 99]; `pause`: how long before the next step."""

    percent: int
    pause: Duration


class SmokeGate(Part, frozen=True):
    workflow: str
    input: Any = None


class ReplayGate(Part, frozen=True):
    sample: int = 100


class Gate(Part, frozen=True):
    """What a version must pass before it gets any instance; None: not asked for."""

    smoke: SmokeGate | None = None
    replay: ReplayGate | None = None
    timeout: Duration = Duration(minutes=10)


class AbortOn(Part, frozen=True):
    """`failure_rate_percent`: in [0, 99]; judged once `minimum_instances` have ended on the new version."""

    failure_rate_percent: int
    minimum_instances: int = 10


class DrainSpec(Part, frozen=True):
    timeout: Duration = Duration(hours=72)
    scaledown_delay: Duration = Duration(hours=1)
    delete_delay: Duration = Duration(hours=24)


class RolloutSpec(Part, frozen=True):
    strategy: Literal["AllAtOnce", "Progressive", "Manual"] = "AllAtOnce"
    steps: tuple[Step, ...] = ()
    gate: Gate | None = None
    abort_on: AbortOn | None = None
    progress_deadline: Duration = Duration(minutes=10)
    drain: DrainSpec = DrainSpec()


class AutoscalingSpec(Part, frozen=True):
    min_replicas: int
    max_replicas: int
    target_backlog_per_replica: int = 20
    scale_down_stabilization: Duration = Duration(minutes=5)


class Retention(Part, frozen=True):
    completed: Duration = Duration(hours=168)
    failed: Duration = Duration(hours=720)


class WorkloadSelector(Part, frozen=True):
    match_labels: Mapping[str, str]


class WorkflowSpec(Part, frozen=True):
    """`version`: empty means derived from the template. Exactly one of `template` and `workload_selector` is given."""

    state_store_ref: Reference
    version: str = ""
    replicas: int | None = None
    template: Manifest | None = None
    workload_selector: WorkloadSelector | None = None
    shards: int = 64
    engine: EngineSpec = EngineSpec()
    rollout: RolloutSpec = RolloutSpec()
    autoscaling: AutoscalingSpec | None = None
    retention: Retention = Retention()


class Workflow(msgspec.Struct, frozen=True):
    """One object of the kind, as last read."""

    metadata: Metadata
    spec: WorkflowSpec
    status: WorkflowStatus = WorkflowStatus()

    @property
    def app(self) -> str:
        """The name under which engines share the instances in the store: namespaces never meet there."""
        return f"{self.metadata.namespace}.{self.metadata.name}"


def read_workflow(resource: Mapping[str, Any]) -> Workflow:
    """Read a Workflow, and check what its schema and the API server's rules cannot.

    Raises:
        SpecRefused: a field is wrong; the message names it and says what to change.
    """
    workflow = decode(Workflow, resource)
    spec = workflow.spec
    if (spec.template is None) == (spec.workload_selector is None):
        raise SpecRefused(
            "spec: give exactly one of template (pods made by the operator) and workloadSelector (pods of your own)"
        )
    if spec.autoscaling is not None and spec.autoscaling.min_replicas > spec.autoscaling.max_replicas:
        raise SpecRefused("spec.autoscaling: minReplicas must not be above maxReplicas")
    _check_template(spec.template)
    _check_rollout(spec.rollout)
    return workflow


def _check_template(template: Manifest | None) -> None:
    if template is None:
        return
    containers = members(template, "spec", "containers")
    if not containers:
        raise SpecRefused("spec.template.spec.containers: name at least one container, the application")
    for container in (*containers, *members(template, "spec", "initContainers")):
        if not isinstance(container.get("name"), str) or not isinstance(container.get("image"), str):
            raise SpecRefused("spec.template.spec: each container needs a name and an image")
    if (member(template, "spec", "restartPolicy") or "Always") != "Always":
        raise SpecRefused(
            "spec.template.spec.restartPolicy: pods of a Workflow run until they are replaced; leave it out"
        )


def _check_rollout(rollout: RolloutSpec) -> None:
    percents = [step.percent for step in rollout.steps]
    if percents != sorted(set(percents)):
        raise SpecRefused(f"spec.rollout.steps: percents must rise, and are {percents}; put them in rising order")
    if rollout.strategy == "Progressive" and not rollout.steps:
        raise SpecRefused("spec.rollout.steps: strategy Progressive needs steps, for example percent 10, pause 5m")
    if rollout.drain.delete_delay < rollout.drain.scaledown_delay:
        raise SpecRefused(
            "spec.rollout.drain: deleteDelay must not be shorter than scaledownDelay; both count from the moment at "
            "which no instance is left"
        )
