"""The execution itself.

    PENDING -- TurnStarted --> RUNNING <--> SUSPENDED
    RUNNING -- ExecutionCompleted | ExecutionFailed | ExecutionTerminated --> COMPLETED | FAILED | TERMINATED
    RUNNING -- ContinuedAsNew --> (another execution)

Terminal statuses have no way out: `decide` refuses every event behind one.
"""

from __future__ import annotations

from tenuto_engine.core.effects import (
    ArmTimer,
    BeginExecution,
    DispatchActivity,
    Effect,
    EndExecution,
    NotifyParent,
    StartChildInstance,
    TerminateChild,
)
from tenuto_engine.core.events import (
    ContinuedAsNew,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    Failure,
    RerunStarted,
    TurnStarted,
)
from tenuto_engine.core.state import InstanceState
from tenuto_engine.core.status import Hold, Status


def turn_started(state: InstanceState, event: TurnStarted, effects: list[Effect]) -> None:
    state.last_turn_at_ms = event.at_ms
    if state.status is Status.PENDING:
        state.status = Status.RUNNING


def started(state: InstanceState, event: ExecutionStarted, effects: list[Effect]) -> None:
    state.name = event.name
    state.version = event.version
    state.parent = event.parent
    state.generation = event.generation
    state.trace_parent = event.trace_parent
    state.input = event.input
    state.foreign = event.foreign


def suspended(state: InstanceState, event: ExecutionSuspended, effects: list[Effect]) -> None:
    state.status, state.hold, state.reason = Status.SUSPENDED, Hold.SUSPENDED, event.reason


def resumed(state: InstanceState, event: ExecutionResumed, effects: list[Effect]) -> None:
    if state.status is Status.SUSPENDED:
        state.status, state.hold, state.reason = Status.RUNNING, Hold.NONE, ""


def completed(state: InstanceState, event: ExecutionCompleted, effects: list[Effect]) -> None:
    _end(state, Status.COMPLETED, effects)
    if state.parent is not None:
        effects.append(NotifyParent(state.parent, event.result, None))


def failed(state: InstanceState, event: ExecutionFailed, effects: list[Effect]) -> None:
    _end(state, Status.FAILED, effects)
    if state.parent is not None:
        effects.append(NotifyParent(state.parent, None, event.failure))


def terminated(state: InstanceState, event: ExecutionTerminated, effects: list[Effect]) -> None:
    if event.recursive:
        for child in state.open_children():
            effects.append(TerminateChild(child.instance_id, child.execution_id, event.reason))
    _end(state, Status.TERMINATED, effects)
    state.reason = event.reason
    if state.parent is not None:
        message = f"Child workflow '{state.instance_id}' was terminated"
        if event.reason:
            message = f"{message}: {event.reason}"
        failure = Failure(type="WorkflowTerminated", message=message, non_retryable=True)
        effects.append(NotifyParent(state.parent, None, failure))


def continued(state: InstanceState, event: ContinuedAsNew, effects: list[Effect]) -> None:
    effects.append(BeginExecution(event.input, event.keep_events, event.version, event.carryover, event.foreign))


def rerun(state: InstanceState, event: RerunStarted, effects: list[Effect]) -> None:
    """The copied history stands; whatever is open in it starts again, because its effects were another instance's."""
    effects.extend(DispatchActivity(activity, index) for activity, index in state.activities.values())
    effects.extend(ArmTimer(event_id, due_at_ms) for event_id, due_at_ms in state.timers.items())
    effects.extend(StartChildInstance(child) for child in state.children.values())


def _end(state: InstanceState, status: Status, effects: list[Effect]) -> None:
    state.status, state.hold, state.reason = status, Hold.NONE, ""
    effects.append(EndExecution(failed=status is not Status.COMPLETED))
