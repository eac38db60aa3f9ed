"""Whether an object still is what was applied, although the API server writes it in its own way."""

from __future__ import annotations

from typing import Any

import pytest

from operator_world import World, template
from tenuto_operator.plan.changes import Apply
from tenuto_operator.plan.differences import covers

ALIKE: list[tuple[Any, Any]] = [
    ({"a": 1, "b": 2}, {"a": 1}),
    ("500m", "0.5"),
    ("1", 1),
    ("1Gi", "1024Mi"),
    ("1e3", "1k"),
    ({}, {"env": [], "value": "", "flag": False, "none": None}),
    ([{"name": "b", "x": 1}, {"name": "a", "y": 2}], [{"name": "a"}]),
    ([1, 2], [1, 2]),
]
APART: list[tuple[Any, Any]] = [
    ({"a": 1}, {"a": 2}),
    ({}, {"a": 1}),
    ("1Gi", "1G"),
    ("abc", "abd"),
    ([1, 2], [1]),
    ([{"name": "a"}], [{"name": "b"}]),
    ([], [{"name": "b"}]),
    (None, {"a": 1}),
    (True, "1"),
    ("1.2.3", "1.2.4"),
]


@pytest.mark.parametrize(("observed", "wanted"), ALIKE)
def test_covered(observed: Any, wanted: Any) -> None:
    """Defaults, quantities in other units and what others added make no difference."""
    assert covers(observed, wanted)


@pytest.mark.parametrize(("observed", "wanted"), APART)
def test_not_covered(observed: Any, wanted: Any) -> None:
    """Another value, or none, makes one."""
    assert not covers(observed, wanted)


def settled() -> World:
    """A world with a version at rest."""
    world = World()
    world.settle()
    return world


def deployment(world: World) -> dict[str, Any]:
    """The Deployment, to be changed as somebody with kubectl would."""
    (found,) = [each.manifest for key, each in world.objects.items() if key.kind == "Deployment"]
    return found


def test_drift_is_repaired() -> None:
    """What somebody changed of what was applied is applied again; what they added is left."""
    world = settled()
    deployment(world)["spec"]["template"]["spec"]["initContainers"][0]["image"] = "mine:1"
    assert [type(change) for change in world.plan().changes] == [Apply]
    world = settled()
    deployment(world)["metadata"]["labels"]["mine"] = "1"
    deployment(world)["spec"]["paused"] = True
    assert world.plan().changes == ()


def test_dropped_fields_are_seen() -> None:
    """A field that is no longer in the spec is taken away, although the object covers what is left."""
    world = World({"template": template("1.0.0", nodeSelector={"disk": "ssd"})})
    world.settle()
    world.edit(template=template("1.0.0"))
    assert [type(change) for change in world.plan().changes] == [Apply]


def test_scaling_by_hand_is_undone() -> None:
    """The number of pods is the Workflow's: a Deployment scaled by hand is scaled back."""
    world = settled()
    deployment(world)["spec"]["replicas"] = 7
    (change,) = world.plan().changes
    assert isinstance(change, Apply)
    assert change.manifest["spec"]["replicas"] == 1
