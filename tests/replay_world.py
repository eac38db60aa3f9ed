"""A pure world for replayed workflows: it records turns, and completes what is open in the order it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tenuto._payloads import Payloads
from tenuto._replay import actions as a
from tenuto._replay import events as e
from tenuto._replay.definitions import NO_OPTIONS, ActivityOptions
from tenuto._replay.executor import Executor, TurnOutcome
from tenuto._worker.registry import Registry

RECORDED: dict[type, type] = {
    a.ScheduleActivity: e.ActivityScheduled,
    a.CreateTimer: e.TimerCreated,
    a.StartChild: e.ChildCreated,
    a.SendEvent: e.EventSent,
    a.CompleteExecution: e.ExecutionCompleted,
    a.FailExecution: e.ExecutionFailed,
}


def record(action: a.Action) -> e.Event:
    """The event that history holds for an action."""
    event: e.Event = RECORDED[type(action)](**{f: getattr(action, f) for f in action.__struct_fields__})
    return event


def registry_of(workflow: Callable[..., Any], *activities: Callable[..., Any], **options: ActivityOptions) -> Registry:
    """A registry with the workflow as "w", and activities under their own names."""
    registry = Registry()
    registry.add_workflow(workflow, "w")
    for activity in activities:
        registry.add_activity(activity, None, options.get(activity.__name__, NO_OPTIONS))
    return registry


class World:
    """One instance: history so far, operations open, and the live executor.

    Args:
        registry: the code; the workflow is called "w".
        payload: the workflow's input.
    """

    def __init__(self, registry: Registry, payload: Any = None) -> None:
        self.registry = registry
        self.history: list[e.Event] = []
        self.open: dict[int, a.Action] = {}
        self.ending: a.Action | None = None
        self.outcomes: list[TurnOutcome] = []
        self.turns = 0
        self.executor = self.new_executor()
        data = None if payload is None else msgspec.json.encode(payload)
        self.turn(e.ExecutionStarted("w", "i", "x", data))

    def new_executor(self) -> Executor:
        """An executor that has seen nothing."""
        return Executor("i", "x", definitions=self.registry, payloads=Payloads())

    def turn(self, *received: e.Event) -> TurnOutcome:
        """Runs one turn and records it."""
        started = e.TurnStarted(1_000_000 + 1000 * self.turns)
        outcome = self.executor.run([], [started, *received])
        assert outcome.problem is None, outcome.problem
        self.turns += 1
        self.outcomes.append(outcome)
        self.history += [
            msgspec.structs.replace(started, patches=outcome.patches, code_hash=outcome.code_hash),
            *received,
        ]
        for action in outcome.actions:
            self._take(action)
        return outcome

    def _take(self, action: a.Action) -> None:
        if isinstance(action, a.CancelTimer):
            self.open.pop(action.event_id, None)
            return
        if isinstance(action, (a.CompleteExecution, a.FailExecution, a.ContinueAsNew)):
            self.ending = action
        else:
            self.open[action.event_id] = action
        if not isinstance(action, a.ContinueAsNew):
            self.history.append(record(action))
        if isinstance(action, a.SendEvent):
            del self.open[action.event_id]

    def completion(self, event_id: int, value: Any = None) -> e.Event:
        """The event that completes an open operation, which is open no more."""
        action = self.open.pop(event_id)
        data = None if value is None else msgspec.json.encode(value)
        match action:
            case a.ScheduleActivity():
                return e.ActivityCompleted(event_id, data)
            case a.CreateTimer():
                return e.TimerFired(event_id)
            case _:
                return e.ChildCompleted(event_id, data)

    def complete(self, event_id: int, value: Any = None) -> TurnOutcome:
        """A turn that completes one open operation."""
        return self.turn(self.completion(event_id, value))

    def fail(self, event_id: int, failure: e.Failure) -> TurnOutcome:
        """A turn in which an open activity or child failed."""
        action = self.open.pop(event_id)
        is_activity = isinstance(action, a.ScheduleActivity)
        return self.turn(e.ActivityFailed(event_id, failure) if is_activity else e.ChildFailed(event_id, failure))

    def restart(self) -> TurnOutcome:
        """Drops the live instance and replays; returns what the replay asks for beyond history."""
        self.executor.close()
        self.executor = self.new_executor()
        return self.executor.run(self.history, [])

    def result(self) -> Any:
        """The decoded result; fails where the workflow did not complete."""
        assert isinstance(self.ending, a.CompleteExecution), self.ending
        return None if self.ending.result is None else msgspec.json.decode(self.ending.result)
