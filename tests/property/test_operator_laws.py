"""Laws of the operator's plans, for any order of edits, progress, failures and silence."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from crd_schemas import check_status
from operator_world import UID, World, template
from tenuto_operator.model import labels
from tenuto_operator.model.metadata import Metadata
from tenuto_operator.plan.changes import Apply, Delete, Route, Scale, SetClosed
from tenuto_operator.plan.observed import GateResult, Key, Object
from tenuto_operator.plan.reports import is_worth_writing

STRATEGIES: list[dict[str, Any]] = [
    {"strategy": "AllAtOnce"},
    {"strategy": "Manual"},
    {"strategy": "AllAtOnce", "gate": {"replay": {"sample": 5}}},
    {
        "strategy": "Progressive",
        "steps": [{"percent": 10, "pause": "1m"}, {"percent": 60, "pause": "2m"}],
        "abortOn": {"failureRatePercent": 10, "minimumInstances": 2},
    },
    {"strategy": "AllAtOnce", "drain": {"scaledownDelay": "0s", "deleteDelay": "0s"}},
]
SCALINGS: list[dict[str, Any]] = [
    {"autoscaling": None, "replicas": None},
    {"autoscaling": None, "replicas": 3},
    {"autoscaling": {"minReplicas": 2, "maxReplicas": 9, "targetBacklogPerReplica": 5}, "replicas": None},
]
EVENT = st.one_of(
    st.tuples(st.just("template"), st.sampled_from(["1.0.0", "2.0.0", "3.0.0"])),
    st.tuples(st.just("rollout"), st.sampled_from(STRATEGIES)),
    st.tuples(st.just("scaling"), st.sampled_from(SCALINGS)),
    st.tuples(st.just("time"), st.sampled_from([1, 10, 70, 4_000, 100_000])),
    st.tuples(st.just("ready"), st.just(None)),
    st.tuples(st.just("workers gone"), st.integers(0, 2)),
    st.tuples(st.just("open"), st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 60))),
    st.tuples(st.just("failures"), st.tuples(st.integers(0, 2), st.integers(0, 5))),
    st.tuples(st.just("gate"), st.tuples(st.integers(0, 2), st.sampled_from(["Passed", "Failed"]))),
    st.tuples(st.just("silence"), st.booleans()),
    st.tuples(st.just("store"), st.booleans()),
    st.tuples(st.just("plan"), st.just(None)),
)
STORIES = st.lists(EVENT, min_size=1, max_size=25)


def happen(world: World, event: tuple[str, Any]) -> None:
    """Let one thing happen that no plan asked for."""
    kind, value = event
    if kind == "template":
        world.edit(template=template(value))
    elif kind == "rollout":
        world.edit(rollout=value)
    elif kind == "scaling":
        world.edit(**value)
    elif kind == "time":
        world.pass_time(seconds=value)
    elif kind == "ready":
        world.make_ready()
    elif kind == "silence":
        world.answers = not value
    elif kind == "store":
        world.store = World().store if value else None
    elif kind == "plan":
        world.step()
    elif world.counters:
        happen_to_version(world, kind, value)


def happen_to_version(world: World, kind: str, value: Any) -> None:
    """Let something happen to one of the versions of which the store holds anything."""
    number = value if kind == "workers gone" else value[0]
    version = sorted(world.counters)[number % len(world.counters)]
    known = world.counters[version]
    if kind == "workers gone":
        world.count(version, workers=0)
    elif kind == "open":
        # A closed version takes no new roots.
        count = min(value[1], known.open_instances) if known.is_closed else value[1]
        world.count(version, open_instances=count, backlog=value[2], started=known.started + count)
    elif kind == "failures":
        world.count(version, ramp_ended=5, ramp_failed=value[1])
    else:
        world.gates[version] = GateResult(value[1], "seen by the test")


def told(story: list[tuple[str, Any]]) -> World:
    """A world after a story."""
    world = World()
    for event in story:
        happen(world, event)
    return world


@settings(max_examples=150, deadline=None)
@given(STORIES)
def test_plan_of_the_achieved_state_is_empty(story: list[tuple[str, Any]]) -> None:
    """After a plan was carried out, the next look at the same moment asks for nothing, and repeats the status."""
    world = told(story)
    world.step()
    again = world.plan()
    assert again.changes == ()
    world.step()
    assert not is_worth_writing(world.status, world.plan().status)


@settings(max_examples=150, deadline=None)
@given(STORIES)
def test_no_version_with_instances_is_deleted(story: list[tuple[str, Any]]) -> None:
    """A version of which the store holds anything keeps its objects, and at least one pod, unless replicas is 0."""
    world = told(story)
    for event in [*story, ("time", 100_000), ("plan", None), ("time", 100_000)]:
        happen(world, event)
        for change in world.plan().changes:
            if isinstance(change, Delete | Scale):
                version = world.objects[change.key].metadata.labels[labels.VERSION]
                known = world.counters.get(version)
                is_open = known is not None and not known.is_empty
                assert not (is_open and isinstance(change, Delete)), version
                assert not (is_open and isinstance(change, Scale) and change.replicas == 0), version


@settings(max_examples=150, deadline=None)
@given(STORIES)
def test_what_takes_instances_is_never_closed_or_deleted(story: list[tuple[str, Any]]) -> None:
    """No plan closes, empties or deletes a version to which new instances are routed after it."""
    world = told(story)
    plan = world.plan()
    routing = (world.routing.current, world.routing.target)
    for change in plan.changes:
        if isinstance(change, Route):
            routing = (change.current, change.target)
    for change in plan.changes:
        if isinstance(change, SetClosed) and change.is_closed:
            assert change.version not in routing
        if isinstance(change, Delete):
            assert world.objects[change.key].metadata.labels[labels.VERSION] not in routing
    opened = {change.version for change in plan.changes if isinstance(change, SetClosed) and not change.is_closed}
    for change in plan.changes:
        if isinstance(change, Route):
            for version in {change.current, change.target} - {world.routing.current, world.routing.target, ""}:
                assert not world.counters[version].is_closed or version in opened


@settings(max_examples=100, deadline=None)
@given(STORIES, st.sampled_from(["", "other-uid"]))
def test_what_others_own_is_never_touched(story: list[tuple[str, Any]], owner: str) -> None:
    """Objects that the Workflow does not control are named by no change, whatever they are called."""
    world = told(story)
    mine = dict(world.objects)
    foreign = {key for key in mine if key.kind != "ServiceAccount"}
    for key in foreign:
        found = mine[key]
        owners = tuple(
            type(each)(each.kind, "somebody", owner, controller=True)
            for each in found.metadata.owner_references
            if owner
        )
        metadata = Metadata(
            name=key.name, uid=found.metadata.uid, labels=found.metadata.labels, owner_references=owners
        )
        world.objects[key] = Object(metadata, found.manifest)
    touched = {change.key for change in world.plan().changes if isinstance(change, Apply | Delete | Scale)}
    assert touched & foreign == set()


@settings(max_examples=100, deadline=None)
@given(STORIES)
def test_plans_do_not_change_what_they_read(story: list[tuple[str, Any]]) -> None:
    """A plan changes neither what was observed nor the spec, and the same look gives the same plan."""
    world = told(story)
    workflow, observed = world.workflow, world.look()
    before = copy.deepcopy((workflow, observed))
    first = world.plan()
    assert world.plan() == first
    assert (workflow, observed) == before


@settings(max_examples=100, deadline=None)
@given(STORIES)
def test_replicas_stay_within_bounds(story: list[tuple[str, Any]]) -> None:
    """Scaling keeps to the bounds of the spec: at most maxReplicas, and at least minReplicas for what is applied."""
    world = told([*story, ("scaling", SCALINGS[2])])
    for change in world.plan().changes:
        if isinstance(change, Apply) and change.key.kind == "Deployment":
            assert 2 <= change.manifest["spec"]["replicas"] <= 9
        if isinstance(change, Scale):
            assert 0 <= change.replicas <= 9


@settings(max_examples=100, deadline=None)
@given(STORIES)
def test_ramps_never_fall_back_by_themselves(story: list[tuple[str, Any]]) -> None:
    """While a version ramps, its part only grows, until it is current or given up."""
    world = World({"rollout": STRATEGIES[3]})
    before = world.routing
    for event in story:
        happen(world, event)
        world.step()
        after = world.routing
        if before.target and after.target == before.target:
            assert after.ramp_percent >= before.ramp_percent
        before = after


@settings(max_examples=50, deadline=None)
@given(STORIES)
def test_all_objects_are_owned(story: list[tuple[str, Any]]) -> None:
    """Whatever is applied is controlled by the Workflow, so that it goes with it."""
    world = told([*story, ("plan", None)])
    for key, found in world.objects.items():
        assert isinstance(key, Key)
        assert found.metadata.controller_uid == UID


@settings(max_examples=100, deadline=None)
@given(STORIES)
def test_every_status_fits_its_schema(story: list[tuple[str, Any]]) -> None:
    """Whatever happened, the status is one that the API server takes whole."""
    world = told([*story, ("plan", None)])
    check_status("Workflow", msgspec.json.decode(msgspec.json.encode(world.status)))
