"""Metadata of everything that the operator makes: whose it is, by which it is found and cleaned up."""

from __future__ import annotations

from tenuto_operator.model import annotation_keys, labels
from tenuto_operator.model.decoding import Manifest
from tenuto_operator.model.names import API_VERSION, content_hash, deployment_name
from tenuto_operator.model.workflow import Workflow


def build_metadata(workflow: Workflow, version: str) -> Manifest:
    """Return the metadata of an object of one version; all of a version share a name, whatever their kind."""
    return {
        "name": deployment_name(workflow.metadata.name, version),
        "namespace": workflow.metadata.namespace,
        "labels": {
            labels.NAME: workflow.metadata.name,
            labels.PART_OF: "tenuto",
            labels.MANAGED_BY: labels.MANAGER,
            **labels.selector(workflow.metadata.name, version),
        },
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "Workflow",
                "name": workflow.metadata.name,
                "uid": workflow.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def sealed(manifest: Manifest) -> Manifest:
    """Return a manifest with the hash of its content, by which a later look tells whether it was applied.

    The number of replicas does not count: it changes with every scaling.
    """
    spec = {key: value for key, value in manifest.get("spec", {}).items() if key != "replicas"}
    mark = content_hash({**manifest, "spec": spec})
    metadata: Manifest = manifest["metadata"]
    marked = {**metadata.get("annotations", {}), annotation_keys.APPLIED: mark}
    return {**manifest, "metadata": {**metadata, "annotations": marked}}
