"""Specs read, and refused with a sentence; names, versions and durations as they are made."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_world import make_store, make_workflow, template, workflow_resource
from tenuto_engine.settings import from_arguments
from tenuto_operator.model.decoding import SpecRefused
from tenuto_operator.model.durations import Duration, write_duration
from tenuto_operator.model.names import MAX_DEPLOYMENT, MAX_VERSION, deployment_name, derive_version, image_tag
from tenuto_operator.model.workflow import read_workflow
from tenuto_operator.model.workflow_run import read_workflow_run
from tenuto_operator.model.workflow_schedule import read_workflow_schedule

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("1h30m", 5400), ("500ms", 0.5), ("1.5s", 1.5), ("168h", 604800), ("0s", 0)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """Durations are read as Kubernetes writes them."""
    assert Duration.parse(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "1d", "-5s", "10 s", "1h30", "1e3s", "٣s", "9" * 400 + "h", "9999999h"]
)
def test_no_duration_is_refused(text: str) -> None:
    """What is none is refused in a sentence, however hostile."""
    with pytest.raises(ValueError, match=r"write for example|give a shorter"):
        Duration.parse(text)


@given(st.integers(0, 10_000_000))
def test_durations_are_written_as_they_are_read(seconds: int) -> None:
    """Writing whole seconds and reading them gives the same duration."""
    assert Duration.parse(write_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"template": None}, "exactly one of template"),
        ({"workloadSelector": {"matchLabels": {"a": "b"}}}, "exactly one of template"),
        ({"template": {"spec": {}}}, "at least one container"),
        ({"template": {"spec": {"containers": "app"}}}, "at least one container"),
        ({"template": {"spec": {"containers": [{"name": "app"}]}}}, "a name and an image"),
        ({"template": template("1", restartPolicy="Never")}, "restartPolicy"),
        ({"engine": {"leaseDuration": "ten"}}, "spec.engine.leaseDuration: 'ten' is no duration"),
        ({"engine": {"leaseTime": "10s"}}, "leaseTime"),
        ({"shards": "64"}, "spec.shards"),
        ({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}, "minReplicas"),
        ({"rollout": {"strategy": "Progressive"}}, "needs steps"),
        (
            {
                "rollout": {
                    "strategy": "Progressive",
                    "steps": [{"percent": 50, "pause": "1m"}, {"percent": 5, "pause": "1m"}],
                }
            },
            "rising order",
        ),
        ({"rollout": {"strategy": "AllAtOnce", "drain": {"scaledownDelay": "2h", "deleteDelay": "1h"}}}, "deleteDelay"),
    ],
)
def test_workflows_are_refused(spec: dict[str, Any], named: str) -> None:
    """A spec that must not be acted on is refused, and the sentence names the field and what to change."""
    with pytest.raises(SpecRefused) as refused:
        read_workflow(workflow_resource(spec))
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({}, "exactly one"),
        ({"redis": {"addresses": ["a:1", "b:1"]}}, "one address"),
        ({"redis": {"addresses": ["a:1"], "mode": "Sentinel"}}, "service"),
        ({"redis": {"addresses": ["a:1"], "service": "main"}}, "service"),
        (
            {
                "postgresql": {
                    "address": "a:1",
                    "database": "d",
                    "auth": {"passwordSecretRef": {"name": "n", "key": "k"}},
                },
                "durability": {"waitReplicas": 1},
            },
            "synchronous_standby_names",
        ),
    ],
)
def test_state_stores_are_refused(spec: dict[str, Any], named: str) -> None:
    """A StateStore that cannot be opened as it is written is refused."""
    with pytest.raises(SpecRefused) as refused:
        make_store({"keyPrefix": "tenuto", **spec})
    assert named in str(refused.value)


def run(**spec: Any) -> dict[str, Any]:
    """A WorkflowRun."""
    return {"metadata": {"name": "order-1"}, "spec": {"workflowRef": {"name": "orders"}, "workflow": "ship", **spec}}


def test_runs_name_their_instance() -> None:
    """The instance is the object's name, or the id given; an input of null is one."""
    assert read_workflow_run(run()).instance_id == "order-1"
    assert read_workflow_run(run(instanceId="a|b")).instance_id == "a|b"
    assert read_workflow_run(run(input=None)).spec.input is None


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"input": None, "inputFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}, "not both"),
        ({"inputFrom": {}}, "exactly one"),
        ({"ttlAfterFinished": "soon"}, "ttlAfterFinished"),
    ],
)
def test_runs_are_refused(spec: dict[str, Any], named: str) -> None:
    """What the API server cannot see of an input is checked by the operator."""
    with pytest.raises(SpecRefused) as refused:
        read_workflow_run(run(**spec))
    assert named in str(refused.value)


