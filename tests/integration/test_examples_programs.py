"""The examples that are programs do what they say, against a real engine."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest

import tenuto as wf
from engines import EngineProcess

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SECONDS = 60  # until something is certainly wrong; each takes about one
SAYS = {
    "retries": ("visa -> receipt for visa after 3 attempts", "expired -> declined: the card has expired"),
    "fan_out": ("'tone' was found 100 times, 110 different words in all",),
    "saga": ("undone=['flight to Nowhere #1'], reason='no room is free in Nowhere'",),
    "approval": ("a laptop: ordered for 1500",),
    "monitor": ("backup is done after 4 rounds",),
    "design": ("3 x coffee from the ", ", 9.60 in all"),
    "children": ("['NORTH-0003', 'SOUTH-0002']",),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    """One engine for all examples, on a file as a newcomer would have it."""
    with (
        TemporaryDirectory(prefix="tenuto-") as folder,
        EngineProcess(Path(folder), store=f"sqlite:///{folder}/state.db") as process,
    ):
        yield process


@contextmanager
def served(
    name: str, engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Any, wf.WorkflowClient]]:
    """An example's module, freshly loaded and serving in this process, and a client."""
    monkeypatch.setenv("TENUTO_ENGINE", engine.address)
    module = load(name, monkeypatch)
    with module.wfr, wf.WorkflowClient() as client:
        yield module, client


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load an example as a module of its own name, as annotations in it need; without leaving it behind."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def run(name: str, engine: EngineProcess, *words: str) -> str:
    """Run an example as a program; answer what it printed."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *words],
        env=engine.environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{engine.log.read_text()}"
    return done.stdout


@pytest.mark.parametrize("name", sorted(SAYS))
def test_programs(name: str, engine: EngineProcess) -> None:
    """Each example runs to its end as it stands, and prints the results that its story promises."""
    printed = run(name, engine)
    assert [line for line in SAYS[name] if line not in printed] == []


@pytest.mark.parametrize(
    ("answer", "outcome"), [("no", "rejected by Grace"), ("wait", "rejected, nobody decided in time")]
)
def test_approval_can_be_refused_or_run_out(answer: str, outcome: str, engine: EngineProcess) -> None:
    """A purchase is rejected by a manager's no, and by nobody's answer in time."""
    assert outcome in run("approval", engine, answer)


def test_approval_is_not_asked_for_what_is_cheap(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cheap purchase is ordered without a decision, and waits for none."""
    with served("approval", engine, monkeypatch) as (example, client):
        instance_id = client.schedule_new_workflow(example.approve_purchase, input=example.Purchase("a pen", 2))
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)
        assert state.result() == "a pen: ordered for 2"
        assert state.custom_status is None


def test_saga_leaves_nothing_booked(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed trip undoes what it booked in reverse order, also where a cancellation fails at first."""
    with served("saga", engine, monkeypatch) as (example, client):
        instance_id = client.schedule_new_workflow(example.book_trip, input=example.Trip("Ada", "Nowhere"))
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)
        outcome = state.result(example.Outcome)
        assert (outcome.booked, outcome.undone) == ([], ["flight to Nowhere #1"])
        assert state.custom_status == "undoing"


def test_monitor_keeps_its_history_short(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round begins with an empty history and what it carries on; it gives up after the last round allowed."""
    with served("monitor", engine, monkeypatch) as (example, client):
        watch = example.Watch("slow job", every_seconds=0, rounds_at_most=3)
        instance_id = client.schedule_new_workflow(example.watch_job, input=watch)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)
        assert state.result() == "slow job is given up at 75 %"
        assert state.generation == 3
        assert state.history_length < 10


def test_children_are_instances_of_their_own(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each parcel is an instance with the id its parent chose, and is purged with the parent."""
    with served("children", engine, monkeypatch) as (example, client):
        order = example.Order("order-8", {"east": ["shelf"]})
        client.schedule_new_workflow(example.ship_order, input=order, instance_id=order.id)
        client.wait_for_workflow_completion(order.id, timeout_in_seconds=SECONDS)
        child = client.get_workflow_state("order-8/east")
        assert child is not None
        assert (child.parent_instance_id, child.result()) == ("order-8", "EAST-0002")
        assert client.purge_workflow(order.id, recursive=True) == 2
        assert client.get_workflow_state("order-8/east") is None


def test_retries_end_a_declined_payment_at_once(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A non-retryable error leaves one attempt in history; a busy bank is asked until it answers."""
    with served("retries", engine, monkeypatch) as (example, client):
        instance_id = client.schedule_new_workflow(example.pay, input="expired")
        client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)
        failed = [item.event for item in client.get_workflow_history(instance_id) if item.type == "ActivityFailed"]
        assert [getattr(event, "attempts", 1) for event in failed] == [1]
