"""What stands beside the Deployment of a version: Service, PodDisruptionBudget, ServiceAccount."""

from __future__ import annotations

from tenuto_operator.builders.engine import HTTP_PORT
from tenuto_operator.builders.ownership import build_metadata, sealed
from tenuto_operator.model import labels
from tenuto_operator.model.decoding import Manifest
from tenuto_operator.model.workflow import Workflow


def build_service(workflow: Workflow, *, version: str) -> Manifest:
    """Return a headless Service: each engine's metrics and health by its own address. It balances nothing."""
    return sealed(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": build_metadata(workflow, version),
            "spec": {
                "clusterIP": "None",
                "selector": labels.selector(workflow.metadata.name, version),
                "ports": [{"name": "http", "port": HTTP_PORT, "targetPort": HTTP_PORT, "protocol": "TCP"}],
            },
        }
    )


def build_disruption_budget(workflow: Workflow, *, version: str) -> Manifest:
    """Return a budget of one pod at a time: each eviction is a hand-over, which should not meet another.

    A pod that is not ready may always be evicted: keeping it helps nobody, and would block the node's drain. A share of
    the pods is no alternative: rounded down it blocks small Deployments for ever.
    """
    return sealed(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": build_metadata(workflow, version),
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": labels.selector(workflow.metadata.name, version)},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }
    )


def build_service_account(workflow: Workflow, *, version: str) -> Manifest | None:
    """Return an account without any right, whose token is in no pod; None where the template names one of its own."""
    template = workflow.spec.template or {"spec": {}}
    if template["spec"].get("serviceAccountName"):
        return None
    return sealed(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": build_metadata(workflow, version),
            "automountServiceAccountToken": False,
        }
    )
