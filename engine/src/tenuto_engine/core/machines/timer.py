"""Timers: created -> fired | cancelled. Cancelling leaves no record, so a timer message may find its timer gone."""

from __future__ import annotations

from tenuto_engine.core.effects import ArmTimer, Effect
from tenuto_engine.core.events import TimerCreated, TimerFired
from tenuto_engine.core.state import InstanceState


def is_open(state: InstanceState, event: TimerFired) -> bool:
    return event.event_id in state.timers


def created(state: InstanceState, event: TimerCreated, effects: list[Effect]) -> None:
    state.timers[event.event_id] = event.due_at_ms
    effects.append(ArmTimer(event.event_id, event.due_at_ms))


def fired(state: InstanceState, event: TimerFired, effects: list[Effect]) -> None:
    state.timers.pop(event.event_id, None)
