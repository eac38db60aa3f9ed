"""Activities: scheduled -> completed | failed. A result counts only while its call is open."""

from __future__ import annotations

from tenuto_engine.core.effects import DispatchActivity, Effect
from tenuto_engine.core.events import ActivityCompleted, ActivityFailed, ActivityScheduled
from tenuto_engine.core.state import InstanceState


def is_open(state: InstanceState, event: ActivityCompleted | ActivityFailed) -> bool:
    return event.event_id in state.activities


def scheduled(state: InstanceState, event: ActivityScheduled, effects: list[Effect]) -> None:
    state.activities[event.event_id] = (event, state.length)
    effects.append(DispatchActivity(event, state.length))


def closed(state: InstanceState, event: ActivityCompleted | ActivityFailed, effects: list[Effect]) -> None:
    state.activities.pop(event.event_id, None)
