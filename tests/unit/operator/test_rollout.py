"""Versions come and go: gate, ramp, abort, drain, over whole plans and a world that does what they say."""

from __future__ import annotations

from typing import Any

import pytest

from operator_world import World, template
from tenuto_operator.model.names import derive_version
from tenuto_operator.plan.changes import Apply, Delete, Route, RunGate, SetClosed
from tenuto_operator.plan.observed import GateResult, Routing
from tenuto_operator.plan.versions import MAX_VERSIONS

ONE = derive_version(template("1.0.0"))
TWO = derive_version(template("2.0.0"))
THREE = derive_version(template("3.0.0"))
STEPS = [{"percent": 10, "pause": "1m"}, {"percent": 50, "pause": "5m"}]
PROGRESSIVE = {"strategy": "Progressive", "steps": STEPS}


def running(spec: dict[str, Any] | None = None) -> World:
    """A world whose first version is current."""
    world = World(spec)
    world.settle()
    assert world.routing.current == ONE
    return world


def routes(world: World) -> list[tuple[str, str, int]]:
    """All routes written, in order."""
    return [(each.current, each.target, each.ramp_percent) for each in world.log if isinstance(each, Route)]


def test_first_version_becomes_current_when_ready() -> None:
    """The first version gets its objects, and all instances once its pods are ready and a worker is connected."""
    world = World({"rollout": PROGRESSIVE})
    world.step()
    assert [each.key.kind for each in world.log if isinstance(each, Apply)] == [
        "ServiceAccount", "Service", "PodDisruptionBudget", "Deployment",
    ]  # fmt: skip
    assert (world.state(ONE), world.condition("Progressing")) == ("Pending", ("True", "WaitingForPods"))
    world.make_ready()
    world.count(ONE, workers=0)
    world.step()
    assert world.condition("Progressing") == ("True", "WaitingForWorkers")
    world.make_ready()
    world.step()
    assert routes(world) == [(ONE, "", 0)]
    assert (world.state(ONE), world.condition("Progressing")) == ("Current", ("False", "RolloutComplete"))
    assert world.condition("Ready") == ("True", "AllShardsOwned")


def test_new_version_takes_over_at_once_by_default() -> None:
    """Without a strategy, a version that is ready takes all new instances, and the old one is closed after it."""
    world = running()
    world.edit(template=template("2.0.0"))
    world.step()
    assert (world.state(ONE), world.state(TWO)) == ("Current", "Pending")
    world.make_ready()
    plan = world.step()
    assert plan.changes == (Route(TWO), SetClosed(ONE, is_closed=True))
    assert (world.state(ONE), world.state(TWO)) == ("Draining", "Current")


def test_ramp_follows_its_steps() -> None:
    """A progressive rollout takes each step after the pause of the one before, and not a second earlier."""
    world = running({"rollout": PROGRESSIVE})
    world.edit(template=template("2.0.0"))
    world.settle()
    assert world.routing.ramp_percent == 10
    world.pass_time(seconds=59)
    world.settle()
    assert world.routing.ramp_percent == 10
    world.pass_time(seconds=1)
    world.settle()
    assert world.routing.ramp_percent == 50
    assert world.state(TWO) == "Ramping"
    assert {each.id: each.ramp_percent for each in world.status.versions} == {ONE: 50, TWO: 50}
    world.pass_time(minutes=5)
    world.settle()
    assert routes(world) == [(ONE, "", 0), (ONE, TWO, 10), (ONE, TWO, 50), (TWO, "", 0)]


def test_ramp_stands_still_without_pods() -> None:
    """While a version on its way has no ready pods, its part does not grow, whatever time passes."""
    world = running({"rollout": PROGRESSIVE})
    world.edit(template=template("2.0.0"))
    world.settle()
    world.count(TWO, workers=0)
    world.pass_time(hours=1)
    world.step()
    assert world.routing.ramp_percent == 10
    assert world.condition("Progressing") == ("True", "WaitingForWorkers")


def test_late_version_is_told() -> None:
    """A version whose pods are not ready within the deadline gives a condition of False, and goes on when they are."""
    world = running()
    world.edit(template=template("2.0.0"))
    world.step()
    world.pass_time(minutes=10)
    world.step()
    assert world.condition("Progressing") == ("True", "WaitingForPods")
    world.pass_time(seconds=1)
    world.step()
    assert world.condition("Progressing") == ("False", "ProgressDeadlineExceeded")
    assert "look at its pods" in world.message("Progressing")
    world.make_ready()
    world.step()
    assert world.state(TWO) == "Current"


