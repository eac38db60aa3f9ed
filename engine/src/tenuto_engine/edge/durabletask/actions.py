"""A worker's answer to a turn: `OrchestratorAction`s as the engine's actions.

What ends the execution goes last, whatever its place in the answer: nothing follows it in history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tenuto_engine.core import actions as a
from tenuto_engine.core import events as e
from tenuto_engine.edge.durabletask import foreign
from tenuto_engine.edge.durabletask.dialects import DAPR, Dialect
from tenuto_engine.edge.durabletask.values import due_ms, failure_of, payload

_CONTINUED, _COMPLETED, _FAILED = 2, 1, 3


class VersionNotAvailable(Exception):
    """The worker has not the version of the workflow that this execution began on."""


class Unsupported(Exception):
    """An action that this engine does not perform; the text says which, and what to do instead."""


class Translator(msgspec.Struct, frozen=True):
    """Turns the actions of one execution into the engine's.

    Attributes:
        dialect: whose messages they are.
        instance_id: the instance.
        app: this engine's application; calls to another one are refused.
        version: the dialect's own version of the execution, kept by the next one where it names none.
        tags: those of the execution, kept likewise.
    """

    dialect: Dialect
    instance_id: str
    app: str
    version: str = ""
    tags: Mapping[str, str] = {}

    def translate(self, given: Iterable[Any]) -> list[a.Action]:
        """The engine's actions. Raises VersionNotAvailable, Unsupported."""
        made: list[a.Action] = []
        ending: a.Action | None = None
        for action in given:
            kind = action.WhichOneof("orchestratorActionType")
            if self.dialect is DAPR:
                self._refuse_other_app(action)
            if kind == "completeOrchestration":
                ending = self._ending(action.completeOrchestration, max(action.id, 0))
            else:
                made.append(self._operation(kind, action))
        return made if ending is None else [*made, ending]

    def _refuse_other_app(self, action: Any) -> None:
        target = action.router.targetAppID
        if target and target != self.app:
            raise Unsupported(
                f"instance '{self.instance_id}' of application '{self.app}' calls application '{target}', but an "
                "application calls only its own workflows and activities; leave app_id out, or call the other "
                "application from an activity"
            )

    def _operation(self, kind: str | None, action: Any) -> a.Action:
        match kind:
            case "scheduleTask":
                return self._activity(action.scheduleTask, action.id)
            case "createTimer":
                return self._timer(action.createTimer, action.id)
            case "createSubOrchestration":
                return self._child(action.createSubOrchestration, action.id)
            case "sendEvent":
                sent = action.sendEvent
                return a.SendEvent(action.id, sent.instance.instanceId, sent.name, payload(sent, "data"))
            case "orchestratorVersionNotAvailable":
                raise VersionNotAvailable
            case _:
                raise Unsupported(
                    f"instance '{self.instance_id}' asks for '{kind or 'an unknown action'}', which this engine does "
                    "not perform; use activities, child workflows, timers and events instead"
                )

    def _activity(self, given: Any, event_id: int) -> a.Action:
        kept = self.dialect.pb.TaskScheduledEvent()
        _copy(given, kept, "version")
        if self.dialect is DAPR:
            kept.taskExecutionId = given.taskExecutionId
        else:
            kept.tags.update(given.tags)
            _copy(given, kept, "parentTraceContext")
        return a.ScheduleActivity(
            event_id, given.name, payload(given, "input"), foreign=foreign.pack(self.dialect, kept)
        )

    def _timer(self, given: Any, event_id: int) -> a.Action:
        kept = self.dialect.pb.TimerCreatedEvent()
        kept.fireAt.CopyFrom(given.fireAt)
        if self.dialect is DAPR:
            for field in ("name", "createTimer", "externalEvent", "activityRetry", "childWorkflowRetry"):
                _copy(given, kept, field)
        return a.CreateTimer(event_id, due_ms(given.fireAt), foreign=foreign.pack(self.dialect, kept))

    def _child(self, given: Any, event_id: int) -> a.Action:
        # In the form of the child's start, which receives these bytes as they are.
        kept = self.dialect.pb.ExecutionStartedEvent()
        _copy(given, kept, "version")
        if self.dialect is not DAPR:
            kept.tags.update(given.tags)
            _copy(given, kept, "parentTraceContext")
        instance_id = given.instanceId or f"{self.instance_id}:{event_id:04x}"
        return a.StartChild(
            event_id, given.name, instance_id, payload(given, "input"), foreign=foreign.pack(self.dialect, kept)
        )

    def _ending(self, given: Any, event_id: int) -> a.Action:
        if given.orchestrationStatus == _CONTINUED:
            kept = self.dialect.pb.ExecutionStartedEvent()
            version = given.newVersion.value or self.version
            if version:
                kept.version.value = version
            kept.tags.update((given.tags if self.dialect is not DAPR else None) or self.tags)
            carried = [
                e.EventRaised(one.eventRaised.name, payload(one.eventRaised, "input"))
                for one in given.carryoverEvents
                if one.WhichOneof("eventType") == "eventRaised"
            ]
            return a.ContinueAsNew(
                event_id,
                payload(given, "result"),
                keep_events=True,
                carryover=carried,
                foreign=foreign.pack(self.dialect, kept),
            )
        if given.orchestrationStatus == _COMPLETED:
            return a.CompleteExecution(event_id, payload(given, "result"))
        return a.FailExecution(event_id, failure_of(given.failureDetails))


def _copy(source: Any, target: Any, field: str) -> None:
    if not source.HasField(field):
        return
    value = getattr(source, field)
    if isinstance(value, str):
        setattr(target, field, value)
    else:
        getattr(target, field).CopyFrom(value)
