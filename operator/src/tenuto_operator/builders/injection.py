"""From a pod to the JSON Patch that puts an engine into it: the same for pods of the operator and of the injector.

The engine comes first among the init containers, so that the user's own, a migration say, can use it already.
A pod that has an engine needs nothing. A pod in which an engine could not work is refused with a sentence: letting it
pass would move the failure to where nobody looks for it.
"""

from __future__ import annotations

from typing import Any

from tenuto_operator.builders.engine import SOCKET_FOLDER, Sidecar
from tenuto_operator.builders.json_patch import Patch, add
from tenuto_operator.model import annotation_keys, labels
from tenuto_operator.model.decoding import Manifest
from tenuto_operator.model.names import ENGINE_CONTAINER, content_hash
from tenuto_operator.model.reading import member, members

_ADDRESS = "TENUTO_ENGINE"
_DEFAULT_GRACE_SECONDS = 30


class PodRefused(ValueError):
    """An engine cannot work in this pod; the message says what to change in it. Permanent until it is changed."""


def is_injected(pod: Manifest) -> bool:
    """Whether a pod, or a pod template, has its engine already."""
    return any(each.get("name") == ENGINE_CONTAINER for each in members(pod, "spec", "initContainers"))


def inject(pod: Manifest, sidecar: Sidecar) -> Patch:
    """Return the operations that give a pod its engine; none where it has one.

    Args:
        pod: a pod or a pod template; it is not changed.
        sidecar: the engine.

    Raises:
        PodRefused: an engine could not work in it.
    """
    if is_injected(pod):
        return []
    spec: Manifest = pod["spec"]
    _check(spec, sidecar)
    return [
        *_metadata(pod, sidecar),
        *_volumes(spec, sidecar),
        *_containers(spec, sidecar),
        # After the patches of the other init containers, whose indexes it moves.
        *_engine(spec, sidecar),
        *_pod_settings(spec, sidecar),
    ]


def _check(spec: Manifest, sidecar: Sidecar) -> None:
    if spec.get("hostNetwork"):
        raise PodRefused(
            "the pod has hostNetwork, where every process of the node could command its engine, and two engines of a "
            "node would take the same port; leave hostNetwork out"
        )
    if member(spec, "os", "name") == "windows":
        raise PodRefused("the pod is for Windows, and the engine's image is for Linux; set os.name to linux")
    taken = {str(each.get("name")) for each in members(spec, "volumes")} & {each["name"] for each in sidecar.volumes}
    if taken:
        raise PodRefused(f"the pod has a volume '{min(taken)}', a name that the engine needs; rename it")
    for container in _others(spec):
        _check_container(container, sidecar)


def _check_container(container: Manifest, sidecar: Sidecar) -> None:
    name = container.get("name", "")
    if name == ENGINE_CONTAINER:
        raise PodRefused(
            f"the pod has '{ENGINE_CONTAINER}' among its containers, where it would end together with the "
            "application; remove it, the engine is added among the initContainers"
        )
    ports = {int(each.get("containerPort") or 0) for each in members(container, "ports")} & sidecar.ports
    if ports:
        raise PodRefused(f"container '{name}' declares port {min(ports)}, which the engine takes; use another one")
    told = next((each for each in members(container, "env") if each.get("name") == _ADDRESS), None)
    if told is not None and told.get("value") != sidecar.address:
        raise PodRefused(
            f"container '{name}' sets {_ADDRESS}, and would speak to another engine than the one in its pod; leave it "
            f"out, it is set to {sidecar.address}"
        )
    mounts = {each.get("mountPath", "").rstrip("/") for each in members(container, "volumeMounts")}
    if sidecar.shared_mounts and SOCKET_FOLDER in mounts:
        raise PodRefused(
            f"container '{name}' mounts a volume at {SOCKET_FOLDER}, where the engine's socket is; move it"
        )


def _others(spec: Manifest) -> list[Manifest]:
    return [*members(spec, "initContainers"), *members(spec, "containers")]


def _metadata(pod: Manifest, sidecar: Sidecar) -> Patch:
    metadata: Manifest | None = pod.get("metadata")
    patch: Patch = [] if metadata is not None else [add(["metadata"], {})]
    wanted = {
        "labels": {labels.ENGINE: "true"},
        "annotations": {
            annotation_keys.ENGINE_IMAGE: sidecar.container["image"],
            annotation_keys.ENGINE_CONFIG: content_hash(sidecar.container),
        },
    }
    for field, values in wanted.items():
        if not (metadata or {}).get(field):
            patch.append(add(["metadata", field], values))
        else:
            patch += [add(["metadata", field, key], value) for key, value in values.items()]
    return patch


def _volumes(spec: Manifest, sidecar: Sidecar) -> Patch:
    return _appended(spec, ["spec", "volumes"], sidecar.volumes)


def _containers(spec: Manifest, sidecar: Sidecar) -> Patch:
    """Tell every container where the engine is."""
    patch: Patch = []
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(members(spec, kind)):
            where: list[str | int] = ["spec", kind, index]
            if not any(each.get("name") == _ADDRESS for each in members(container, "env")):
                told = ({"name": _ADDRESS, "value": sidecar.address},)
                # First, so that variables of the user's may refer to it.
                patch += _prepended(container, [*where, "env"], told)
            patch += _appended(container, [*where, "volumeMounts"], sidecar.shared_mounts)
    return patch


def _engine(spec: Manifest, sidecar: Sidecar) -> Patch:
    return _prepended(spec, ["spec", "initContainers"], (sidecar.container,))


def _pod_settings(spec: Manifest, sidecar: Sidecar) -> Patch:
    patch: Patch = []
    grace: Any = spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS)
    if grace is None or grace < sidecar.grace_seconds:
        patch.append(add(["spec", "terminationGracePeriodSeconds"], sidecar.grace_seconds))
    context: Manifest = spec.get("securityContext") or {}
    if sidecar.group is not None and context.get("fsGroup") is None:
        # The group of the shared volume: engine and application may run as different users.
        patch.append(add(["spec", "securityContext"], {**context, "fsGroup": sidecar.group}))
    return patch


def _appended(holder: Manifest, path: list[str | int], values: tuple[Manifest, ...]) -> Patch:
    if not values:
        return []
    if not holder.get(str(path[-1])):
        return [add(path, list(values))]
    return [add([*path, "-"], value) for value in values]


def _prepended(holder: Manifest, path: list[str | int], values: tuple[Manifest, ...]) -> Patch:
    if not holder.get(str(path[-1])):
        return [add(path, list(values))]
    return [add([*path, 0], value) for value in reversed(values)]