def test_nothing_is_closed_while_nothing_takes_instances() -> None:
    """Where the routing record is lost, no version is closed before another one is current."""
    world = running()
    world.edit(template=template("2.0.0"))
    world.settle()
    world.routing = Routing()
    world.count(TWO, workers=0)
    world.count(ONE, is_closed=False)
    world.pass_time(days=9)
    assert world.step().changes == ()
    world.make_ready()
    assert world.step().changes == (Route(TWO), SetClosed(ONE, is_closed=True))


def test_edited_steps_are_followed_from_where_the_ramp_is() -> None:
    """Steps may be edited during a ramp: it goes on with the first step above its part."""
    world = running({"rollout": PROGRESSIVE})
    world.edit(template=template("2.0.0"))
    world.settle()
    world.edit(
        rollout={"strategy": "Progressive", "steps": [{"percent": 5, "pause": "30s"}, {"percent": 80, "pause": "1m"}]}
    )
    world.pass_time(seconds=30)
    world.settle()
    assert world.routing.ramp_percent == 80


def test_failures_abort_the_ramp() -> None:
    """Too many failures give the new version up: the old one gets all instances again, the new one drains and goes."""
    world = running({"rollout": {**PROGRESSIVE, "abortOn": {"failureRatePercent": 5, "minimumInstances": 20}}})
    world.edit(template=template("2.0.0"))
    world.settle()
    world.count(TWO, ramp_ended=19, ramp_failed=19, open_instances=3, started=22)
    world.step()
    assert world.state(TWO) == "Ramping", "too few have ended to judge"
    world.count(TWO, ramp_ended=20, ramp_failed=1)
    world.step()
    assert world.state(TWO) == "Ramping", "one in twenty is 5 %, which is allowed"
    world.count(TWO, ramp_ended=20, ramp_failed=2)
    world.step()
    assert world.routing == Routing(ONE, "", 0, (TWO,), world.at)
    assert world.condition("Progressing") == ("False", "FailureRate")
    assert "2 of 20" in world.message("Progressing")
    world.settle()
    assert (world.state(ONE), world.state(TWO)) == ("Current", "Rejected")
    assert world.condition("Progressing") == ("False", "VersionRejected")
    assert world.replicas(TWO) == 1, "its three instances finish on their code"
    world.count(TWO, open_instances=0)
    for _ in range(3):
        world.pass_time(hours=24)
        world.settle()
    assert world.replicas(TWO) is None
    assert world.plan().changes == (), "it is not made anew"


def test_gate_comes_before_the_first_instance() -> None:
    """A gate begins when the pods are ready, and nothing is routed to the version before it passed."""
    gate = {"smoke": {"workflow": "smoke"}, "timeout": "10m"}
    world = running()
    world.edit(template=template("2.0.0"), rollout={"strategy": "AllAtOnce", "gate": gate})
    world.settle()
    assert [each.version for each in world.log if isinstance(each, RunGate)] == [TWO]
    assert world.condition("Progressing") == ("True", "WaitingForGate")
    assert world.state(TWO) == "Verifying"
    assert world.routing.current == ONE
    world.gates[TWO] = GateResult("Passed")
    world.settle()
    assert world.routing.current == TWO


@pytest.mark.parametrize(
    ("result", "minutes", "named"),
    [
        (GateResult("Failed", "history of order-7 differs at event 12"), 0, "order-7"),
        (None, 11, "longer than 10m"),
    ],
)
def test_failed_gate_rejects(result: GateResult | None, minutes: int, named: str) -> None:
    """A gate that fails, or takes too long, rejects the version, and the condition says why."""
    gate = {"replay": {"sample": 10}, "timeout": "10m"}
    world = running()
    world.edit(template=template("2.0.0"), rollout={"strategy": "AllAtOnce", "gate": gate})
    world.settle()
    if result is not None:
        world.gates[TWO] = result
    world.pass_time(minutes=minutes)
    world.step()
    assert world.condition("Progressing") == ("False", "GateFailed")
    assert named in world.message("Progressing")
    assert world.routing.rejected == (TWO,)
    assert routes(world)[-1] == (ONE, "", 0)


