"""What is done for one version: the one of the spec, those that take instances, those on their way out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tenuto_operator.builders.injection import PodRefused
from tenuto_operator.model.conditions import Reason
from tenuto_operator.model.decoding import SpecRefused
from tenuto_operator.model.status import VersionState, VersionStatus
from tenuto_operator.model.workflow import Workflow
from tenuto_operator.plan.changes import Change, SetClosed
from tenuto_operator.plan.draining import Drain, drain
from tenuto_operator.plan.objects import apply_missing, deleted, manifests_of, scaled
from tenuto_operator.plan.observed import Key, Object, Observed
from tenuto_operator.plan.scaling import Memory, Scaled, scale
from tenuto_operator.plan.versions import MAX_VERSIONS, VersionFacts


class Trouble(msgspec.Struct, frozen=True):
    """Something that needs a person."""

    reason: Reason
    sentence: str


class TargetPlan(msgspec.Struct, frozen=True):
    """What the version of the spec needs in the cluster.

    `is_blocked`: it cannot have it, so its rollout stands still. `invalid`: why the spec cannot be acted on; empty: it
    can.
    """

    changes: tuple[Change, ...] = ()
    scaled: Scaled = Scaled(0, Memory())
    troubles: tuple[Trouble, ...] = ()
    invalid: str = ""
    is_blocked: bool = False


class VersionPlan(msgspec.Struct, frozen=True):
    """What is done for one version, and what is said of it. `status.since` is set only where the state stays."""

    status: VersionStatus
    changes: tuple[Change, ...] = ()
    is_overdue: bool = False


def plan_target(
    workflow: Workflow, observed: Observed, facts: Mapping[str, VersionFacts], *, version: str, default_image: str
) -> TargetPlan:
    """Decide on the objects of the version of the spec."""
    known = facts[version]
    chosen = _replicas(workflow, observed, known)
    if observed.store is None:
        return TargetPlan(scaled=chosen, is_blocked=True)
    live = sum(1 for each in facts.values() if each.deployment is not None)
    if known.deployment is None and live >= MAX_VERSIONS:
        sentence = (
            f"{live} versions have pods, and {version} would be one more; wait until older ones have drained, or end "
            "their instances with tenuto workflow terminate"
        )
        return TargetPlan(troubles=(Trouble(Reason.TOO_MANY_VERSIONS, sentence),), is_blocked=True)
    try:
        wanted = manifests_of(
            workflow, observed.store, version=version, replicas=chosen.replicas, default_image=default_image
        )
    except (SpecRefused, PodRefused) as error:
        sentence = str(error)
        return TargetPlan(
            scaled=chosen, troubles=(Trouble(Reason.INVALID_SPEC, sentence),), invalid=sentence, is_blocked=True
        )
    applied = apply_missing(workflow, wanted, observed.objects)
    troubles = tuple(Trouble(Reason.NAME_TAKEN, sentence) for sentence in applied.taken)
    return TargetPlan(applied.changes, chosen, troubles, is_blocked=bool(troubles))


def plan_taking(workflow: Workflow, observed: Observed, known: VersionFacts) -> VersionPlan:
    """Scale a version that takes instances while the spec names another one: its template is no longer known."""
    chosen = _replicas(workflow, observed, known)
    state: VersionState = "Current"
    if observed.view is not None and observed.view.routing.current != known.id:
        state = "Ramping"
    return VersionPlan(status_of(known, state, memory=chosen.memory), scaled(known, chosen.replicas))


def plan_leaving(
    workflow: Workflow, observed: Observed, ours: Mapping[Key, Object], known: VersionFacts
) -> VersionPlan:
    """Drain a version that takes no instances."""
    decided = drain(workflow.spec.rollout.drain, known, at=observed.at)
    changes: list[Change] = []
    memory = Memory()
    if decided.must_close:
        changes.append(SetClosed(known.id, is_closed=True))
    if decided.pods == "Gone":
        changes += deleted(workflow, known.id, ours)
    elif decided.pods == "None":
        changes += scaled(known, 0)
    elif decided.state == "Draining":
        chosen = _replicas(workflow, observed, known, at_least=1)
        memory = chosen.memory
        changes += scaled(known, chosen.replicas)
    return VersionPlan(
        status_of(known, decided.state, memory=memory, decided=decided), tuple(changes), decided.is_overdue
    )


def plan_unseen(known: VersionFacts) -> VersionPlan:
    """Leave a version as it is: no engine could be asked what it holds."""
    before = known.remembered
    status = status_of(known, before.state if before is not None else "Pending", memory=Memory())
    if before is None:
        return VersionPlan(status)
    kept = {name: getattr(before, name) for name in ("empty_since", "empty_starts", "fewer_since", "fewer_peak")}
    return VersionPlan(msgspec.structs.replace(status, **kept))


def status_of(
    known: VersionFacts, state: VersionState, *, memory: Memory, decided: Drain | None = None
) -> VersionStatus:
    """Return what is said of a version."""
    before = known.remembered
    return VersionStatus(
        id=known.id,
        state=state,
        deployment=known.deployment.metadata.name if known.deployment is not None else "",
        image=known.image,
        open_instances=known.counters.open_instances if known.counters is not None else None,
        replicas=known.replicas,
        ready_replicas=known.ready_replicas,
        since=before.since if before is not None and before.state == state else None,
        empty_since=decided.empty_since if decided is not None else None,
        empty_starts=decided.empty_starts if decided is not None else None,
        fewer_since=memory.since,
        fewer_peak=memory.peak if memory.since is not None else None,
    )


def _replicas(workflow: Workflow, observed: Observed, known: VersionFacts, *, at_least: int | None = None) -> Scaled:
    """How many pods a version gets. `at_least`: in place of the spec's lower bound, for versions on their way out."""
    spec, before = workflow.spec, known.remembered
    if spec.autoscaling is None:
        wished = 1 if spec.replicas is None else spec.replicas
        kept = wished if at_least is None else min(wished, max(known.replicas, at_least))
        return Scaled(kept, Memory())
    bounds = spec.autoscaling
    if at_least is not None:
        bounds = msgspec.structs.replace(bounds, min_replicas=at_least)
    memory = Memory()
    if before is not None and before.fewer_since is not None:
        memory = Memory(before.fewer_since, before.fewer_peak or 0)
    running = known.replicas if known.deployment is not None else bounds.min_replicas
    return scale(bounds, known.counters, memory, running=running, at=observed.at)
