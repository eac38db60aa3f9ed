"""Recorded events as the `HistoryEvent`s of a dialect.

Workers get less than clients: what an SDK's replay does not need and may choke on is left out (ends of executions,
pauses, which the engine keeps by itself). What a later event repeats of an earlier one (a fired timer its due time, an
activity's result the id of the call) is looked up here, so one renderer reads one execution from its start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tenuto_engine.core import events as e
from tenuto_engine.edge.durabletask import foreign
from tenuto_engine.edge.durabletask.dialects import DAPR, Dialect
from tenuto_engine.edge.durabletask.values import set_failure, set_moment, set_text

# How the native SDK records the variant of a versioned workflow: as a patch with this prefix.
VARIANT_PREFIX = "tenuto.variant="
# An event that stems from no action of this instance.
_NO_ACTION = -1
_COMPLETED, _FAILED, _TERMINATED = 1, 3, 5


class HistoryRenderer:
    """Renders the events of one execution, in their order.

    Args:
        dialect: whose messages to make.
        instance_id: the instance.
        for_worker: leave out what workers must not see.
    """

    def __init__(self, dialect: Dialect, instance_id: str, *, for_worker: bool) -> None:
        self._dialect = dialect
        self._instance_id = instance_id
        self._for_worker = for_worker
        self._at_ms = 0
        self._due: dict[int, Any] = {}
        self._task_ids: dict[int, str] = {}
        self.patches: list[str] = []
        self.variant = ""
        self.workflow = ""
        # What is in no table (a rerun's mark) has no counterpart in the dialects.
        self._writers: dict[type, Callable[[Any, Any], None]] = {
            e.TurnStarted: self._turn,
            e.ExecutionStarted: self._started,
            e.ActivityScheduled: self._activity,
            e.ActivityCompleted: self._activity_completed,
            e.ActivityFailed: self._activity_failed,
            e.TimerCreated: self._timer,
            e.TimerFired: self._timer_fired,
            e.ChildCreated: self._child,
            e.ChildCompleted: self._child_completed,
            e.ChildFailed: self._child_failed,
            e.EventRaised: self._raised,
            e.EventSent: self._sent,
            e.ExecutionSuspended: self._suspended,
            e.ExecutionResumed: self._resumed,
            e.ExecutionTerminated: self._terminated,
            e.ExecutionCompleted: self._completed,
            e.ExecutionFailed: self._failed,
        }

    def render(self, recorded: Iterable[e.Event], into: Any) -> None:
        """Append the events to a repeated field of `HistoryEvent`."""
        for event in recorded:
            write = self._writers.get(type(event))
            if write is None or (self._for_worker and type(event) in _NOT_FOR_WORKERS):
                continue
            if isinstance(event, e.TurnStarted):
                self._at_ms = event.at_ms
            made = into.add(eventId=_NO_ACTION)
            set_moment(made.timestamp, self._at_ms)
            write(event, made)

    def _turn(self, event: e.TurnStarted, made: Any) -> None:
        made.orchestratorStarted.SetInParent()
        patches = [name for name in event.patches if not name.startswith(VARIANT_PREFIX)]
        variant = next((name for name in event.patches if name.startswith(VARIANT_PREFIX)), "")
        self.patches += patches
        self.variant = self.variant or variant.removeprefix(VARIANT_PREFIX)
        if self._dialect is DAPR and event.patches:
            made.orchestratorStarted.version.patches.extend(patches)
            if variant:
                made.orchestratorStarted.version.name = variant.removeprefix(VARIANT_PREFIX)

    def _started(self, event: e.ExecutionStarted, made: Any) -> None:
        started = made.executionStarted
        foreign.unpack(self._dialect, event.foreign, started, shared=True)
        self.workflow = started.name = event.name
        set_text(started, "input", event.input)
        started.orchestrationInstance.instanceId = self._instance_id
        started.orchestrationInstance.executionId.value = event.execution_id
        if event.scheduled_at_ms:
            set_moment(started.scheduledStartTimestamp, event.scheduled_at_ms)
        if event.parent is not None:
            parent = started.parentInstance
            parent.taskScheduledId = event.parent.event_id
            parent.name.value = event.parent.name
            parent.orchestrationInstance.instanceId = event.parent.instance_id
            parent.orchestrationInstance.executionId.value = event.parent.execution_id

    def _activity(self, event: e.ActivityScheduled, made: Any) -> None:
        made.eventId = event.event_id
        scheduled = made.taskScheduled
        foreign.unpack(self._dialect, event.foreign, scheduled)
        scheduled.name = event.name
        set_text(scheduled, "input", event.input)
        if self._dialect is DAPR:
            self._task_ids[event.event_id] = scheduled.taskExecutionId

    def _activity_completed(self, event: e.ActivityCompleted, made: Any) -> None:
        made.taskCompleted.taskScheduledId = event.event_id
        set_text(made.taskCompleted, "result", event.result)
        made.taskCompleted.SetInParent()
        if self._dialect is DAPR:
            made.taskCompleted.taskExecutionId = self._task_ids.get(event.event_id, "")

    def _activity_failed(self, event: e.ActivityFailed, made: Any) -> None:
        made.taskFailed.taskScheduledId = event.event_id
        set_failure(made.taskFailed.failureDetails, event.failure)
        if self._dialect is DAPR:
            made.taskFailed.taskExecutionId = self._task_ids.get(event.event_id, "")

    def _timer(self, event: e.TimerCreated, made: Any) -> None:
        made.eventId = event.event_id
        created = made.timerCreated
        foreign.unpack(self._dialect, event.foreign, created)
        if not created.HasField("fireAt"):
            set_moment(created.fireAt, event.due_at_ms)
        self._due[event.event_id] = created.fireAt

    def _timer_fired(self, event: e.TimerFired, made: Any) -> None:
        made.timerFired.timerId = event.event_id
        due = self._due.get(event.event_id)
        if due is not None:
            made.timerFired.fireAt.CopyFrom(due)
        made.timerFired.SetInParent()

    def _child(self, event: e.ChildCreated, made: Any) -> None:
        made.eventId = event.event_id
        created = made.subOrchestrationInstanceCreated
        child = self._dialect.pb.ExecutionStartedEvent()
        foreign.unpack(self._dialect, event.foreign, child, shared=True)
        if child.HasField("version"):
            created.version.CopyFrom(child.version)
        if self._dialect is not DAPR:
            created.tags.update(child.tags)
        created.instanceId, created.name = event.instance_id, event.name
        set_text(created, "input", event.input)

    def _child_completed(self, event: e.ChildCompleted, made: Any) -> None:
        made.subOrchestrationInstanceCompleted.taskScheduledId = event.event_id
        set_text(made.subOrchestrationInstanceCompleted, "result", event.result)
        made.subOrchestrationInstanceCompleted.SetInParent()

    def _child_failed(self, event: e.ChildFailed, made: Any) -> None:
        made.subOrchestrationInstanceFailed.taskScheduledId = event.event_id
        set_failure(made.subOrchestrationInstanceFailed.failureDetails, event.failure)

    def _raised(self, event: e.EventRaised, made: Any) -> None:
        made.eventRaised.name = event.name
        set_text(made.eventRaised, "input", event.payload)

    def _sent(self, event: e.EventSent, made: Any) -> None:
        made.eventId = event.event_id
        made.eventSent.instanceId, made.eventSent.name = event.instance_id, event.name
        set_text(made.eventSent, "input", event.payload)

    def _suspended(self, event: e.ExecutionSuspended, made: Any) -> None:
        set_text(made.executionSuspended, "input", event.reason)

    def _resumed(self, event: e.ExecutionResumed, made: Any) -> None:
        set_text(made.executionResumed, "input", event.reason)

    def _terminated(self, event: e.ExecutionTerminated, made: Any) -> None:
        set_text(made.executionTerminated, "input", event.output)
        made.executionTerminated.recurse = event.recursive
        made.executionTerminated.SetInParent()

    def _completed(self, event: e.ExecutionCompleted, made: Any) -> None:
        made.executionCompleted.orchestrationStatus = _COMPLETED
        set_text(made.executionCompleted, "result", event.result)

    def _failed(self, event: e.ExecutionFailed, made: Any) -> None:
        made.executionCompleted.orchestrationStatus = _FAILED
        set_failure(made.executionCompleted.failureDetails, event.failure)


_NOT_FOR_WORKERS = frozenset(
    {
        e.ExecutionSuspended,
        e.ExecutionResumed,
        e.ExecutionTerminated,
        e.ExecutionCompleted,
        e.ExecutionFailed,
    }
)