def test_manual_waits_for_a_person() -> None:
    """Strategy Manual routes nothing to a version until the annotation names it, and it alone."""
    world = running()
    world.edit(template=template("2.0.0"), rollout={"strategy": "Manual"})
    world.settle()
    assert world.state(TWO) == "Waiting"
    assert f"annotate --overwrite workflow orders tenuto.dev/promote={TWO}" in world.message("Progressing")
    world.resource["metadata"]["annotations"] = {"tenuto.dev/promote": THREE}
    world.settle()
    assert world.routing.current == ONE
    world.resource["metadata"]["annotations"] = {"tenuto.dev/promote": TWO}
    world.settle()
    assert world.routing.current == TWO


def test_going_back_opens_the_old_version() -> None:
    """Applying the old template again takes its version back at once: it is opened before it is routed to."""
    world = running()
    world.edit(template=template("2.0.0"))
    world.settle()
    assert world.counters[ONE].is_closed
    world.edit(template=template("1.0.0"))
    plan = world.step()
    assert plan.changes == (SetClosed(ONE, is_closed=False), Route(ONE), SetClosed(TWO, is_closed=True))


def test_third_version_ends_the_ramp_of_the_second() -> None:
    """A version that is replaced during its ramp gets no more instances, and drains."""
    world = running({"rollout": PROGRESSIVE})
    world.edit(template=template("2.0.0"))
    world.settle()
    world.count(TWO, open_instances=1, started=1)
    world.edit(template=template("3.0.0"))
    world.step()
    assert (world.routing.current, world.routing.target) == (ONE, "")
    assert world.counters[TWO].is_closed
    world.make_ready()
    world.settle()
    assert (world.routing.target, world.routing.ramp_percent) == (THREE, 10)
    assert world.state(TWO) == "Draining"


def test_refused_template_leaves_a_ramp_alone() -> None:
    """A template that is refused during a ramp stops nothing: the ramping version keeps its part and its pods."""
    world = running({"rollout": PROGRESSIVE})
    world.edit(template=template("2.0.0"))
    world.settle()
    world.edit(template=template("3.0.0", hostNetwork=True))
    world.pass_time(days=9)
    assert world.settle().changes == ()
    assert (world.routing.target, world.routing.ramp_percent) == (TWO, 10)
    assert (world.state(ONE), world.state(TWO)) == ("Current", "Ramping")
    assert not world.counters[TWO].is_closed


@pytest.mark.parametrize("autoscaling", [None, {"minReplicas": 1, "maxReplicas": 5}])
def test_open_instances_have_a_pod(autoscaling: dict[str, Any] | None) -> None:
    """A version on its way out keeps a pod while anything is open, and gets one again if something is."""
    drain = {"scaledownDelay": "1m", "deleteDelay": "24h"}
    world = running({"autoscaling": autoscaling, "rollout": {"strategy": "AllAtOnce", "drain": drain}})
    world.count(ONE, open_instances=1, started=1, backlog=0)
    world.edit(template=template("2.0.0"))
    for _ in range(3):
        world.settle()
        world.pass_time(minutes=10)
    assert world.replicas(ONE) == 1
    world.count(ONE, open_instances=0)
    for _ in range(2):
        world.settle()
        world.pass_time(minutes=10)
    world.settle()
    assert world.replicas(ONE) == 0
    world.count(ONE, open_instances=1)
    world.settle()
    assert (world.state(ONE), world.replicas(ONE)) == ("Draining", 1)


def test_old_version_drains_in_order() -> None:
    """An old version keeps its pods while an instance is open, then is scaled to zero, then goes, by its delays."""
    world = running({"rollout": {"strategy": "AllAtOnce", "drain": {"scaledownDelay": "1h", "deleteDelay": "24h"}}})
    world.count(ONE, open_instances=1, started=1)
    world.edit(template=template("2.0.0"))
    world.settle()
    world.pass_time(days=30)
    world.settle()
    assert world.replicas(ONE) == 1
    world.count(ONE, open_instances=0)
    world.settle()
    assert world.state(ONE) == "Draining", "zero was seen once"
    world.pass_time(seconds=4)
    world.settle()
    assert world.state(ONE) == "Draining", "and again, but too soon"
    world.pass_time(minutes=1)
    world.settle()
    assert (world.state(ONE), world.replicas(ONE)) == ("Drained", 1)
    world.pass_time(hours=1)
    world.settle()
    assert world.replicas(ONE) == 0
    world.pass_time(hours=23)
    world.settle()
    assert world.replicas(ONE) is None
    deleted = [each.key.kind for each in world.log if isinstance(each, Delete)]
    assert deleted == ["Deployment", "PodDisruptionBudget", "Service", "ServiceAccount"]
    assert world.state(ONE) == ""


