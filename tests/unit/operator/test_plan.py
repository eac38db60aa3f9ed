"""What a plan says beside rollouts: conditions, names of others, existing workloads, when a status is written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from operator_world import IMAGE, START, UID, World, make_store, make_workflow, template
from tenuto_operator.model.conditions import Reason, Type
from tenuto_operator.model.metadata import Metadata, OwnerReference
from tenuto_operator.model.status import Condition, InstancesStatus, VersionStatus, WorkflowStatus
from tenuto_operator.plan.changes import Apply
from tenuto_operator.plan.conditions import MAX_MESSAGE, Statement, merge
from tenuto_operator.plan.observed import EngineView, Key, Object, Observed, PodsView, Routing, VersionCounters
from tenuto_operator.plan.reports import is_worth_writing
from tenuto_operator.plan.workflow import plan_workflow

DEPLOYMENT = Key("Deployment", "orders-v1")
EXISTING = {"template": None, "workloadSelector": {"matchLabels": {"app": "orders", "tier": "back"}}}


def taken(owner: str = "", **annotations: str) -> Object:
    """A Deployment of somebody else's with the name that the Workflow needs."""
    owners = (OwnerReference("App", "shop", owner, controller=True),) if owner else ()
    notes = {key.replace("_", "/"): value for key, value in annotations.items()}
    return Object(Metadata("orders-v1", "shop", "theirs", annotations=notes, owner_references=owners), {"spec": {}})


def test_missing_store_is_told_and_nothing_is_made() -> None:
    """Without its StateStore nothing is built, the condition names it, and it is no permanent failure."""
    world = World()
    world.store = None
    world.answers = False
    assert world.step().changes == ()
    assert world.condition("StateStoreReady") == ("False", "StateStoreNotFound")
    assert world.condition("Ready") == ("False", "StateStoreNotReady")
    assert "StateStore main in namespace shop" in world.message("Ready")
    world.store = make_store()
    assert world.step().changes


def test_store_that_goes_leaves_pods_alone() -> None:
    """A StateStore that is deleted under a running Workflow changes nothing but the conditions."""
    world = World()
    world.settle()
    world.store = None
    assert world.step().changes == ()
    assert world.condition("StateStoreReady") == ("False", "StateStoreNotFound")


@pytest.mark.parametrize(("status", "reason"), [("True", "StateStoreReady"), ("False", "StateStoreNotReady")])
def test_store_speaks_for_itself(status: Any, reason: str) -> None:
    """What the StateStore says of itself is repeated."""
    world = World()
    said = Condition("Ready", status, "Any", "redis 7.2, appendonly yes", START)
    store = make_store()
    world.store = msgspec.structs.replace(store, status=msgspec.structs.replace(store.status, conditions=(said,)))
    world.step()
    assert world.condition("StateStoreReady") == (status, reason)
    assert world.message("StateStoreReady") == said.message


def test_pod_that_is_refused_stops_its_version_only() -> None:
    """A template in which an engine cannot work gives a condition; the version that runs is left alone."""
    world = World({"version": "v1"})
    world.settle()
    world.edit(version="v2", template=template("1.0.0", hostNetwork=True))
    assert world.step().changes == ()
    assert world.condition("Degraded") == ("True", "InvalidSpec")
    assert world.condition("Progressing") == ("False", "InvalidSpec")
    assert "leave hostNetwork out" in world.message("Progressing")
    assert world.condition("Ready") == ("True", "AllShardsOwned")


def test_taken_name_is_told() -> None:
    """An object of another owner's is not touched, nothing of the version is made, and it is said whose it is."""
    world = World({"version": "v1"})
    world.objects[DEPLOYMENT] = taken("other-uid")
    assert world.step().changes == ()
    assert world.condition("Degraded") == ("True", "NameTaken")
    assert "belongs to App shop" in world.message("Degraded")


