"""What is said of a Workflow, in one condition each: a function per type, from facts to reason and sentence."""

from __future__ import annotations

from collections.abc import Sequence

from tenuto_operator.model import labels
from tenuto_operator.model.conditions import Reason, Type
from tenuto_operator.model.state_store import StateStore
from tenuto_operator.model.workflow import Workflow
from tenuto_operator.plan.conditions import Statement
from tenuto_operator.plan.observed import Observed, PodsView

_NAMED = 5
"""So many names a message gives; the others are counted."""


def ready(workflow: Workflow, observed: Observed, *, current: str, replicas: int, invalid: str) -> Statement:
    """Whether workflows run.

    Args:
        workflow: which.
        observed: the look.
        current: the version on which new instances start; empty: there is none, or it is unversioned.
        replicas: pods wanted, over all versions.
        invalid: why the spec cannot be acted on; empty: it can.
    """
    view, shards = observed.view, workflow.spec.shards
    if view is None and invalid:
        return Statement(Type.READY, "False", Reason.INVALID_SPEC, invalid)
    if observed.store is None:
        return Statement(Type.READY, "False", Reason.STATE_STORE_NOT_READY, _missing_store(workflow))
    if view is None and replicas == 0 and workflow.spec.replicas == 0:
        return Statement(Type.READY, "False", Reason.SCALED_TO_ZERO, "replicas is 0; instances wait in the store")
    if view is None:
        message = (
            "no engine answers, so nothing is known of instances; look at the pods and their container tenuto-engine"
        )
        return Statement(Type.READY, "Unknown", Reason.NO_ENGINE, message)
    owned = f"{view.shards_owned}/{shards} shards owned by {view.owners} engine{'' if view.owners == 1 else 's'}"
    if view.shards_owned < shards:
        message = f"{owned}; those of an engine that is gone are taken over within leaseDuration"
        return Statement(Type.READY, "False", Reason.SHARDS_UNOWNED, message)
    if not view.counters(current).workers:
        who = f"version {current}" if current else "the application"
        message = f"no worker of {who} is connected to its engine; does the application call WorkflowRuntime.start()?"
        return Statement(Type.READY, "False", Reason.NO_WORKER, message)
    return Statement(Type.READY, "True", Reason.ALL_SHARDS_OWNED, owned)


def state_store(workflow: Workflow, store: StateStore | None) -> Statement:
    """Whether the store is there and ready, as it says of itself."""
    if store is None:
        return Statement(Type.STATE_STORE_READY, "False", Reason.STATE_STORE_NOT_FOUND, _missing_store(workflow))
    said = store.ready
    if said is None:
        message = f"StateStore {store.metadata.name} was not looked at yet"
        return Statement(Type.STATE_STORE_READY, "Unknown", Reason.STATE_STORE_NOT_READY, message)
    reason = Reason.STATE_STORE_READY if said.status == "True" else Reason.STATE_STORE_NOT_READY
    return Statement(Type.STATE_STORE_READY, said.status, reason, said.message)


def degraded(troubles: Sequence[tuple[Reason, str]]) -> Statement:
    """Whether something needs a person: the reason of the first trouble, and the sentences of all."""
    if not troubles:
        return Statement(Type.DEGRADED, "False", Reason.AS_EXPECTED, "")
    return Statement(Type.DEGRADED, "True", troubles[0][0], "; ".join(text for _, text in troubles))


def drain_overdue(late: Sequence[str], *, is_draining: bool) -> Statement | None:
    """Which versions take longer to drain than was allowed; None: none drains, so there is nothing to say."""
    if late:
        message = (
            f"instances stay open on {_listed(late)} after rollout.drain.timeout; they finish on their code: wait, or "
            "end them with tenuto workflow terminate"
        )
        return Statement(Type.DRAIN_OVERDUE, "True", Reason.INSTANCES_OPEN, message)
    if is_draining:
        return Statement(Type.DRAIN_OVERDUE, "False", Reason.DRAINING_IN_TIME, "old versions drain")
    return None


def injection(workflow: Workflow, pods: PodsView) -> Statement:
    """Whether each pod of existing workloads has its engine."""
    missing = pods.without_engine
    if not missing:
        return Statement(Type.INJECTION_HEALTHY, "True", Reason.ALL_INJECTED, f"{pods.total} pods have an engine")
    message = (
        f"no engine in {_listed(missing)}; give the pod template the labels {labels.INJECT}=true and "
        f"{labels.WORKFLOW}={workflow.metadata.name}, and restart the workload when the injector runs"
    )
    return Statement(Type.INJECTION_HEALTHY, "False", Reason.PODS_WITHOUT_ENGINE, message)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _missing_store(workflow: Workflow) -> str:
    name, namespace = workflow.spec.state_store_ref.name, workflow.metadata.namespace
    return f"there is no StateStore {name} in namespace {namespace}; create it, or correct stateStoreRef"
