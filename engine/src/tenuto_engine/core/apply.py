"""`apply(state, event)`: how each fact changes an execution, and what must be done about it.

It accepts every event ever written, in any order that history may hold; refusing is the business of `decide`.
Recovery is `fold`: `apply` over the stored history with the effects dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tenuto_engine.core import events as e
from tenuto_engine.core.effects import Effect
from tenuto_engine.core.machines import activity, child, external, lifecycle, timer
from tenuto_engine.core.state import InstanceState

_Transition = Callable[[InstanceState, Any, list[Effect]], None]


def _nothing(state: InstanceState, event: e.WokenUp, effects: list[Effect]) -> None:
    """A wake-up only ever ends a hold, which is not part of history."""


# One entry per member of the union `Event`; a test compares the two, because a table is three times as fast as `match`.
TRANSITIONS: dict[type, _Transition] = {
    e.TurnStarted: lifecycle.turn_started,
    e.ExecutionStarted: lifecycle.started,
    e.ActivityScheduled: activity.scheduled,
    e.ActivityCompleted: activity.closed,
    e.ActivityFailed: activity.closed,
    e.TimerCreated: timer.created,
    e.TimerFired: timer.fired,
    e.EventRaised: external.raised,
    e.EventSent: external.sent,
    e.ChildCreated: child.created,
    e.ChildCompleted: child.closed,
    e.ChildFailed: child.closed,
    e.ExecutionSuspended: lifecycle.suspended,
    e.ExecutionResumed: lifecycle.resumed,
    e.ExecutionTerminated: lifecycle.terminated,
    e.ExecutionCompleted: lifecycle.completed,
    e.ExecutionFailed: lifecycle.failed,
    e.ContinuedAsNew: lifecycle.continued,
    e.RerunStarted: lifecycle.rerun,
    e.WokenUp: _nothing,
}


def apply(state: InstanceState, event: e.Event, *, size_bytes: int, effects: list[Effect]) -> None:
    """Change `state` by one event of `size_bytes` encoded bytes, and append what must follow to `effects`."""
    TRANSITIONS[type(event)](state, event, effects)
    state.length += 1
    state.size_bytes += size_bytes


def fold(state: InstanceState, recorded: Iterable[tuple[e.Event, int]]) -> None:
    """Bring `state` to where the recorded (event, encoded bytes) pairs leave it; their effects are long done."""
    dropped: list[Effect] = []
    for event, size_bytes in recorded:
        apply(state, event, size_bytes=size_bytes, effects=dropped)
        dropped.clear()