def test_unowned_object_is_adopted_when_asked_for() -> None:
    """An object without owner is adopted once it is annotated with the Workflow's name, and with no other."""
    world = World({"version": "v1"})
    world.objects[DEPLOYMENT] = taken()
    assert world.step().changes == ()
    assert "tenuto.dev/adopt=orders" in world.message("Degraded")
    world.objects[DEPLOYMENT] = taken(**{"tenuto.dev_adopt": "other"})
    assert world.plan().changes == ()
    world.objects[DEPLOYMENT] = taken(**{"tenuto.dev_adopt": "orders"})
    world.objects[DEPLOYMENT] = taken("other-uid", **{"tenuto.dev_adopt": "orders"})
    assert world.plan().changes == (), "what somebody controls is theirs, whatever it is annotated with"
    world.objects[DEPLOYMENT] = taken(**{"tenuto.dev_adopt": "orders"})
    adopted = [change for change in world.plan().changes if isinstance(change, Apply) and change.may_adopt]
    assert [change.key for change in adopted] == [DEPLOYMENT]


def test_object_that_is_going_is_waited_for() -> None:
    """An object of ours that is being deleted is made anew only when it is gone."""
    world = World({"version": "v1"})
    world.settle()
    found = world.objects[DEPLOYMENT]
    going = msgspec.structs.replace(found.metadata, deletion_timestamp=START)
    world.objects[DEPLOYMENT] = msgspec.structs.replace(found, metadata=going)
    assert DEPLOYMENT not in {change.key for change in world.plan().changes if isinstance(change, Apply)}
    del world.objects[DEPLOYMENT]
    assert DEPLOYMENT in {change.key for change in world.plan().changes if isinstance(change, Apply)}


