"""Turns that were not answered in time: which of them failed, and which only wait behind it.

A worker runs turns one after another in the order in which they reached it. So of those it does not answer it is at the
first one, and that one counts as failed. The others had no chance: they are taken from it, and it gets no more until
it answers anything.
"""

from __future__ import annotations

from tenuto_engine.runtime import turn_metrics
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance, Phase, Turn
from tenuto_engine.runtime.workers import WorkerSession


def take(session: WorkerSession, context: Context) -> tuple[list[LiveInstance], list[LiveInstance]]:
    """Take from a worker the turn it is at where that is overdue, and all behind it.

    Returns the instances whose turn failed, and those whose turn is to be given to another worker.
    """
    limit = context.monotonic() - context.settings.turn_timeout_seconds
    held = [(instance, turn) for instance in session.turns.values() if (turn := _at(session, instance)) is not None]
    at_worker = [(instance, turn) for instance, turn in held if turn.reached_at]
    first = min(at_worker, key=lambda pair: pair[1].reached_at, default=None)
    failed, stuck = list[LiveInstance](), list[LiveInstance]()
    if first is not None and first[1].reached_at < limit:
        session.blocked = True
        failed.append(first[0])
        stuck.extend(instance for instance, _ in held if instance is not first[0])
    else:
        # Their history could not be read in time: no fault of the worker.
        failed.extend(instance for instance, turn in held if not turn.reached_at and turn.sent_at < limit)
    for instance in stuck:
        session.unsend(instance.id)
        _withdraw(session, instance, context)
    for instance in failed:
        # Not unsent: the worker must have something to answer, or it would count as blocked for ever.
        _withdraw(session, instance, context)
        turn_metrics.turn_timed_out(context)
    return failed, stuck


def _at(session: WorkerSession, instance: LiveInstance) -> Turn | None:
    """The turn of an instance that this worker was given and has not answered."""
    turn = instance.turn
    return turn if turn is not None and turn.session is session and instance.phase is Phase.TURN else None


def _withdraw(session: WorkerSession, instance: LiveInstance, context: Context) -> None:
    turn = instance.turn
    assert turn is not None
    session.turns.pop(instance.id, None)
    session.forget(instance.id, instance.state.execution_id)
    # An answer to the turn as this worker has it must not count as one to the turn as it is given again.
    turn.commit_id, turn.session = context.new_commit_id(), None
    instance.worker = None
