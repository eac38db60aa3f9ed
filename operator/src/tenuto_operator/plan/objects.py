"""Which objects of a version must be applied, scaled or deleted; what belongs to others is never touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tenuto_operator.builders.companions import build_disruption_budget, build_service, build_service_account
from tenuto_operator.builders.deployment import build_deployment
from tenuto_operator.builders.engine import build_sidecar
from tenuto_operator.model import annotation_keys
from tenuto_operator.model.decoding import Manifest
from tenuto_operator.model.names import deployment_name
from tenuto_operator.model.state_store import StateStore
from tenuto_operator.model.workflow import Workflow
from tenuto_operator.plan.changes import Apply, Change, Delete, Scale
from tenuto_operator.plan.differences import is_current
from tenuto_operator.plan.observed import KINDS, Key, Object
from tenuto_operator.plan.versions import VersionFacts, is_ours


class Applied(msgspec.Struct, frozen=True):
    """`taken`: sentences about names that belong to others, for which nothing is changed."""

    changes: tuple[Change, ...] = ()
    taken: tuple[str, ...] = ()


def manifests_of(
    workflow: Workflow, store: StateStore, *, version: str, replicas: int, default_image: str
) -> dict[Key, Manifest]:
    """Return all objects of one version, in the order in which they are made.

    Raises:
        SpecRefused, PodRefused: they cannot be made; the message says what to change.
    """
    sidecar = build_sidecar(workflow, store, version=version, default_image=default_image)
    made = (
        build_service_account(workflow, version=version),
        build_service(workflow, version=version),
        build_disruption_budget(workflow, version=version),
        build_deployment(workflow, sidecar, version=version, replicas=replicas),
    )
    return {
        Key(kind, manifest["metadata"]["name"]): manifest
        for kind, manifest in zip(KINDS, made, strict=True)
        if manifest is not None
    }


def apply_missing(workflow: Workflow, wanted: Mapping[Key, Manifest], objects: Mapping[Key, Object]) -> Applied:
    """Return the applies that make the wanted objects what they should be; nothing where one of the names is taken."""
    changes: list[Change] = []
    taken: list[str] = []
    for key, manifest in wanted.items():
        found = objects.get(key)
        if found is None or (is_ours(workflow, found) and found.metadata.deletion_timestamp is not None):
            # What is going must be gone first: the API server would keep the old one's uid, and delete it.
            changes += [] if found is not None else [Apply(key, manifest)]
        elif is_ours(workflow, found):
            changes += [] if is_current(found.manifest, manifest) else [Apply(key, manifest)]
        elif _may_adopt(workflow, found):
            changes.append(Apply(key, manifest, may_adopt=True))
        else:
            taken.append(_taken(workflow, key, found))
    return Applied((), tuple(taken)) if taken else Applied(tuple(changes))


def _may_adopt(workflow: Workflow, found: Object) -> bool:
    """Only what nobody controls, and whose owner said so."""
    wished = found.metadata.annotations.get(annotation_keys.ADOPT)
    return not found.metadata.controller_uid and wished == workflow.metadata.name


def _taken(workflow: Workflow, key: Key, found: Object) -> str:
    if found.metadata.controller_uid:
        owner = next(each for each in found.metadata.owner_references if each.controller)
        return f"{key.kind} {key.name} belongs to {owner.kind} {owner.name}; rename that, or give version another value"
    return (
        f"{key.kind} {key.name} exists and is not of this Workflow; delete it, or hand it over with kubectl annotate "
        f"{key.kind.lower()} {key.name} {annotation_keys.ADOPT}={workflow.metadata.name}"
    )


def scaled(facts: VersionFacts, replicas: int) -> tuple[Change, ...]:
    """Return the change that gives a version this number of pods, if it has another one."""
    if facts.deployment is None or facts.replicas == replicas:
        return ()
    return (Scale(Key("Deployment", facts.deployment.metadata.name), replicas),)


def deleted(workflow: Workflow, version: str, ours: Mapping[Key, Object]) -> Iterable[Change]:
    """Return the deletions of all that a version has; pods first, their account last."""
    name = deployment_name(workflow.metadata.name, version)
    keys = [Key(kind, name) for kind in reversed(KINDS)]
    return [Delete(key, ours[key].metadata.uid) for key in keys if key in ours]
