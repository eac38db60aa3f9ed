"""The engine container, as a native sidecar: what it is told, how it is probed, how it goes.

Kubelets start it before, and end it after, every other container of the pod. On eviction its preStop runs at once,
beside the application's SIGTERM: it drains while the application still runs, and its own SIGTERM comes when all other
containers are gone (reference: KEP-753, sidecar containers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tenuto_operator.builders.store_access import store_access
from tenuto_operator.model.decoding import Manifest
from tenuto_operator.model.names import ENGINE_CONTAINER, SOCKET_VOLUME, TMP_VOLUME
from tenuto_operator.model.state_store import StateStore
from tenuto_operator.model.workflow import EngineSpec, Workflow

HTTP_PORT: Final = 7071
APP_PORT: Final = 50001
DURABLE_TASK_PORT: Final = 4001
DAPR_HTTP_PORT: Final = 3500
SOCKET_FOLDER: Final = "/run/tenuto"
USER: Final = 65532
# What is left of the grace period after the drain: for the application to end, and for the engine to release its
# shards and close. Kubelets add two seconds of their own.
AFTER_DRAIN_SECONDS: Final = 15

# A preStop of kind httpGet would come from the node, and the engine drains only for peers within the pod: whoever may
# ask it to can stop its work. The client is http.client, since urllib would honour a proxy.
_DRAIN: Final = (
    "import http.client as c; h = c.HTTPConnection('127.0.0.1', {port}, timeout={seconds}); "
    "h.request('POST', '/drain'); h.getresponse().read()"
)
_RESOURCES: Final[Mapping[str, Any]] = {
    "requests": {"cpu": "50m", "memory": "96Mi"},
    # No limit of CPU: a throttled engine renews its leases late, and loses shards that it serves.
    "limits": {"memory": "256Mi"},
}


class Sidecar(msgspec.Struct, frozen=True):
    """An engine that can be put into a pod.

    `address`: what applications are told in TENUTO_ENGINE. `shared_mounts`: what every container of the pod gets, so
    that it reaches the engine. `ports`: taken by it, in the network that all containers of the pod share.
    `grace_seconds`: how long a pod with it needs to go without losing work.
    """

    container: Manifest
    address: str
    shared_mounts: tuple[Manifest, ...]
    volumes: tuple[Manifest, ...]
    ports: frozenset[int]
    grace_seconds: int
    group: int | None


def build_sidecar(workflow: Workflow, store: StateStore, *, version: str, default_image: str) -> Sidecar:
    """Return the engine for pods of one version of a Workflow.

    Args:
        workflow: whose engines these are.
        store: the StateStore that it names.
        version: of the code in the pod; empty: unversioned.
        default_image: image of the engine where the Workflow names none.
    """
    engine = workflow.spec.engine
    access = store_access(store)
    is_socket = engine.api == "UnixSocket"
    address = f"unix:{SOCKET_FOLDER}/engine.sock" if is_socket else f"127.0.0.1:{APP_PORT}"
    tmp: Manifest = {"name": TMP_VOLUME, "mountPath": "/tmp"}
    socket: Manifest = {"name": SOCKET_VOLUME, "mountPath": SOCKET_FOLDER}
    shared = (socket,) if is_socket else ()
    drain_seconds = int(engine.drain_timeout.total_seconds())
    container: Manifest = {
        "name": ENGINE_CONTAINER,
        "image": engine.image or default_image,
        "restartPolicy": "Always",
        "env": [*_downward(), *access.env, *_told(workflow, version, address)],
        "ports": [{"name": "tenuto-http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        "resources": dict(engine.resources if engine.resources is not None else _RESOURCES),
        "lifecycle": {"preStop": {"exec": {"command": ["python", "-c", _drain_program(drain_seconds)]}}},
        "startupProbe": _probe("/readyz", periodSeconds=1, failureThreshold=60),
        "readinessProbe": _probe("/readyz", periodSeconds=5, failureThreshold=2),
        "livenessProbe": _probe("/livez", periodSeconds=10, failureThreshold=3),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [tmp, *shared, *access.mounts],
    }
    volumes: list[Manifest] = [{"name": TMP_VOLUME, "emptyDir": {"sizeLimit": "64Mi"}}]
    if is_socket:
        volumes.append({"name": SOCKET_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})
    return Sidecar(
        container=container,
        address=address,
        shared_mounts=shared,
        volumes=(*volumes, *access.volumes),
        ports=_ports(engine),
        grace_seconds=drain_seconds + AFTER_DRAIN_SECONDS,
        group=USER if is_socket else None,
    )


def _drain_program(drain_seconds: int) -> str:
    """The preStop's program: it waits a little longer than the drain may take, so that the engine is who ends it."""
    return _DRAIN.format(port=HTTP_PORT, seconds=drain_seconds + 5)


def _ports(engine: EngineSpec) -> frozenset[int]:
    ports = {HTTP_PORT}
    if engine.api == "Loopback":
        ports.add(APP_PORT)
    if engine.durable_task == "Enabled":
        ports.add(DURABLE_TASK_PORT)
    if engine.dapr_http == "Enabled":
        ports.add(DAPR_HTTP_PORT)
    return frozenset(ports)


def _downward() -> list[Manifest]:
    """Who the engine is in the cluster, for its spans and for people; before what refers to it."""
    fields = {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_UID": "metadata.uid",
        "POD_IP": "status.podIP",
        "NODE_NAME": "spec.nodeName",
    }
    made: list[Manifest] = [
        {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
        for name, path in fields.items()
    ]
    attributes = (
        "k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.uid=$(POD_UID),k8s.node.name=$(NODE_NAME)"
    )
    return [*made, {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": attributes}]


def _told(workflow: Workflow, version: str, address: str) -> list[Manifest]:
    """The engine's options, as environment."""
    spec = workflow.spec
    engine, retention = spec.engine, spec.retention
    told = {
        "TENUTO_APP": workflow.app,
        "TENUTO_LISTEN": address,
        "TENUTO_HTTP": f"0.0.0.0:{HTTP_PORT}",
        "TENUTO_SHARDS": str(spec.shards),
        "TENUTO_LEASE_SECONDS": f"{engine.lease_duration.total_seconds():g}",
        "TENUTO_DRAIN_SECONDS": f"{engine.drain_timeout.total_seconds():g}",
        "TENUTO_TURN_TIMEOUT": f"{engine.turn_timeout.total_seconds():g}",
        "TENUTO_RETAIN_COMPLETED": str(int(retention.completed.total_seconds())),
        "TENUTO_RETAIN_FAILED": str(int(retention.failed.total_seconds())),
        "TENUTO_LOG_FORMAT": "json",
        "TENUTO_LOG_LEVEL": engine.log_level,
    }
    if version:
        told["TENUTO_VERSION"] = version
    if engine.durable_task == "Enabled":
        told["TENUTO_LISTEN_DURABLETASK"] = f"127.0.0.1:{DURABLE_TASK_PORT}"
    if engine.dapr_http == "Enabled":
        told["TENUTO_DAPR_HTTP"] = f"127.0.0.1:{DAPR_HTTP_PORT}"
    return [{"name": name, "value": value} for name, value in told.items()]


def _probe(path: str, **timing: int) -> Manifest:
    return {"httpGet": {"path": path, "port": HTTP_PORT, "scheme": "HTTP"}, "timeoutSeconds": 2, **timing}