def test_deleted_workflow_plans_nothing() -> None:
    """While a Workflow goes, nothing is made or deleted by a plan: owner references do that, and data stay."""
    world = World()
    world.settle()
    world.resource["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.objects.clear()
    assert world.plan().changes == ()


def view(**numbers: Any) -> EngineView:
    """What engines answer, of a healthy version v1."""
    known = {"routing": Routing("v1"), "versions": {"v1": VersionCounters(workers=1)}, "engines": 1, "owners": 1}
    return EngineView(**{**known, "shards_owned": 64, **numbers})


@pytest.mark.parametrize(
    ("seen", "status", "reason"),
    [
        (view(), "True", "AllShardsOwned"),
        (view(shards_owned=63), "False", "ShardsUnowned"),
        (view(versions={"v1": VersionCounters()}), "False", "NoWorker"),
        (None, "Unknown", "NoEngine"),
    ],
)
def test_ready_says_why(seen: EngineView | None, status: str, reason: str) -> None:
    """Ready follows the engines: shards owned, a worker of the current version, or nobody to ask."""
    plan = plan_workflow(
        make_workflow({"version": "v1"}), Observed(START, make_store(), view=seen), default_image=IMAGE
    )
    (ready,) = [each for each in plan.status.conditions if each.type == "Ready"]
    assert (ready.status, ready.reason) == (status, reason)


def test_scaled_to_zero_is_no_mystery() -> None:
    """With replicas 0 the conditions say that this is why nothing runs."""
    world = World({"replicas": 0})
    world.answers = False
    world.step()
    world.step()
    assert world.condition("Ready") == ("False", "ScaledToZero")


def test_different_code_under_one_version_is_told() -> None:
    """Workers of one version with different code degrade the Workflow, with what helps."""
    world = World({"version": "v1"})
    world.settle()
    world.count("v1", hash_conflict=True)
    world.step()
    assert world.condition("Degraded") == ("True", "VersionConflict")


def test_existing_workloads_are_watched_only() -> None:
    """For workloads of somebody else's there is never a change, and pods without engine are named."""
    pods = PodsView(total=9, ready=3, without_engine=tuple(f"pod-{number}" for number in range(7)))
    observed = Observed(START, make_store(), view=view(), pods=pods, objects={DEPLOYMENT: taken()})
    plan = plan_workflow(make_workflow(EXISTING), observed, default_image=IMAGE)
    assert plan.changes == ()
    conditions = {each.type: each for each in plan.status.conditions}
    assert conditions["InjectionHealthy"].reason == "PodsWithoutEngine"
    assert "pod-4 and 2 more" in conditions["InjectionHealthy"].message
    assert (plan.status.pods_summary, plan.status.selector) == ("3/9", "app=orders,tier=back")
    healthy = msgspec.structs.replace(observed, pods=PodsView(total=3, ready=3))
    conditions = {
        each.type: each
        for each in plan_workflow(make_workflow(EXISTING), healthy, default_image=IMAGE).status.conditions
    }
    assert conditions["InjectionHealthy"].status == "True"


def test_status_is_what_people_see() -> None:
    """The status sums pods over versions, and names what new instances start on and what the spec wants."""
    world = World({"replicas": 2})
    world.settle()
    old = world.routing.current
    world.count(old, open_instances=3, started=3, backlog=2)
    world.edit(template=template("2.0.0"))
    world.settle()
    status = world.status
    assert (status.replicas, status.ready_replicas, status.pods_summary) == (4, 4, "4/4")
    assert status.current_version == status.target_version != old
    assert status.draining_versions == 1
    assert status.observed_generation == 2
    assert status.selector == "tenuto.dev/workflow=orders"
    assert status.shards is not None
    assert status.shards.summary == "64/64"
    assert status.instances is not None
    assert status.instances.backlog == 2
    found = status.version(old)
    assert found is not None
    assert (found.image, found.open_instances) == ("example.com/orders:1.0.0", 3)


def test_transition_times_are_transitions() -> None:
    """A condition keeps its time while its status stays, whatever the reason; a statement not repeated goes."""
    first = merge((), [Statement(Type.READY, "False", Reason.NO_WORKER, "a")], at=START, generation=1)
    later = START + timedelta(hours=1)
    second = merge(first, [Statement(Type.READY, "False", Reason.SHARDS_UNOWNED, "b")], at=later, generation=2)
    assert (second[0].last_transition_time, second[0].reason, second[0].observed_generation) == (
        START,
        "ShardsUnowned",
        2,
    )
    third = merge(second, [Statement(Type.READY, "True", Reason.ALL_SHARDS_OWNED, "c")], at=later, generation=2)
    assert third[0].last_transition_time == later
    assert merge(third, [], at=later, generation=2) == ()


def test_messages_are_bounded() -> None:
    """A message that is longer than people read is cut."""
    (made,) = merge((), [Statement(Type.READY, "True", Reason.AS_EXPECTED, "x" * 9_999)], at=START, generation=1)
    assert len(made.message) == MAX_MESSAGE


def sampled(running: int, seconds: int, **status: Any) -> WorkflowStatus:
    """A status with a sample."""
    instances = InstancesStatus(running, 0, 0, 0, START + timedelta(seconds=seconds))
    return WorkflowStatus(observed_generation=1, instances=instances, **status)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (sampled(1000, 0), sampled(2000, 29), False),  # too soon
        (sampled(1000, 0), sampled(2000, 30), True),
        (sampled(1000, 0), sampled(1050, 900), False),  # too little
        (sampled(1000, 0), sampled(1051, 900), True),
        (sampled(1, 0), sampled(0, 30), True),  # to zero always
        (sampled(1000, 0), sampled(1000, 900), False),
        (sampled(1000, 0), sampled(1000, 1, current_version="v2"), True),  # anything else at once
        (sampled(1000, 0), WorkflowStatus(observed_generation=1), True),  # nobody answers any more
    ],
)
def test_samples_are_written_seldom(before: WorkflowStatus, after: WorkflowStatus, wanted: bool) -> None:
    """A status is written when it says something new; numbers only seldom, and if they changed by much."""
    assert is_worth_writing(before, after) is wanted


def test_open_instances_are_samples_too() -> None:
    """The count of a draining version alone is no reason to write at once."""
    one, two = (VersionStatus("v1", "Draining", open_instances=number) for number in (100, 90))
    assert not is_worth_writing(sampled(1, 0, versions=(one,)), sampled(1, 5, versions=(two,)))
    assert is_worth_writing(sampled(1, 0, versions=(one,)), sampled(1, 30, versions=(two,)))


def test_owner_is_known_by_uid() -> None:
    """An object of an earlier Workflow of the same name is not ours."""
    world = World({"version": "v1"})
    world.settle()
    world.resource["metadata"]["uid"] = UID.replace("1", "2")
    assert world.plan().changes == ()
    assert world.step().status.conditions
    assert world.condition("Degraded") == ("True", "NameTaken")
