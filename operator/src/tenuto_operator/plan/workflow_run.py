"""The plan of a WorkflowRun: start an instance once, keep it in the state that is wanted, mirror what becomes of it.

The instance is the truth. Deleting the object leaves it, unless `onDelete: Terminate`; an instance that was purged
after it ended leaves the object as it is; one that somebody else started under the same id is not touched.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from tenuto_operator.model import finalizers
from tenuto_operator.model.conditions import Reason, Type
from tenuto_operator.model.status import ConditionStatus
from tenuto_operator.model.workflow_run import Phase, RunFailure, WorkflowRun, WorkflowRunStatus
from tenuto_operator.plan.conditions import Statement, merge

MAX_SHOWN: Final = 16_384
"""Characters of an output, custom status or failure that the object carries; as many as its schema takes."""

_ENDED: Final = ("Completed", "Failed", "Terminated")


class Instance(msgspec.Struct, frozen=True):
    """An instance as the engines show it. `started_by`: id of the command that started it. Payloads are JSON."""

    phase: Phase
    started_by: str
    version: str = ""
    shard: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    history_length: int = 0
    custom_status: str = ""
    output: str = ""
    failure: RunFailure | None = None


class RunLook(msgspec.Struct, frozen=True):
    """One look.

    `answers`: whether an engine could be asked; if not, `instance` means nothing. `instance`: None: the store has none.
    `input_problem`: why `inputFrom` cannot be read; empty: it can. `is_namespace_going`: the namespace is deleted.
    """

    at: datetime
    has_workflow: bool = True
    answers: bool = True
    instance: Instance | None = None
    input_problem: str = ""
    is_namespace_going: bool = False


class StartInstance(msgspec.Struct, frozen=True):
    """Start the instance with the input of the spec. The same command id never starts a second one."""

    instance_id: str
    command_id: str


class SetInstance(msgspec.Struct, frozen=True):
    """Suspend, resume or terminate the instance."""

    instance_id: str
    to: Literal["Suspended", "Running", "Terminated"]


class SetFinalizer(msgspec.Struct, frozen=True):
    """Put the finalizer on the object, or take it off."""

    name: str
    is_present: bool


class DeleteRun(msgspec.Struct, frozen=True):
    """Delete the object: its time after the end is over."""

    uid: str


RunChange: TypeAlias = StartInstance | SetInstance | SetFinalizer | DeleteRun


class RunPlan(msgspec.Struct, frozen=True):
    """`changes`: in the order in which they are made."""

    changes: tuple[RunChange, ...]
    status: WorkflowRunStatus


def plan_workflow_run(run: WorkflowRun, look: RunLook) -> RunPlan:
    """Decide what to do for a WorkflowRun.

    Args:
        run: as last read, with its last status.
        look: at its Workflow, its input and its instance.
    """
    if run.metadata.deletion_timestamp is not None:
        return RunPlan(_let_go(run, look), run.status)
    if not look.answers:
        reason = Reason.NO_ENGINE if look.has_workflow else Reason.WORKFLOW_NOT_FOUND
        message = "no engine answers; the instance goes on or starts when one does"
        return _said(run, look, "Unknown", reason, message=message if look.has_workflow else _no_workflow(run))
    instance = look.instance
    if instance is None or (instance.started_by != run.metadata.uid and run.status.start_time is not None):
        # Where its own was seen before, one of somebody else's means that its own is gone.
        return _without_instance(run, look)
    if instance.started_by != run.metadata.uid:
        message = (
            f"an instance {run.instance_id} exists and was started by somebody else, so it is left alone; give "
            "instanceId another value in a new WorkflowRun"
        )
        return _said(run, look, "False", Reason.ID_TAKEN, message=message)
    return _with_instance(run, look, instance)


def _let_go(run: WorkflowRun, look: RunLook) -> tuple[RunChange, ...]:
    """What is done while the object is being deleted. Without its finalizer there is nothing to wait for."""
    if finalizers.TERMINATE not in run.metadata.finalizers:
        return ()
    released = SetFinalizer(finalizers.TERMINATE, is_present=False)
    if look.is_namespace_going or run.spec.on_delete == "Keep" or not look.has_workflow:
        return (released,)
    if not look.answers:
        # An engine will answer, or the namespace goes: what was asked for is not given up silently.
        return ()
    instance = look.instance
    if instance is None or instance.phase in _ENDED or instance.started_by != run.metadata.uid:
        return (released,)
    return (SetInstance(run.instance_id, "Terminated"), released)


def _without_instance(run: WorkflowRun, look: RunLook) -> RunPlan:
    before = run.status.phase
    if before in _ENDED or before == "Lost":
        # It was purged after its end, which retention does; what was mirrored stays.
        return RunPlan((*_finalizer(run, is_wanted=False), *_expired(run, look, run.status)), run.status)
    if run.status.start_time:
        plan = _said(run, look, "False", Reason.LOST, message="the instance is no longer in the store: it was purged")
        return RunPlan(_finalizer(run, is_wanted=False), msgspec.structs.replace(plan.status, phase="Lost"))
    if run.spec.desired_state == "Terminated":
        return _said(
            run, look, "False", Reason.NOT_WANTED, message="desiredState is Terminated, so no instance was started"
        )
    if not look.has_workflow:
        return _said(run, look, "False", Reason.WORKFLOW_NOT_FOUND, message=_no_workflow(run))
    if look.input_problem:
        return _said(run, look, "False", Reason.INPUT_NOT_FOUND, message=look.input_problem)
    plan = _said(run, look, "Unknown", Reason.STARTING, message="the instance is being started")
    # The finalizer first: an object deleted between the two would leave an instance that should have been ended.
    start = StartInstance(run.instance_id, run.metadata.uid)
    return RunPlan((*_finalizer(run, is_wanted=run.spec.on_delete == "Terminate"), start), plan.status)


def _with_instance(run: WorkflowRun, look: RunLook, instance: Instance) -> RunPlan:
    is_ended = instance.phase in _ENDED
    changes: list[RunChange] = [*_finalizer(run, is_wanted=run.spec.on_delete == "Terminate" and not is_ended)]
    wanted = run.spec.desired_state
    if not is_ended and (wanted == "Terminated" or (wanted == "Suspended") != (instance.phase == "Suspended")):
        changes.append(SetInstance(run.instance_id, wanted))
    status = _mirrored(run, look, instance)
    return RunPlan((*changes, *_expired(run, look, status)), status)


def _mirrored(run: WorkflowRun, look: RunLook, instance: Instance) -> WorkflowRunStatus:
    succeeded: dict[str, tuple[ConditionStatus, Reason, str]] = {
        "Completed": ("True", Reason.COMPLETED, "the instance completed"),
        "Failed": ("False", Reason.FAILED, instance.failure.message if instance.failure else "the instance failed"),
        "Terminated": ("False", Reason.TERMINATED, "the instance was terminated"),
    }
    status, reason, message = succeeded.get(
        instance.phase, ("Unknown", Reason.NOT_ENDED, f"the instance is {instance.phase.lower()}")
    )
    said = [
        Statement(Type.STARTED, "True", Reason.ACCEPTED, f"instance {run.instance_id} exists"),
        Statement(Type.SUCCEEDED, status, reason, message),
    ]
    failure = instance.failure
    if failure is not None:
        failure = RunFailure(failure.type, _shown(failure.message))
    return WorkflowRunStatus(
        observed_generation=run.metadata.generation,
        conditions=merge(run.status.conditions, said, at=look.at, generation=run.metadata.generation),
        phase=instance.phase,
        instance_id=run.instance_id,
        version=instance.version,
        shard=instance.shard,
        start_time=instance.started_at,
        completion_time=instance.ended_at,
        history_length=instance.history_length,
        custom_status=_shown(instance.custom_status),
        output=_shown(instance.output, otherwise=f"too long; tenuto workflow get {run.instance_id}"),
        failure=failure,
    )


def _said(run: WorkflowRun, look: RunLook, status: ConditionStatus, reason: Reason, *, message: str) -> RunPlan:
    """Change nothing, and say why. What was mirrored of an instance stays."""
    kept = [
        Statement(Type.SUCCEEDED, each.status, Reason(each.reason), each.message)
        for each in run.status.conditions
        if each.type == Type.SUCCEEDED
    ]
    conditions = merge(
        run.status.conditions,
        [Statement(Type.STARTED, status, reason, message), *kept],
        at=look.at,
        generation=run.metadata.generation,
    )
    made = msgspec.structs.replace(
        run.status,
        observed_generation=run.metadata.generation,
        conditions=conditions,
        phase=run.status.phase or "Pending",
        instance_id=run.instance_id,
    )
    return RunPlan((), made)


def _finalizer(run: WorkflowRun, *, is_wanted: bool) -> tuple[RunChange, ...]:
    is_there = finalizers.TERMINATE in run.metadata.finalizers
    return () if is_there == is_wanted else (SetFinalizer(finalizers.TERMINATE, is_wanted),)


def _expired(run: WorkflowRun, look: RunLook, status: WorkflowRunStatus) -> tuple[RunChange, ...]:
    ttl, ended_at = run.spec.ttl_after_finished, status.completion_time
    if ttl is None or ended_at is None or look.at - ended_at < ttl:
        return ()
    return (DeleteRun(run.metadata.uid),)


def _shown(text: str, *, otherwise: str = "") -> str:
    if len(text) <= MAX_SHOWN:
        return text
    return otherwise or f"{text[: MAX_SHOWN - 1]}…"


def _no_workflow(run: WorkflowRun) -> str:
    return f"there is no Workflow {run.spec.workflow_ref.name} in namespace {run.metadata.namespace}; create it"
