"""A pod, and the patch that gives it an engine: complete, idempotent, or refused with a sentence."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_world import IMAGE, make_store, make_workflow
from tenuto_operator.builders.engine import Sidecar, build_sidecar
from tenuto_operator.builders.injection import PodRefused, inject, is_injected
from tenuto_operator.builders.json_patch import patched

SOCKET = {"engine": {"api": "UnixSocket"}}


def sidecar(spec: dict[str, Any] | None = None) -> Sidecar:
    """An engine."""
    return build_sidecar(make_workflow(spec), make_store(), version="v1", default_image=IMAGE)


def pod(**spec: Any) -> dict[str, Any]:
    """A pod with one container."""
    return {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "app", "image": "app:1"}], **spec}}


def injected(given_pod: dict[str, Any], spec: dict[str, Any] | None = None) -> dict[str, Any]:
    """The pod with its engine."""
    return patched(given_pod, inject(given_pod, sidecar(spec)))


def test_engine_comes_first() -> None:
    """The engine starts before the user's own init containers, which are told where it is as every container is."""
    made = injected(pod(initContainers=[{"name": "migrate", "image": "app:1", "env": [{"name": "A", "value": "1"}]}]))
    assert [each["name"] for each in made["spec"]["initContainers"]] == ["tenuto-engine", "migrate"]
    told = {"name": "TENUTO_ENGINE", "value": "127.0.0.1:50001"}
    assert made["spec"]["initContainers"][1]["env"] == [told, {"name": "A", "value": "1"}]
    assert made["spec"]["containers"][0]["env"] == [told]


def test_injecting_twice_changes_nothing() -> None:
    """A pod with an engine gets no patch, whichever engine it is."""
    made = injected(pod())
    assert is_injected(made)
    assert inject(made, sidecar()) == []
    assert inject(made, sidecar(SOCKET)) == []


@pytest.mark.parametrize(("grace", "wanted"), [(None, 40), (10, 40), (0, 40), (60, 60)])
def test_grace_period_is_raised_and_never_lowered(grace: int | None, wanted: int) -> None:
    """A pod has at least the drain and what follows it to end; a longer period stays."""
    given_pod = pod() if grace is None else pod(terminationGracePeriodSeconds=grace)
    assert injected(given_pod)["spec"]["terminationGracePeriodSeconds"] == wanted


def test_default_grace_period_may_be_enough() -> None:
    """Where Kubernetes' own 30 seconds suffice, nothing is set."""
    made = injected(pod(), {"engine": {"drainTimeout": "5s"}})
    assert "terminationGracePeriodSeconds" not in made["spec"]


def test_socket_is_shared_by_all_containers() -> None:
    """With a unix socket, every container mounts its volume, and the pod has a group that may use it."""
    made = injected(pod(volumes=[{"name": "data", "emptyDir": {}}]), SOCKET)["spec"]
    mount = {"name": "tenuto-socket", "mountPath": "/run/tenuto"}
    assert mount in made["containers"][0]["volumeMounts"]
    assert mount in made["initContainers"][0]["volumeMounts"]
    assert made["containers"][0]["env"][0]["value"] == "unix:/run/tenuto/engine.sock"
    assert made["securityContext"]["fsGroup"] == 65532
    assert [each["name"] for each in made["volumes"]] == ["data", "tenuto-tmp", "tenuto-socket"]


def test_security_context_of_the_pod_is_kept() -> None:
    """A group that the user chose stays, and so does everything else."""
    made = injected(pod(securityContext={"fsGroup": 7, "runAsUser": 9}), SOCKET)
    assert made["spec"]["securityContext"] == {"fsGroup": 7, "runAsUser": 9}
    assert "securityContext" not in injected(pod())["spec"]


def test_pod_says_who_is_in_it() -> None:
    """Labels and annotations tell of the engine, beside those that are there."""
    given_pod = pod()
    given_pod["metadata"] = {"labels": {"app": "a"}, "annotations": {"x/y": "z"}}
    metadata = injected(given_pod)["metadata"]
    assert metadata["labels"] == {"app": "a", "tenuto.dev/engine": "true"}
    assert metadata["annotations"]["x/y"] == "z"
    assert metadata["annotations"]["tenuto.dev/engine-image"] == IMAGE
    assert injected({"spec": pod()["spec"]})["metadata"]["labels"] == {"tenuto.dev/engine": "true"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    (pod(hostNetwork=True), "leave hostNetwork out"),
    (pod(os={"name": "windows"}), "os.name"),
    (pod(volumes=[{"name": "tenuto-tmp", "emptyDir": {}}]), "rename it"),
    (pod(containers=[{"name": "tenuto-engine", "image": "a"}]), "remove it"),
    (pod(containers=[{"name": "app", "image": "a", "ports": [{"containerPort": 7071}]}]), "port 7071"),
    (pod(containers=[{"name": "app", "image": "a", "ports": [{"containerPort": 50001}]}]), "port 50001"),
    (
        pod(containers=[{"name": "app", "image": "a", "env": [{"name": "TENUTO_ENGINE", "value": "b:1"}]}]),
        "leave it out",
    ),
]