def schedule(cron: str) -> dict[str, Any]:
    """A WorkflowSchedule."""
    return {"metadata": {"name": "n"}, "spec": {"workflowRef": {"name": "orders"}, "workflow": "ship", "cron": cron}}


@pytest.mark.parametrize("cron", ["0 2 * * *", "*/5 0-6,22 1,15 JAN-MAR mon-fri", "0 0 31 12 7", "59 23 * * 0"])
def test_crons_are_read(cron: str) -> None:
    """Five fields with lists, ranges, steps and names are cron."""
    assert read_workflow_schedule(schedule(cron)).spec.cron == cron


@pytest.mark.parametrize(
    ("cron", "named"),
    [
        ("0 2 * *", "has 4 fields"),
        ("60 2 * * *", "minute '60'"),
        ("0 24 * * *", "hour"),
        ("0 2 0 * *", "day of month"),
        ("0 2 * FOO *", "holds 'FOO'"),
        ("0 2 * * 5-1", "counts down"),
        ("*/0 2 * * *", "step of 0"),
        ("@daily", "has 1 fields"),
        ("1,,2 * * * *", "none of"),
        ("٣ 2 * * *", "holds"),
    ],
)
def test_crons_are_refused(cron: str, named: str) -> None:
    """What is no cron is refused before it could never fire, and the sentence names the field."""
    with pytest.raises(SpecRefused) as refused:
        read_workflow_schedule(schedule(cron))
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("orders", ""),
        ("orders:1.4.2", "1.4.2"),
        ("registry:5000/orders", ""),
        ("registry:5000/orders:1.4.2@sha256:abcdef0123456789", "1.4.2"),
        ("orders@sha256:abcdef0123456789", "abcdef012345"),
    ],
)
def test_tags_are_found(image: str, tag: str) -> None:
    """The tag is found beside ports and digests."""
    assert image_tag(image) == tag


def test_versions_follow_code_and_nothing_else() -> None:
    """Image, command and arguments make a version; environment, resources and labels do not."""
    plain = template("1.4.2")
    base = derive_version(plain)
    assert base.startswith("v1-4-2-")
    container = plain["spec"]["containers"][0]
    for harmless in ({"env": [{"name": "A", "value": "1"}]}, {"resources": {"limits": {"cpu": "1"}}}):
        assert derive_version({"spec": {"containers": [{**container, **harmless}]}}) == base
    assert derive_version({"metadata": {"labels": {"a": "b"}}, **plain}) == base
    changed: list[dict[str, Any]] = [{"image": "example.com/other:1.4.2"}, {"command": ["a"]}, {"args": ["b"]}]
    others = {derive_version({"spec": {"containers": [{**container, **each}]}}) for each in changed}
    assert len(others | {base}) == 4


@given(st.text(min_size=1, max_size=200), st.from_regex(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True))
def test_names_fit_wherever_they_stand(image: str, workflow: str) -> None:
    """Any image gives a version that fits a label, the engine's option and the schema, and a name that fits a host."""
    version = derive_version({"spec": {"containers": [{"name": "app", "image": image}]}})
    assert DNS_LABEL.fullmatch(version)
    assert len(version) <= MAX_VERSION
    assert from_arguments([], {"TENUTO_VERSION": version}).runtime.version == version
    name = deployment_name(workflow, version)
    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= MAX_DEPLOYMENT


def test_cut_names_stay_apart() -> None:
    """Two long names that begin alike are cut to two names."""
    assert deployment_name("a" * 40, "v1-000001") != deployment_name("a" * 40, "v1-000002")


def test_apps_of_two_namespaces_never_meet() -> None:
    """The name under which engines share instances holds the namespace."""
    assert make_workflow().app == "shop.orders"
