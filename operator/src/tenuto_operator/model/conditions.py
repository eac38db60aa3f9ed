"""Types and reasons of conditions: a stable vocabulary, which dashboards and `kubectl wait` rely on.

A reason is never renamed; one that is no longer given stays unused. All types but DRAIN_OVERDUE and DEGRADED mean good
when True.
"""

from __future__ import annotations

from enum import StrEnum


class Type(StrEnum):
    """What is stated."""

    READY = "Ready"
    """Workflows run: each shard is owned, by an engine with a worker."""
    PROGRESSING = "Progressing"
    """A version is on its way to become current. False: none is, or it cannot get on by itself."""
    DEGRADED = "Degraded"
    """Something needs a person, although workflows may run."""
    STATE_STORE_READY = "StateStoreReady"
    """The StateStore exists and is ready."""
    DRAIN_OVERDUE = "DrainOverdue"
    """A version that gets no new instances still has open ones after `rollout.drain.timeout`."""
    INJECTION_HEALTHY = "InjectionHealthy"
    """Of pods of existing workloads: each has its engine."""
    STARTED = "Started"
    """Of a WorkflowRun: its instance exists."""
    SUCCEEDED = "Succeeded"
    """Of a WorkflowRun: its instance completed. Unknown until it has ended."""


class Reason(StrEnum):
    """Why."""

    # Ready
    ALL_SHARDS_OWNED = "AllShardsOwned"
    SHARDS_UNOWNED = "ShardsUnowned"
    NO_ENGINE = "NoEngine"
    NO_WORKER = "NoWorker"
    INVALID_SPEC = "InvalidSpec"
    STATE_STORE_NOT_READY = "StateStoreNotReady"
    SCALED_TO_ZERO = "ScaledToZero"
    # Progressing
    ROLLOUT_COMPLETE = "RolloutComplete"
    WAITING_FOR_PODS = "WaitingForPods"
    WAITING_FOR_WORKERS = "WaitingForWorkers"
    WAITING_FOR_GATE = "WaitingForGate"
    WAITING_FOR_PROMOTION = "WaitingForPromotion"
    RAMPING = "Ramping"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    GATE_FAILED = "GateFailed"
    FAILURE_RATE = "FailureRate"
    VERSION_REJECTED = "VersionRejected"
    TOO_MANY_VERSIONS = "TooManyVersions"
    OWN_WORKLOADS = "OwnWorkloads"
    # Degraded
    AS_EXPECTED = "AsExpected"
    VERSION_CONFLICT = "VersionConflict"
    NAME_TAKEN = "NameTaken"
    VERSION_MISSING = "VersionMissing"
    # StateStoreReady
    STATE_STORE_READY = "StateStoreReady"
    STATE_STORE_NOT_FOUND = "StateStoreNotFound"
    # DrainOverdue
    DRAINING_IN_TIME = "DrainingInTime"
    INSTANCES_OPEN = "InstancesOpen"
    # InjectionHealthy
    ALL_INJECTED = "AllInjected"
    PODS_WITHOUT_ENGINE = "PodsWithoutEngine"
    # Started
    ACCEPTED = "Accepted"
    STARTING = "Starting"
    WORKFLOW_NOT_FOUND = "WorkflowNotFound"
    INPUT_NOT_FOUND = "InputNotFound"
    ID_TAKEN = "IdTaken"
    NOT_WANTED = "NotWanted"
    # Succeeded
    NOT_ENDED = "NotEnded"
    COMPLETED = "Completed"
    FAILED = "Failed"
    TERMINATED = "Terminated"
    LOST = "Lost"
