"""Rewind: a failed history without its failures, so that what failed is asked for again.

The failed calls are left out with everything that recorded them; what succeeded keeps its results. A failed child
starts anew, under its own id. So does a child that had not ended: its result is for the former execution, and lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenuto_engine.core import events as e

_FAILED = (e.ActivityFailed, e.ChildFailed)
_SCHEDULING = (e.ActivityScheduled, e.ChildCreated)
_TERMINAL = (e.ExecutionCompleted, e.ExecutionFailed, e.ExecutionTerminated)


def plan_rewind(history: Sequence[e.Event], *, execution_id: str) -> list[e.Event]:
    """The history that the next execution of a failed instance begins with.

    Args:
        history: of the failed execution, complete.
        execution_id: of the next one.
    """
    failed = {event.event_id for event in history if isinstance(event, _FAILED)}
    ended = {event.event_id for event in history if isinstance(event, e.ChildCompleted)}
    failed |= {event.event_id for event in history if isinstance(event, e.ChildCreated)} - ended
    kept: list[e.Event] = []
    for event in history:
        if isinstance(event, (*_FAILED, *_TERMINAL)):
            continue
        if isinstance(event, _SCHEDULING) and event.event_id in failed:
            continue
        kept.append(_renewed(event, execution_id))
    while kept and isinstance(kept[-1], e.TurnStarted):
        kept.pop()
    return kept


def _renewed(event: e.Event, execution_id: str) -> e.Event:
    match event:
        case e.ExecutionStarted():
            return msgspec.structs.replace(event, execution_id=execution_id)
        case e.TurnStarted():
            return msgspec.structs.replace(event, epoch=0)  # of a lease that another execution ran under
        case _:
            return event
