"""The Deployment of one version: the user's pod template with an engine in it.

A Deployment and no StatefulSet: an engine's identity is its pod, and nothing of it outlives the pod but the store.
"""

from __future__ import annotations

import copy
from typing import Any, Final

from tenuto_operator.builders.engine import Sidecar
from tenuto_operator.builders.injection import inject
from tenuto_operator.builders.json_patch import patched
from tenuto_operator.builders.ownership import build_metadata, sealed
from tenuto_operator.model import labels
from tenuto_operator.model.decoding import Manifest, SpecRefused
from tenuto_operator.model.workflow import Workflow

_SPREAD: Final = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")


def build_deployment(workflow: Workflow, sidecar: Sidecar, *, version: str, replicas: int) -> Manifest:
    """Return the Deployment of one version.

    Args:
        workflow: with a template.
        sidecar: its engine, of the same version.
        version: not empty.
        replicas: how many pods; >= 0.

    Raises:
        SpecRefused: the Workflow has no template.
        PodRefused: an engine could not work in its pods.
    """
    template = _template(workflow, version)
    rollout = workflow.spec.rollout
    return sealed(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": build_metadata(workflow, version),
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels.selector(workflow.metadata.name, version)},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
                "revisionHistoryLimit": 2,
                "progressDeadlineSeconds": max(1, int(rollout.progress_deadline.total_seconds())),
                "template": patched(template, inject(template, sidecar)),
            },
        }
    )


def _template(workflow: Workflow, version: str) -> Manifest:
    """The user's template as a copy, with the labels by which its pods are found, and defaults where it is silent."""
    if workflow.spec.template is None:
        raise SpecRefused("spec.template: a Workflow without it has no pods of the operator's")
    template = copy.deepcopy(workflow.spec.template)
    metadata: Any = template.get("metadata") or {}
    selector = labels.selector(workflow.metadata.name, version)
    metadata["labels"] = {**(metadata.get("labels") or {}), **selector}
    template["metadata"] = metadata
    spec: Manifest = template["spec"]
    spec.setdefault("serviceAccountName", build_metadata(workflow, version)["name"])
    if not spec.get("affinity") and not spec.get("topologySpreadConstraints"):
        # One engine fewer is a hand-over; all of them fewer, for a zone that is lost, is an outage.
        spec["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector},
            }
            for key in _SPREAD
        ]
    return template
