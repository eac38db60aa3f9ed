"""The kind WorkflowRun: one instance, started by applying it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from tenuto_operator.model.decoding import SpecRefused, decode
from tenuto_operator.model.durations import Duration
from tenuto_operator.model.metadata import Metadata, Reference, SecretKey
from tenuto_operator.model.status import Condition
from tenuto_operator.model.workflow import Part

Phase = Literal["Pending", "Running", "Suspended", "Stalled", "Completed", "Failed", "Terminated", "Lost"]


class InputFrom(Part, frozen=True):
    """Exactly one is given."""

    secret_key_ref: SecretKey | None = None
    config_map_key_ref: SecretKey | None = None


class WorkflowRunSpec(Part, frozen=True):
    """`instance_id`: empty means the object's name. `version`: empty means the one that takes new instances.

    `ttl_after_finished`: None means that the object stays.
    """

    workflow_ref: Reference
    workflow: str
    instance_id: str = ""
    input: Any = msgspec.UNSET
    input_from: InputFrom | None = None
    version: str = ""
    desired_state: Literal["Running", "Suspended", "Terminated"] = "Running"
    on_delete: Literal["Keep", "Terminate"] = "Keep"
    ttl_after_finished: Duration | None = None


class RunFailure(msgspec.Struct, frozen=True):
    type: str = ""
    message: str = ""


class WorkflowRunStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`custom_status`, `output`: as JSON. `phase`: Lost: an instance seen before is no longer in the store."""

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    phase: Phase | Literal[""] = ""
    instance_id: str = ""
    version: str = ""
    shard: int | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    history_length: int | None = None
    custom_status: str = ""
    output: str = ""
    failure: RunFailure | None = None


class WorkflowRun(msgspec.Struct, frozen=True):
    """One object of the kind, as last read."""

    metadata: Metadata
    spec: WorkflowRunSpec
    status: WorkflowRunStatus = WorkflowRunStatus()

    @property
    def instance_id(self) -> str:
        """Id of its instance in the store."""
        return self.spec.instance_id or self.metadata.name


def read_workflow_run(resource: Mapping[str, Any]) -> WorkflowRun:
    """Read a WorkflowRun, and check what the API server's rules cannot: they do not see fields of any type.

    Raises:
        SpecRefused: a field is wrong; the message names it and says what to change.
    """
    run = decode(WorkflowRun, resource)
    source = run.spec.input_from
    if source is None:
        return run
    if run.spec.input is not msgspec.UNSET:
        raise SpecRefused("spec: give input or inputFrom, not both")
    if (source.secret_key_ref is None) == (source.config_map_key_ref is None):
        raise SpecRefused("spec.inputFrom: give exactly one of secretKeyRef and configMapKeyRef")
    return run