@pytest.mark.parametrize("left", ["open_instances", "open_activities", "outbox"])
def test_anything_left_keeps_a_version(left: str) -> None:
    """An open instance, an open activity or an undelivered message each keep a version's pods."""
    world = running()
    world.edit(template=template("2.0.0"))
    world.count(ONE, **{left: 1})
    world.settle()
    for _ in range(3):
        world.pass_time(days=1)
        world.settle()
    assert (world.state(ONE), world.replicas(ONE)) == ("Draining", 1)


def test_start_between_two_zeros_counts() -> None:
    """A start that came and ended between two looks at zero makes the second one the first."""
    world = running()
    world.edit(template=template("2.0.0"))
    world.settle()
    world.count(ONE, started=1)
    world.pass_time(days=2)
    world.settle()
    assert world.state(ONE) == "Draining"
    world.pass_time(days=2)
    world.settle()
    assert world.replicas(ONE) is None


def test_silence_is_no_zero() -> None:
    """While no engine answers, nothing is closed, scaled down or deleted, and the status says that nothing is known."""
    world = running()
    world.edit(template=template("2.0.0"))
    world.settle()
    world.pass_time(seconds=10)
    world.settle()
    assert world.state(ONE) == "Drained"
    world.answers = False
    world.pass_time(days=3)
    plan = world.step()
    assert plan.changes == ()
    assert world.condition("Ready") == ("Unknown", "NoEngine")
    assert (world.status.current_version, world.state(ONE)) == (TWO, "Drained")


def test_overdue_drain_is_told_and_nothing_more() -> None:
    """After the timeout a condition names the version; its instances go on."""
    world = running({"rollout": {"strategy": "AllAtOnce", "drain": {"timeout": "72h"}}})
    world.count(ONE, open_instances=5, started=5)
    world.edit(template=template("2.0.0"))
    world.settle()
    assert world.condition("DrainOverdue") == ("False", "DrainingInTime")
    world.pass_time(hours=73)
    world.settle()
    assert world.condition("DrainOverdue") == ("True", "InstancesOpen")
    assert ONE in world.message("DrainOverdue")
    assert world.replicas(ONE) == 1


def test_too_many_versions_are_refused() -> None:
    """Beyond the limit no further version gets pods, and the condition says what to do; the current one stays."""
    world = running()
    current = ONE
    for number in range(2, MAX_VERSIONS + 1):
        world.edit(template=template(f"{number}.0.0"))
        world.settle()
        current = world.routing.current
        world.count(current, open_instances=1, started=1)
    world.count(ONE, open_instances=1, started=1)
    world.edit(template=template("99.0.0"))
    world.settle()
    assert world.condition("Progressing") == ("False", "TooManyVersions")
    assert world.condition("Degraded") == ("True", "TooManyVersions")
    assert world.routing.current == current
    assert world.state(current) == "Current"


def test_environment_makes_no_version() -> None:
    """A change of environment rolls the pods of the same version: one Deployment, no route, no drain."""
    world = running()
    changed = template("1.0.0")
    changed["spec"]["containers"][0]["env"] = [{"name": "LEVEL", "value": "debug"}]
    world.edit(template=changed)
    plan = world.step()
    assert [type(each) for each in plan.changes] == [Apply]
    assert world.status.target_version == ONE


def test_given_version_is_kept_over_another_image() -> None:
    """With `version` given, another image is the same version: code that replays alike may replace it in place."""
    world = World({"version": "stable"})
    world.settle()
    world.edit(template=template("2.0.0"))
    world.settle()
    assert world.routing.current == "stable"
    assert [each.id for each in world.status.versions] == ["stable"]


def test_version_without_pods_but_with_instances_is_told() -> None:
    """Instances whose version has no Deployment any more are named, with what helps."""
    world = running()
    world.count("lost", open_instances=3)
    world.settle()
    assert world.condition("Degraded") == ("True", "VersionMissing")
    assert "spec.version lost" in world.message("Degraded")
