"""One execution's history, folded by a second hand: what may follow what, told without the engine's core."""

from __future__ import annotations

from typing import Any

from tenuto_engine.core import events as e


class Violation(AssertionError):
    """An invariant is broken: which one, and how."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant


class Fold:
    """Open operations of one execution, and whether it is over."""

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        self.events: list[e.Event] = []
        self.activities: dict[int, e.ActivityScheduled] = {}
        self.timers: dict[int, int] = {}
        self.children: dict[int, e.ChildCreated] = {}
        self.fired: set[int] = set()
        self.ids: set[int] = set()
        self.over: e.Event | None = None
        self.last_turn_ms = 0

    def _refuse(self, invariant: str, text: str) -> Violation:
        return Violation(invariant, f"'{self.instance_id}', record {len(self.events)}: {text}")

    def take(self, event: e.Event, now_ms: int) -> None:
        """Add the next record, committed at `now_ms`."""
        if self.over is not None:
            raise self._refuse("I14", f"{type(event).__name__} after {type(self.over).__name__}")
        match event:
            case e.TurnStarted():
                if event.at_ms < self.last_turn_ms:
                    raise self._refuse("I2", "the time of a turn is before the former one's")
                self.last_turn_ms = event.at_ms
            case e.ActivityScheduled():
                self._new(event.event_id)
                self.activities[event.event_id] = event
            case e.TimerCreated():
                self._new(event.event_id)
                self.timers[event.event_id] = event.due_at_ms
            case e.ChildCreated():
                self._new(event.event_id)
                self.children[event.event_id] = event
            case e.EventSent():
                self._new(event.event_id)
            case e.ActivityCompleted() | e.ActivityFailed():
                self._close(self.activities, event, "I7")
            case e.ChildCompleted() | e.ChildFailed():
                self._close(self.children, event, "I8")
            case e.TimerFired():
                due_ms = self._close(self.timers, event, "I6")
                if now_ms < due_ms:
                    raise self._refuse("I6", f"timer {event.event_id} fired {due_ms - now_ms} ms early")
            case e.ExecutionCompleted() | e.ExecutionFailed() | e.ExecutionTerminated():
                self.over = event
            case _:
                pass
        self.events.append(event)

    def _new(self, event_id: int) -> None:
        if event_id in self.ids:
            raise self._refuse("I2", f"operation {event_id} was recorded twice")
        self.ids.add(event_id)

    def _close(self, open_ones: dict[int, Any], event: Any, invariant: str) -> Any:
        if event.event_id not in open_ones:
            raise self._refuse(invariant, f"{type(event).__name__} of {event.event_id}, which is not open")
        return open_ones.pop(event.event_id)
