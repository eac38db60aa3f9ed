"""What is built: manifests of a version, and the engine in them, judged by the engine itself where that is possible."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from operator_world import IMAGE, UID, make_store, make_workflow, template
from tenuto_engine.settings import Settings, from_arguments
from tenuto_engine.storage.urls import open_stores
from tenuto_operator.builders.companions import build_disruption_budget, build_service, build_service_account
from tenuto_operator.builders.deployment import build_deployment
from tenuto_operator.builders.engine import build_sidecar
from tenuto_operator.model import annotation_keys, labels
from tenuto_operator.model.decoding import SpecRefused
from tenuto_operator.model.workflow import Workflow

CA = {"caSecretRef": {"name": "ca", "key": "ca.pem"}}
AUTH = {"username": "us@er", "passwordSecretRef": {"name": "auth", "key": "password"}}
STORES: list[tuple[dict[str, Any], str]] = [
    ({"redis": {"addresses": ["redis:6379"]}}, "redis://redis:6379/0"),
    (
        {"redis": {"addresses": ["redis:6379"], "database": 3, "auth": AUTH, "tls": CA}},
        "rediss://us%40er:secret@redis:6379/3?ssl_ca_certs=/etc/tenuto/store/ca.crt",
    ),
    (
        {
            "redis": {"addresses": ["a:26379", "b:26379"], "mode": "Sentinel", "service": "main"},
            "durability": {"waitReplicas": 1},
        },
        "redis+sentinel://a:26379,b:26379/main/0?wait_replicas=1",
    ),
    ({"redis": {"addresses": ["a:1", "b:2"], "mode": "Cluster", "tls": {}}}, "rediss+cluster://a:1,b:2"),
    (
        {"postgresql": {"address": "db:5432", "database": "flows", "auth": AUTH, "tls": CA}},
        "postgresql://us%40er@db:5432/flows?sslmode=verify-full&sslrootcert=/etc/tenuto/store/ca.crt",
    ),
]


def engine_of(workflow: Workflow, store: dict[str, Any] | None = None, version: str = "v1") -> dict[str, Any]:
    """The engine container."""
    return build_sidecar(workflow, make_store(store), version=version, default_image=IMAGE).container


def environment(container: dict[str, Any]) -> dict[str, str]:
    """The environment as a kubelet would make it; every secret is `secret`."""
    made: dict[str, str] = {}
    for each in container["env"]:
        value = each.get("value", "secret" if "secretKeyRef" in each.get("valueFrom", {}) else "field")
        for known, text in made.items():
            value = value.replace(f"$({known})", text)
        made[each["name"]] = value
    return made


def settings_of(container: dict[str, Any]) -> Settings:
    """The settings that the real engine makes of a container's environment."""
    return from_arguments([], environment(container))


def deployment_of(workflow: Workflow, version: str = "v1", replicas: int = 2) -> dict[str, Any]:
    """The Deployment of a version."""
    sidecar = build_sidecar(workflow, make_store(), version=version, default_image=IMAGE)
    return build_deployment(workflow, sidecar, version=version, replicas=replicas)


def test_engine_understands_what_it_is_told() -> None:
    """The engine's own parser accepts the environment, and reads in it what the spec says."""
    workflow = make_workflow(
        {
            "shards": 16,
            "engine": {
                "leaseDuration": "4s", "drainTimeout": "1m", "turnTimeout": "500ms", "logLevel": "debug",
                "durableTask": "Enabled", "daprHttp": "Enabled",
            },
            "retention": {"completed": "1h", "failed": "2h"},
        }
    )  # fmt: skip
    store = {"redis": {"addresses": ["r:1"]}, "keyPrefix": "p", "durability": {"tier": "D3", "verification": "Skipped"}}
    settings = settings_of(engine_of(workflow, store))
    assert (settings.runtime.app, settings.runtime.version, settings.runtime.shards) == ("shop.orders", "v1", 16)
    assert (settings.runtime.lease_seconds, settings.runtime.drain_seconds) == (4.0, 60.0)
    assert settings.runtime.turn_timeout_seconds == 0.5
    assert (settings.runtime.retain_completed_seconds, settings.runtime.retain_failed_seconds) == (3600.0, 7200.0)
    assert (settings.key_prefix, settings.durability, settings.durability_unverified) == ("p", "D3", True)
    assert (settings.listen, settings.http) == ("127.0.0.1:50001", "0.0.0.0:7071")
    assert (settings.listen_durabletask, settings.dapr_http) == ("127.0.0.1:4001", "127.0.0.1:3500")
    assert (settings.log_level, settings.log_format) == ("debug", "json")


