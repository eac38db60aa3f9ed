"""Children: created -> completed | failed. A child's end is reported once; the parent keeps its id for trees."""

from __future__ import annotations

from tenuto_engine.core.effects import Effect, StartChildInstance
from tenuto_engine.core.events import ChildCompleted, ChildCreated, ChildFailed
from tenuto_engine.core.state import InstanceState


def is_open(state: InstanceState, event: ChildCompleted | ChildFailed) -> bool:
    return event.event_id in state.children


def created(state: InstanceState, event: ChildCreated, effects: list[Effect]) -> None:
    state.children[event.event_id] = event
    effects.append(StartChildInstance(event))


def closed(state: InstanceState, event: ChildCompleted | ChildFailed, effects: list[Effect]) -> None:
    state.children.pop(event.event_id, None)
