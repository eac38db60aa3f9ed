"""WorkflowRuns: started once, kept as wanted, mirrored, and let go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from crd_schemas import check_status
from operator_world import START
from tenuto_operator.model.finalizers import TERMINATE
from tenuto_operator.model.workflow_run import RunFailure, WorkflowRun, WorkflowRunStatus, read_workflow_run
from tenuto_operator.plan.workflow_run import (
    MAX_SHOWN,
    DeleteRun,
    Instance,
    RunChange,
    RunLook,
    SetFinalizer,
    SetInstance,
    StartInstance,
    plan_workflow_run,
)

UID = "run-uid"
START_IT = StartInstance("order-1", UID)
HOLD = SetFinalizer(TERMINATE, is_present=True)
RELEASE = SetFinalizer(TERMINATE, is_present=False)
RUNNING = Instance("Running", UID, version="v1", shard=7, started_at=START, history_length=5)
ENDED = msgspec.structs.replace(RUNNING, phase="Completed", ended_at=START, output='{"ok": true}')
FOREIGN = msgspec.structs.replace(RUNNING, started_by="somebody")


def make_run(spec: dict[str, Any] | None = None, *, seen: Instance | None = None, **metadata: Any) -> WorkflowRun:
    """A WorkflowRun; `seen`: the instance that the look before showed."""
    run = read_workflow_run(
        {
            "metadata": {"name": "order-1", "namespace": "shop", "uid": UID, "generation": 1, **metadata},
            "spec": {"workflowRef": {"name": "orders"}, "workflow": "ship", **(spec or {})},
        }
    )
    if seen is None:
        return run
    status = plan_workflow_run(run, RunLook(START, instance=seen)).status
    return msgspec.structs.replace(run, status=status)


def reason(status: WorkflowRunStatus, kind: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    return next((each.status, each.reason) for each in status.conditions if each.type == kind)


GOING: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
HELD: dict[str, Any] = {"finalizers": [TERMINATE]}
TERMINATES: dict[str, Any] = {"onDelete": "Terminate"}
LATE = START + timedelta(hours=25)
CHANGES: list[tuple[str, WorkflowRun, RunLook, list[RunChange]]] = [
    ("starts", make_run(), RunLook(START), [START_IT]),
    ("holds before it starts", make_run(TERMINATES), RunLook(START), [HOLD, START_IT]),
    ("waits for an engine", make_run(), RunLook(START, answers=False), []),
    ("waits for its Workflow", make_run(), RunLook(START, has_workflow=False), []),
    ("waits for its input", make_run(), RunLook(START, input_problem="no Secret a"), []),
    ("never starts what is not wanted", make_run({"desiredState": "Terminated"}), RunLook(START), []),
    ("leaves a running one", make_run(), RunLook(START, instance=RUNNING), []),
    ("leaves what somebody else started", make_run(), RunLook(START, instance=FOREIGN), []),
    (
        "suspends",
        make_run({"desiredState": "Suspended"}),
        RunLook(START, instance=RUNNING),
        [SetInstance("order-1", "Suspended")],
    ),
    (
        "resumes",
        make_run(),
        RunLook(START, instance=msgspec.structs.replace(RUNNING, phase="Suspended")),
        [SetInstance("order-1", "Running")],
    ),
    (
        "terminates",
        make_run({"desiredState": "Terminated"}),
        RunLook(START, instance=RUNNING),
        [SetInstance("order-1", "Terminated")],
    ),
    ("does not terminate what ended", make_run({"desiredState": "Terminated"}), RunLook(START, instance=ENDED), []),
    ("does not start a lost one again", make_run(seen=RUNNING), RunLook(START), []),
    ("does not start a purged one again", make_run(seen=ENDED), RunLook(LATE), []),
    ("keeps off an id that is used again", make_run(seen=ENDED), RunLook(START, instance=FOREIGN), []),
    ("releases when it ended", make_run(TERMINATES, **HELD), RunLook(START, instance=ENDED), [RELEASE]),
    ("stays before its time", make_run({"ttlAfterFinished": "26h"}), RunLook(LATE, instance=ENDED), []),
    ("goes after its time", make_run({"ttlAfterFinished": "24h"}), RunLook(LATE, instance=ENDED), [DeleteRun(UID)]),
    (
        "goes after its time although purged",
        make_run({"ttlAfterFinished": "24h"}, seen=ENDED),
        RunLook(LATE),
        [DeleteRun(UID)],
    ),
    ("leaves its instance when deleted", make_run(**GOING), RunLook(START, instance=RUNNING), []),
    (
        "terminates its instance when deleted, then lets go",
        make_run(TERMINATES, **GOING, **HELD),
        RunLook(START, instance=RUNNING),
        [SetInstance("order-1", "Terminated"), RELEASE],
    ),
    ("waits for an engine to terminate it", make_run(TERMINATES, **GOING, **HELD), RunLook(START, answers=False), []),
    (
        "never holds a namespace",
        make_run(TERMINATES, **GOING, **HELD),
        RunLook(START, answers=False, is_namespace_going=True),
        [RELEASE],
    ),
    (
        "lets go without a Workflow",
        make_run(TERMINATES, **GOING, **HELD),
        RunLook(START, answers=False, has_workflow=False),
        [RELEASE],
    ),
    ("lets go of a mind that changed", make_run(**GOING, **HELD), RunLook(START, instance=RUNNING), [RELEASE]),
    (
        "spares what somebody else started",
        make_run(TERMINATES, **GOING, **HELD),
        RunLook(START, instance=FOREIGN),
        [RELEASE],
    ),
]


@pytest.mark.parametrize(("run", "look", "changes"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_changes(run: WorkflowRun, look: RunLook, changes: list[RunChange]) -> None:
    """Each look asks for these changes, in this order, and its status fits the schema."""
    plan = plan_workflow_run(run, look)
    assert list(plan.changes) == changes
    check_status("WorkflowRun", msgspec.json.decode(msgspec.json.encode(plan.status)))


@pytest.mark.parametrize(
    ("run", "look", "kind", "wanted"),
    [
        (make_run(), RunLook(START), "Started", ("Unknown", "Starting")),
        (make_run(), RunLook(START, answers=False), "Started", ("Unknown", "NoEngine")),
        (make_run(), RunLook(START, has_workflow=False), "Started", ("False", "WorkflowNotFound")),
        (make_run(), RunLook(START, answers=False, has_workflow=False), "Started", ("Unknown", "WorkflowNotFound")),
        (make_run(), RunLook(START, input_problem="x"), "Started", ("False", "InputNotFound")),
        (make_run(), RunLook(START, instance=FOREIGN), "Started", ("False", "IdTaken")),
        (make_run(seen=RUNNING), RunLook(START), "Started", ("False", "Lost")),
        (make_run(), RunLook(START, instance=RUNNING), "Started", ("True", "Accepted")),
        (make_run(), RunLook(START, instance=RUNNING), "Succeeded", ("Unknown", "NotEnded")),
        (make_run(), RunLook(START, instance=ENDED), "Succeeded", ("True", "Completed")),
        (make_run(seen=ENDED), RunLook(START), "Succeeded", ("True", "Completed")),
        (make_run(seen=ENDED), RunLook(START, instance=FOREIGN), "Started", ("True", "Accepted")),
        (make_run(seen=RUNNING), RunLook(START, instance=FOREIGN), "Started", ("False", "Lost")),
        (make_run(seen=ENDED), RunLook(START, answers=False), "Succeeded", ("True", "Completed")),
    ],
)
def test_conditions(run: WorkflowRun, look: RunLook, kind: str, wanted: tuple[str, str]) -> None:
    """The conditions say where it is and why."""
    assert reason(plan_workflow_run(run, look).status, kind) == wanted


def test_end_is_mirrored() -> None:
    """Result, times, version and shard of an ended instance are in the status; a second look adds nothing."""
    run = make_run(seen=ENDED)
    status = run.status
    assert (status.phase, status.output, status.version, status.shard) == ("Completed", '{"ok": true}', "v1", 7)
    assert (status.start_time, status.completion_time) == (START, START)
    later = plan_workflow_run(run, RunLook(LATE, instance=ENDED))
    assert (later.status, later.changes) == (status, ())


def test_failure_is_mirrored() -> None:
    """A failure is told by type and message, in the status and in the condition."""
    failed = msgspec.structs.replace(RUNNING, phase="Failed", failure=RunFailure("ValueError", "no such order"))
    status = plan_workflow_run(make_run(), RunLook(START, instance=failed)).status
    assert status.failure == RunFailure("ValueError", "no such order")
    assert reason(status, "Succeeded") == ("False", "Failed")
    assert any(each.message == "no such order" for each in status.conditions)


def test_large_results_are_named_and_not_carried() -> None:
    """A result that is too long for an object is replaced by how to read it, never cut to broken JSON."""
    large = msgspec.structs.replace(ENDED, output="x" * (MAX_SHOWN + 1), custom_status="y" * (MAX_SHOWN + 1))
    status = plan_workflow_run(make_run(), RunLook(START, instance=large)).status
    assert "tenuto workflow get order-1" in status.output
    assert len(status.custom_status) == MAX_SHOWN