def test_every_option_is_one_of_the_engine() -> None:
    """No variable beginning with TENUTO_ is told that the engine does not know, but the part of the URL it replaces."""
    from tenuto_engine.settings import parser

    known = {f"TENUTO_{action.dest.upper()}" for action in parser()._actions}
    spec = {
        "postgresql": {"address": "db:5432", "database": "flows", "auth": AUTH},
        "leaseStoreUrlSecretRef": {"name": "leases", "key": "url"},
        "durability": {"tier": "D2", "verification": "Skipped"},
    }
    told = environment(engine_of(make_workflow({"engine": {"durableTask": "Enabled", "daprHttp": "Enabled"}}), spec))
    assert {name for name in told if name.startswith("TENUTO_")} - known == set()


@pytest.mark.parametrize(("store", "url"), STORES)
def test_store_urls_open(store: dict[str, Any], url: str) -> None:
    """The URL made of a StateStore is the one intended, and the engine's drivers accept it."""
    workflow = make_workflow()
    settings = settings_of(engine_of(workflow, store))
    assert settings.state_store == url
    if "ca.crt" not in url:
        open_stores(settings.state_store, app="shop.orders", key_prefix="tenuto")


def test_secrets_are_named_and_never_held() -> None:
    """A password stands nowhere in a manifest: the kubelet takes it from the Secret, before what refers to it."""
    container = engine_of(make_workflow(), STORES[1][0])
    names = [each["name"] for each in container["env"]]
    assert names.index("TENUTO_STORE_PASSWORD") < names.index("TENUTO_STATE_STORE")
    (password,) = [each for each in container["env"] if each["name"] == "TENUTO_STORE_PASSWORD"]
    assert password["valueFrom"]["secretKeyRef"] == {"name": "auth", "key": "password"}
    assert {"name": "tenuto-store-ca", "mountPath": "/etc/tenuto/store", "readOnly": True} in container["volumeMounts"]


def test_whole_url_comes_from_a_secret() -> None:
    """With urlSecretRef, the whole URL is taken from the Secret."""
    container = engine_of(make_workflow(), {"urlSecretRef": {"name": "store", "key": "url"}})
    (url,) = [each for each in container["env"] if each["name"] == "TENUTO_STATE_STORE"]
    assert url["valueFrom"]["secretKeyRef"] == {"name": "store", "key": "url"}


def test_engine_passes_restricted_pod_security() -> None:
    """The container keeps every rule of the Pod Security Standard `restricted`, and writes only to its volumes."""
    container = engine_of(make_workflow())
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] >= 10_000
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["readOnlyRootFilesystem"] is True
    assert not any("hostPort" in port for port in container["ports"])


def test_engine_is_a_native_sidecar_with_honest_probes() -> None:
    """It restarts by itself, is ready before others start, and its probes ask different questions."""
    container = engine_of(make_workflow())
    assert container["restartPolicy"] == "Always"
    paths = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
    assert "cpu" not in container["resources"]["limits"]
    assert container["resources"]["requests"]
    assert make_workflow({"engine": {"resources": {"limits": {"memory": "1Gi"}}}}).spec.engine.resources == {
        "limits": {"memory": "1Gi"}
    }


def test_drain_program_asks_the_engine_and_waits() -> None:
    """The preStop runs within the pod, is Python that compiles, and waits longer than the drain may take."""
    container = engine_of(make_workflow({"engine": {"drainTimeout": "40s"}}))
    python, flag, program = container["lifecycle"]["preStop"]["exec"]["command"]
    assert (python, flag) == ("python", "-c")
    compile(program, "preStop", "exec")
    assert "127.0.0.1" in program
    assert "/drain" in program
    assert "timeout=45" in program


def test_engine_knows_its_pod() -> None:
    """The downward API tells name, namespace, uid, address and node, which its spans carry."""
    told = environment(engine_of(make_workflow()))
    assert {"POD_NAME", "POD_NAMESPACE", "POD_UID", "POD_IP", "NODE_NAME"} <= set(told)
    assert "$(" not in told["OTEL_RESOURCE_ATTRIBUTES"]