@pytest.mark.parametrize(("given_pod", "named"), REFUSED)
def test_pods_are_refused_with_a_sentence(given_pod: dict[str, Any], named: str) -> None:
    """A pod in which an engine could not work is refused, and the sentence says what to change."""
    with pytest.raises(PodRefused) as refused:
        inject(given_pod, sidecar())
    assert named in str(refused.value)


def test_socket_folder_must_be_free() -> None:
    """A container that mounts something else where the socket is, is refused; with loopback it is not in the way."""
    mounts = [{"name": "mine", "mountPath": "/run/tenuto/"}]
    given_pod = pod(containers=[{"name": "app", "image": "a", "volumeMounts": mounts}])
    with pytest.raises(PodRefused, match="move it"):
        inject(given_pod, sidecar(SOCKET))
    assert inject(given_pod, sidecar())


def test_address_already_told_is_no_trouble() -> None:
    """A container that sets TENUTO_ENGINE to what it would be set to is taken as it is."""
    told = [{"name": "TENUTO_ENGINE", "value": "127.0.0.1:50001"}]
    made = injected(pod(containers=[{"name": "app", "image": "a", "env": told}]))
    assert made["spec"]["containers"][0]["env"] == told


NAMES = st.sampled_from(["a", "b", "c", "d"])
CONTAINER = st.fixed_dictionaries(
    {"name": NAMES, "image": st.just("app:1")},
    optional={
        "env": st.one_of(
            st.none(), st.lists(st.fixed_dictionaries({"name": NAMES, "value": st.text(max_size=3)}), max_size=2)
        ),
        "volumeMounts": st.one_of(
            st.none(), st.lists(st.fixed_dictionaries({"name": NAMES, "mountPath": NAMES}), max_size=2)
        ),
        "ports": st.lists(st.fixed_dictionaries({"containerPort": st.integers(1, 3_000)}), max_size=2),
    },
)
PODS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "labels": st.one_of(st.none(), st.dictionaries(NAMES, NAMES)),
                "annotations": st.dictionaries(NAMES, NAMES),
            },
        ),
        "spec": st.fixed_dictionaries(
            {"containers": st.lists(CONTAINER, min_size=1, max_size=3)},
            optional={
                "initContainers": st.one_of(st.none(), st.lists(CONTAINER, max_size=2)),
                "volumes": st.one_of(st.none(), st.lists(st.fixed_dictionaries({"name": NAMES}), max_size=2)),
                "terminationGracePeriodSeconds": st.integers(0, 600),
                "securityContext": st.dictionaries(st.sampled_from(["fsGroup", "runAsUser"]), st.integers(0, 9)),
            },
        ),
    }
)


@settings(max_examples=150, deadline=None)
@given(PODS, st.sampled_from(["Loopback", "UnixSocket"]))
def test_any_pod_keeps_what_it_had(given_pod: dict[str, Any], api: str) -> None:
    """Whatever the pod: nothing of the user's is lost or moved, a second pass is empty, and the pod is not changed."""
    before = copy.deepcopy(given_pod)
    made = injected(given_pod, {"engine": {"api": api}})
    assert given_pod == before
    assert inject(made, sidecar()) == []
    assert [each["name"] for each in made["spec"]["initContainers"]][1:] == [
        each["name"] for each in given_pod["spec"].get("initContainers") or ()
    ]
    for old, new in zip(given_pod["spec"]["containers"], made["spec"]["containers"], strict=True):
        assert {key: value for key, value in old.items() if key not in {"env", "volumeMounts"}}.items() <= new.items()
        assert [each for each in new["env"] if each["name"] != "TENUTO_ENGINE"] == (old.get("env") or [])
        mounts = [each for each in new.get("volumeMounts") or () if each["name"] != "tenuto-socket"]
        assert mounts == (old.get("volumeMounts") or [])
    assert (given_pod["metadata"].get("labels") or {}).items() <= made["metadata"]["labels"].items()
    old_grace = given_pod["spec"].get("terminationGracePeriodSeconds", 30)
    assert made["spec"]["terminationGracePeriodSeconds"] == max(old_grace, 40)
