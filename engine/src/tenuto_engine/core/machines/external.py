"""External events: raised at this instance (kept as they come; the SDK buffers by name) and sent to others."""

from __future__ import annotations

from tenuto_engine.core.effects import Effect, SendExternalEvent
from tenuto_engine.core.events import EventRaised, EventSent
from tenuto_engine.core.state import InstanceState


def raised(state: InstanceState, event: EventRaised, effects: list[Effect]) -> None:
    """Nothing changes: what an event means is known to the workflow's code alone."""


def sent(state: InstanceState, event: EventSent, effects: list[Effect]) -> None:
    effects.append(SendExternalEvent(event.instance_id, event.name, event.payload, state.length))
