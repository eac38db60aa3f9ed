"""Rerun: which part of a finished history begins a new instance that runs again from one operation.

Everything before the result of that operation was received is kept; its result and all that came after are left out.
Operations that are open at the cut start again: the chosen one, and those whose results came later.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenuto_engine.core import events as e

_SCHEDULING = (e.ActivityScheduled, e.TimerCreated, e.ChildCreated)
_CLOSING = (e.ActivityCompleted, e.ActivityFailed, e.TimerFired, e.ChildCompleted, e.ChildFailed)
_TERMINAL = (e.ExecutionCompleted, e.ExecutionFailed, e.ExecutionTerminated)


class RerunRefused(ValueError):
    """The history cannot be run again from that operation; the message says why."""


class RerunPlan(msgspec.Struct, frozen=True):
    """`history` begins the new instance; `messages` are received again in its first turn."""

    history: list[e.Event]
    messages: list[e.Event]


def plan_rerun(
    history: Sequence[e.Event],
    *,
    event_id: int,
    instance_id: str,
    execution_id: str,
    override: tuple[bytes | None] | None,
) -> RerunPlan:
    """Cut a finished history at an operation and rewrite it for a new instance.

    Args:
        history: of the finished instance, complete.
        event_id: the operation to run again: an activity, timer or child.
        instance_id, execution_id: of the new instance.
        override: one-element tuple with the operation's new input (activities and children), or None.

    Raises: RerunRefused.
    """
    scheduled = [i for i, x in enumerate(history) if isinstance(x, _SCHEDULING) and x.event_id == event_id]
    if not scheduled:
        known = sorted({x.event_id for x in history if isinstance(x, _SCHEDULING)})
        raise RerunRefused(f"its history has no activity, timer or child with event id {event_id}; it has {known[:20]}")
    if override is not None and isinstance(history[scheduled[-1]], e.TimerCreated):
        raise RerunRefused(f"operation {event_id} is a timer, which has no input to replace")
    result = next((i for i in range(scheduled[-1], len(history)) if _closes(history[i], event_id)), None)
    cut = result if result is not None else next(i for i, x in enumerate(history) if isinstance(x, _TERMINAL))
    start = max(i for i in range(cut) if isinstance(history[i], e.TurnStarted))
    if start <= scheduled[-1]:
        # The execution ended in the very turn that scheduled the operation: that turn runs again.
        if override is not None:
            raise RerunRefused(
                f"operation {event_id} was scheduled in the turn that ended the execution, so that turn runs again and "
                "asks for it anew; rerun without an input"
            )
        start = max(i for i in range(scheduled[-1] + 1) if isinstance(history[i], e.TurnStarted))
        received: list[e.Event] = [
            x for x in history[start + 1 : cut] if not isinstance(x, (*_SCHEDULING, e.EventSent))
        ]
    else:
        received = [x for x in history[start + 1 : cut] if isinstance(x, (*_CLOSING, e.EventRaised))]
    kept = list(history[:start])
    open_ids = {x.event_id for x in kept if isinstance(x, _SCHEDULING)} - {
        x.event_id for x in kept if isinstance(x, _CLOSING)
    }
    rewritten = [
        _rewrite(
            x,
            instance_id=instance_id,
            execution_id=execution_id,
            open_ids=open_ids,
            override=(event_id, override) if override is not None else None,
        )
        for x in kept
    ]
    return RerunPlan(rewritten, received)


def _closes(event: e.Event, event_id: int) -> bool:
    return isinstance(event, _CLOSING) and event.event_id == event_id


def _rewrite(
    event: e.Event,
    *,
    instance_id: str,
    execution_id: str,
    open_ids: set[int],
    override: tuple[int, tuple[bytes | None]] | None,
) -> e.Event:
    """Give the new instance its own identity, its open children ids of their own, and the new input."""
    match event:
        case e.ExecutionStarted():
            return msgspec.structs.replace(event, instance_id=instance_id, execution_id=execution_id, parent=None)
        case e.TurnStarted():
            # The turn ran under the lease of another shard, whose epochs say nothing about this one's.
            return msgspec.structs.replace(event, epoch=0)
        case e.ActivityScheduled() if override is not None and event.event_id == override[0]:
            return msgspec.structs.replace(event, input=override[1][0])
        case e.ChildCreated():
            given = override[1][0] if override is not None and event.event_id == override[0] else event.input
            if event.event_id not in open_ids:
                return msgspec.structs.replace(event, input=given)
            child = f"{instance_id}:{event.event_id:04x}"
            return msgspec.structs.replace(
                event, input=given, instance_id=child, child_execution_id=f"{execution_id}-{event.event_id:x}"
            )
        case _:
            return event
