"""The plan of a Workflow: one look in, changes and status out.

The order of changes is part of the plan: pods before the route to them, the route before older versions are closed. If
one fails, the rest is left, and the next look begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tenuto_operator.model import annotation_keys
from tenuto_operator.model.conditions import Reason, Type
from tenuto_operator.model.names import derive_version
from tenuto_operator.model.status import VersionStatus, WorkflowStatus
from tenuto_operator.model.workflow import Workflow
from tenuto_operator.plan import statements
from tenuto_operator.plan.changes import Change
from tenuto_operator.plan.conditions import Statement
from tenuto_operator.plan.observed import GateResult, Key, Object, Observed, Routing
from tenuto_operator.plan.reports import Report, build_status
from tenuto_operator.plan.rollout import Advance, Candidate, advance
from tenuto_operator.plan.version_plans import (
    TargetPlan,
    Trouble,
    VersionPlan,
    plan_leaving,
    plan_taking,
    plan_target,
    plan_unseen,
    status_of,
)
from tenuto_operator.plan.versions import VersionFacts, facts_of, owned, versions_of


class Plan(msgspec.Struct, frozen=True):
    """`changes`: in the order in which they are made; empty: all is as it should be."""

    changes: tuple[Change, ...]
    status: WorkflowStatus


def plan_workflow(workflow: Workflow, observed: Observed, *, default_image: str) -> Plan:
    """Decide what to do for a Workflow.

    Args:
        workflow: as last read, with its last status.
        observed: one look at everything else.
        default_image: image of engines where the Workflow names none.
    """
    if workflow.metadata.deletion_timestamp is not None:
        # What was made goes by its owner references; instances and their data stay.
        return Plan((), workflow.status)
    if workflow.spec.template is None:
        return _plan_existing(workflow, observed)
    version = workflow.spec.version or derive_version(workflow.spec.template)
    ours = owned(workflow, observed)
    facts = {version: facts_of(workflow, observed, ours, version), **versions_of(workflow, observed, ours)}
    target = plan_target(workflow, observed, facts, version=version, default_image=default_image)
    step = _advance(workflow, observed, facts[version], target)
    routing = step.routing if step is not None else observed.view.routing if observed.view is not None else None
    if routing is not None and _is_rejected(version, routing):
        # It keeps the pods that it has until its instances have ended, and gets none anew.
        target = TargetPlan()
    look = _Look(workflow, observed, ours, facts)
    decided = _Decided(version, target, step, routing)
    versions = {each: _plan_version(look, known, decided) for each, known in facts.items()}
    changes = (
        *target.changes,
        *(step.changes if step is not None else ()),
        *(change for each in versions.values() for change in each.changes),
    )
    report = Report(
        statements=_statements(look, decided, versions),
        versions=[_with_share(each.status, routing) for each in versions.values()],
        current=routing.current if routing is not None else workflow.status.current_version,
        target=version,
        replicas=look.replicas,
        ready_replicas=sum(known.ready_replicas for known in facts.values()),
    )
    return Plan(changes, build_status(workflow, observed, report))


class _Look(msgspec.Struct, frozen=True):
    """What all decisions are made from. `ours`: objects that the Workflow controls. `facts`: by version."""

    workflow: Workflow
    observed: Observed
    ours: Mapping[Key, Object]
    facts: Mapping[str, VersionFacts]

    @property
    def replicas(self) -> int:
        """Pods wanted, over all versions."""
        return sum(known.replicas for known in self.facts.values())


class _Decided(msgspec.Struct, frozen=True):
    """`version`: of the spec. `step`: None: its rollout stands still. `routing`: as it will be; None: not known."""

    version: str
    target: TargetPlan
    step: Advance | None
    routing: Routing | None


def _advance(workflow: Workflow, observed: Observed, known: VersionFacts, target: TargetPlan) -> Advance | None:
    """The next step of the version of the spec; None: no engine can be asked, or it cannot have its pods."""
    if observed.view is None:
        return None
    routing = observed.view.routing
    if target.is_blocked and known.id != routing.current and known.id not in routing.rejected:
        return None
    promoted = workflow.metadata.annotations.get(annotation_keys.PROMOTE) == known.id
    candidate = Candidate(
        workflow.metadata.name, known, observed.gates.get(known.id, GateResult()), promoted, observed.at
    )
    return advance(workflow.spec.rollout, routing, candidate)


def _plan_version(look: _Look, known: VersionFacts, decided: _Decided) -> VersionPlan:
    routing, step = decided.routing, decided.step
    if routing is None:
        return plan_unseen(known)
    is_rejected = _is_rejected(known.id, routing)
    if known.id == decided.version and not is_rejected:
        if step is None:
            return plan_unseen(known)
        return VersionPlan(status_of(known, step.state, memory=decided.target.scaled.memory))
    if known.id in {routing.current, routing.target}:
        return plan_taking(look.workflow, look.observed, known)
    if not routing.current:
        # Nothing takes new instances, so nothing is closed: the record may have been lost with an earlier store.
        return plan_unseen(known)
    leaving = plan_leaving(look.workflow, look.observed, look.ours, known)
    if is_rejected and leaving.status.state == "Draining":
        # It drains as any other does; people see why it is on its way out.
        before = known.remembered
        since = before.since if before is not None and before.state == "Rejected" else None
        status = msgspec.structs.replace(leaving.status, state="Rejected", since=since)
        return msgspec.structs.replace(leaving, status=status)
    return leaving


def _with_share(version: VersionStatus, routing: Routing | None) -> VersionStatus:
    """Add which part of the new instances start on a version."""
    if routing is None or version.id not in {routing.current, routing.target}:
        return version
    ramp = routing.ramp_percent if routing.target else 0
    return msgspec.structs.replace(version, ramp_percent=ramp if version.id == routing.target else 100 - ramp)


def _is_rejected(version: str, routing: Routing) -> bool:
    """Whether a version was given up. One that is current all the same was made so by a person."""
    return version in routing.rejected and version != routing.current


def _statements(look: _Look, decided: _Decided, versions: Mapping[str, VersionPlan]) -> list[Statement]:
    workflow, observed, target = look.workflow, look.observed, decided.target
    current = decided.routing.current if decided.routing is not None else workflow.status.current_version
    troubles = [*target.troubles, *_troubles(look.facts, decided)]
    said = [
        statements.ready(workflow, observed, current=current, replicas=look.replicas, invalid=target.invalid),
        _progressing(decided),
        statements.degraded([(each.reason, each.sentence) for each in troubles]),
        statements.state_store(workflow, observed.store),
    ]
    states = [each.status.state for each in versions.values()]
    overdue = statements.drain_overdue(
        [version for version, each in versions.items() if each.is_overdue],
        is_draining="Draining" in states or "Rejected" in states,
    )
    return said if overdue is None else [*said, overdue]


def _progressing(decided: _Decided) -> Statement:
    step, target = decided.step, decided.target
    if target.troubles:
        first = target.troubles[0]
        return Statement(Type.PROGRESSING, "False", first.reason, first.sentence)
    if step is None:
        reason = Reason.STATE_STORE_NOT_READY if target.is_blocked else Reason.NO_ENGINE
        message = (
            f"{decided.version} waits for its StateStore"
            if target.is_blocked
            else f"no engine answers yet, so nothing is known of how far {decided.version} is"
        )
        return Statement(Type.PROGRESSING, "Unknown", reason, message)
    return Statement(Type.PROGRESSING, "True" if step.is_progressing else "False", step.reason, step.message)


def _troubles(facts: Mapping[str, VersionFacts], decided: _Decided) -> list[Trouble]:
    """What needs a person, of each version."""
    found: list[Trouble] = []
    for version, known in facts.items():
        counters = known.counters
        if counters is None:
            continue
        if counters.hash_conflict:
            sentence = (
                f"workers of {version} reported different workflow code, so some of them own nothing; give changed "
                "code a version of its own"
            )
            found.append(Trouble(Reason.VERSION_CONFLICT, sentence))
        if known.deployment is None and version != decided.version and counters.open_instances:
            sentence = (
                f"{counters.open_instances} instances wait for version {version}, which has no Deployment; apply its "
                f"template again with spec.version {version}"
            )
            found.append(Trouble(Reason.VERSION_MISSING, sentence))
    return found


def _plan_existing(workflow: Workflow, observed: Observed) -> Plan:
    """Watch workloads of somebody else's: nothing of theirs is changed."""
    pods = observed.pods
    selector = workflow.spec.workload_selector
    message = "pods of your own workloads are rolled out by whoever owns them"
    said = [
        statements.ready(workflow, observed, current=_served(observed), replicas=pods.total, invalid=""),
        Statement(Type.PROGRESSING, "False", Reason.OWN_WORKLOADS, message),
        statements.degraded([]),
        statements.state_store(workflow, observed.store),
        statements.injection(workflow, pods),
    ]
    report = Report(
        statements=said,
        current=observed.view.routing.current if observed.view is not None else "",
        replicas=pods.total,
        ready_replicas=pods.ready,
        selector=",".join(f"{key}={value}" for key, value in sorted(selector.match_labels.items())) if selector else "",
    )
    return Plan((), build_status(workflow, observed, report))


def _served(observed: Observed) -> str:
    """A version that has workers, of pods that may carry none or several."""
    view = observed.view
    if view is None:
        return ""
    return next((version for version, each in sorted(view.versions.items()) if each.workers), view.routing.current)
