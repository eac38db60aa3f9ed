"""Labels that the operator sets or acts upon. Selectors of Deployments hold some: changing one is a migration."""

from __future__ import annotations

WORKFLOW = "tenuto.dev/workflow"
"""Name of the Workflow to which a pod, or an object made for it, belongs."""

VERSION = "tenuto.dev/version"
"""Version of the code in a pod; absent: unversioned."""

INJECT = "tenuto.dev/inject"
"""`true` on a pod asks the injector for an engine. Only labels can select pods for an admission webhook."""

ENGINE = "tenuto.dev/engine"
"""`true` on every pod with an engine, however it got it; monitors select by it."""

MANAGED_BY = "app.kubernetes.io/managed-by"
PART_OF = "app.kubernetes.io/part-of"
NAME = "app.kubernetes.io/name"

MANAGER = "tenuto-operator"
"""Value of MANAGED_BY, and the field manager of all server-side applies."""


def selector(workflow: str, version: str = "") -> dict[str, str]:
    """Labels by which the pods of a Workflow, or of one version of it, are found."""
    return {WORKFLOW: workflow} | ({VERSION: version} if version else {})