def test_image_of_the_workflow_wins() -> None:
    """The engine's image is the Workflow's, and the operator's where it names none."""
    assert engine_of(make_workflow())["image"] == IMAGE
    assert engine_of(make_workflow({"engine": {"image": "own:1"}}))["image"] == "own:1"


def test_deployment_runs_the_users_template() -> None:
    """The Deployment has the user's containers, the engine before them, and labels that its selector matches."""
    given = template("1.0.0", terminationGracePeriodSeconds=120)
    given["metadata"] = {"labels": {"team": "checkout"}, "annotations": {"note": "kept"}}
    made = deployment_of(make_workflow({"template": given}))
    pod = made["spec"]["template"]
    assert pod["metadata"]["labels"] == {
        "team": "checkout", labels.WORKFLOW: "orders", labels.VERSION: "v1", labels.ENGINE: "true",
    }  # fmt: skip
    assert made["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert pod["metadata"]["annotations"]["note"] == "kept"
    assert pod["spec"]["initContainers"][0]["name"] == "tenuto-engine"
    assert pod["spec"]["terminationGracePeriodSeconds"] == 120
    assert pod["spec"]["containers"][0]["env"] == [{"name": "TENUTO_ENGINE", "value": "127.0.0.1:50001"}]
    assert made["spec"]["replicas"] == 2


def test_pods_spread_unless_the_user_says_how() -> None:
    """Pods spread over zones and nodes by default; a user's own rules are left alone."""
    spread = deployment_of(make_workflow())["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    own = make_workflow({"template": template("1.0.0", affinity={"nodeAffinity": {}})})
    assert "topologySpreadConstraints" not in deployment_of(own)["spec"]["template"]["spec"]


def test_builders_leave_the_spec_alone() -> None:
    """Building changes nothing that was given, and shares nothing with it that a later change could reach."""
    workflow = make_workflow()
    before = copy.deepcopy(workflow)
    made = deployment_of(workflow)
    made["spec"]["template"]["spec"]["containers"][0]["image"] = "changed"
    assert workflow == before
    assert deployment_of(workflow)["spec"]["template"]["spec"]["containers"][0]["image"] == "example.com/orders:1.0.0"


def test_companions_share_name_labels_and_owner() -> None:
    """All objects of a version have one name, its labels, and the Workflow as controller."""
    workflow = make_workflow()
    made = [
        deployment_of(workflow),
        build_service(workflow, version="v1"),
        build_disruption_budget(workflow, version="v1"),
        build_service_account(workflow, version="v1"),
    ]
    for manifest in made:
        assert manifest is not None
        metadata = manifest["metadata"]
        assert (metadata["name"], metadata["namespace"]) == ("orders-v1", "shop")
        assert metadata["labels"][labels.VERSION] == "v1"
        assert [owner["uid"] for owner in metadata["ownerReferences"] if owner["controller"]] == [UID]
        assert metadata["annotations"][annotation_keys.APPLIED]


def test_budget_never_blocks_a_drain_for_ever() -> None:
    """One pod may always go, also of one, and pods that are not ready never count."""
    spec = build_disruption_budget(make_workflow(), version="v1")["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_service_account_of_the_user_is_used() -> None:
    """Where the template names an account, none is made; else one without rights or token."""
    own = make_workflow({"template": template("1.0.0", serviceAccountName="orders")})
    assert build_service_account(own, version="v1") is None
    assert deployment_of(own)["spec"]["template"]["spec"]["serviceAccountName"] == "orders"
    made = build_service_account(make_workflow(), version="v1")
    assert made is not None
    assert made["automountServiceAccountToken"] is False
    assert deployment_of(make_workflow())["spec"]["template"]["spec"]["serviceAccountName"] == "orders-v1"


def test_replicas_do_not_count_for_the_hash() -> None:
    """Two sizes of a Deployment carry the same mark of what was applied: scaling is no edit."""
    marks = {
        deployment_of(make_workflow(), replicas=n)["metadata"]["annotations"][annotation_keys.APPLIED] for n in (1, 9)
    }
    assert len(marks) == 1


def test_existing_workloads_have_no_deployment() -> None:
    """Building a Deployment for a Workflow without template is refused."""
    workflow = make_workflow({"template": None, "workloadSelector": {"matchLabels": {"app": "orders"}}})
    with pytest.raises(SpecRefused, match=r"spec\.template"):
        deployment_of(workflow)
