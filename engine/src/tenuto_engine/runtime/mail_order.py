"""Which unread messages the next turn of an instance takes, and in which order."""

from __future__ import annotations

from typing import Final

from tenuto_engine.core.decide import CONTROL
from tenuto_engine.core.events import ExecutionStarted, ExecutionSuspended, ExecutionTerminated
from tenuto_engine.core.limits import Limits
from tenuto_engine.core.status import Hold
from tenuto_engine.runtime.instance import LiveInstance, Mail

# They bound commit and work item, far below the limit of a stream message. A larger backlog takes several turns.
MAX_TURN_MAIL: Final = 400
MAX_TURN_BYTES: Final = 8 << 20


def mail_of_turn(instance: LiveInstance, limits: Limits, *, now_ms: int) -> list[Mail]:
    """The messages that the next turn of an instance may take, in order: what one commit can record and remove."""
    unread = _in_order(instance.mail, limits)
    if instance.open_tail:
        # A suspension is recorded in a turn of its own, so it waits until the open one is recorded whole.
        unread = [m for m in unread if not isinstance(m.event, ExecutionSuspended)]
    if instance.body.scheduled_at_ms and not instance.state.name:
        unread = _without_early_start(unread, now_ms)
    return unread


def early_by_ms(instance: LiveInstance, *, now_ms: int) -> int:
    """How long the start of an instance must still wait although nothing holds it; 0 where it need not.

    A suspension has ended its delay, or its reminder has fired by the store's clock, a little ahead of the estimate: no
    message will come when it is time.
    """
    if instance.state.name or instance.state.hold is not Hold.NONE:
        return 0
    return max(0, instance.body.scheduled_at_ms - now_ms)


def is_for_another(mail: Mail, instance: LiveInstance) -> bool:
    """Whether a message means another execution, or another life under the same id."""
    if mail.execution_id and mail.execution_id != instance.state.execution_id:
        return True
    event = mail.event
    return isinstance(event, ExecutionTerminated) and event.start_id not in ("", instance.start_id)


def _without_early_start(unread: list[Mail], latest_ms: int) -> list[Mail]:
    """A start that was scheduled for later waits for its reminder, also when a suspension ended its delay.

    Nothing else means anything before it, but control.
    """
    if any(isinstance(m.event, ExecutionStarted) and m.event.scheduled_at_ms > latest_ms for m in unread):
        control = [m for m in unread if isinstance(m.event, CONTROL)]
        return unread if any(isinstance(m.event, ExecutionTerminated) for m in control) else control
    return unread


def _in_order(mail: list[Mail], limits: Limits) -> list[Mail]:
    """All messages that fit, in order; control first where there is any, because it may be far behind."""
    if len(mail) == 1:
        return mail
    ordered = sorted(mail, key=Mail.order)
    count = _fitting(ordered, limits)
    if count == len(ordered):
        return ordered
    control = [m for m in ordered if isinstance(m.event, (*CONTROL, ExecutionStarted))]
    has_control = any(isinstance(m.event, CONTROL) for m in control)
    return control if has_control else ordered[:count]


def _fitting(ordered: list[Mail], limits: Limits) -> int:
    """How many of the first messages fit into one turn; at least one does."""
    size = 0
    most = max(1, min(MAX_TURN_MAIL, limits.commit_records - 1))  # one record more begins the turn
    for count, mail in enumerate(ordered[:most]):
        size += len(mail.raw)
        if count and size > min(MAX_TURN_BYTES, limits.commit_bytes):
            return count
    return min(len(ordered), most)
