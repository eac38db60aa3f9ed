"""Final results of activity calls: appended to the instance's inbox under no lease, whoever owns the shard.

Where this engine owns it, the instance goes on with the result at once, while it is being stored (see `turns`).
The success of any attempt closes a call; a failure counts only for the current attempt; all else is counted and
ignored.
"""

from __future__ import annotations

from collections.abc import Callable

from tenuto_engine.codec.events import encode_event
from tenuto_engine.core.events import ActivityCompleted, ActivityFailed, Failure
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.ports.operations import Append
from tenuto_engine.ports.outcomes import Appended, Outcome, Refused
from tenuto_engine.ports.records import ActivityKey
from tenuto_engine.runtime.births import message_of
from tenuto_engine.runtime.call import Call
from tenuto_engine.runtime.committer import Committer
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance, Mail, Phase
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.tracing import sampled_trace_id
from tenuto_engine.runtime.turns import Turns

TOO_MANY_DELIVERIES = "ActivityDeliveriesExhausted"
ANSWERED = "another run of this activity has answered"
Result = ActivityCompleted | ActivityFailed


def nothing() -> None:
    """Nobody waits for it."""


class Results:
    """Stores results and passes them on; `storing` counts those that the store has not answered yet."""

    def __init__(self, context: Context, committer: Committer, turns: Turns) -> None:
        self._context = context
        self._committer = committer
        self._turns = turns
        self.storing = 0
        self.shard_owned: Callable[[int], Shard | None]
        self.deliver: Callable[[Shard, str, int], None]
        self.closed: Callable[[int, ActivityKey, str], None]
        self.still_open: Callable[[Call], None]

    def close(
        self,
        key: ActivityKey,
        event: Result,
        *,
        call: Call | None,
        stored: Callable[[], None] = nothing,
        reason: str = ANSWERED,
    ) -> None:
        """Append the final result, and let the instance go on with it meanwhile.

        `stored`: called once the store has answered. `reason`: told to whoever still runs the call.
        """
        raw = encode_event(event)
        number = call.number if call is not None else shard_of(key.instance_id, self._context.settings.shards)
        is_success = isinstance(event, ActivityCompleted)
        message = message_of(
            raw,
            message_id=f"{key.execution_id}/{key.event_id}/{event.attempt}",
            at_ms=self._context.clock.now_ms(),
            execution_id=key.execution_id,
        )
        operation = Append(number, key.instance_id, message, closes=key, attempt=0 if is_success else event.attempt)
        if call is not None:
            call.is_closing = True
        instance, mail = self._offer_early(number, event, raw, key=key, call=call)

        self.storing += 1

        def answered(outcome: Outcome) -> None:
            self.storing -= 1
            self._context.faults.reach("activity:after", call.body.name if call is not None else "")
            stored()
            metrics = self._context.metrics
            if isinstance(outcome, Appended):
                self.closed(number, key, reason)
                self._count_end(event, call)
                if instance is not None and mail is not None and instance.phase is not Phase.DROPPED:
                    self._turns.confirm(instance, mail, outcome.number)
                else:
                    self._hand_to_owner(number, key.instance_id, outcome.number)
            elif isinstance(outcome, Refused):
                # A failure of a former attempt closes nothing.
                if outcome.reason != "stale_attempt":
                    self.closed(number, key, reason)
                elif call is not None:
                    call.is_closing = False
                    self.still_open(call)
                metrics.count(metrics.messages_dropped, outcome.reason)
                if instance is not None and mail is not None:
                    self._turns.refuse(instance, mail)

        self._committer.submit_until_answered(operation, answered)

    def _count_end(self, event: Result, call: Call | None) -> None:
        """A call has ended. One that another engine handed out is not known by name here."""
        name = call.body.name if call is not None else "unknown"
        handed_at_ms = call.handed_at_ms if call is not None else 0
        seconds = (self._context.clock.now_ms() - handed_at_ms) / 1000 if handed_at_ms else -1.0
        status = "completed" if isinstance(event, ActivityCompleted) else "failed"
        trace_id = sampled_trace_id(call.body.trace_parent) if call is not None else ""
        self._context.metrics.activity_ended(name, status, event.attempt, seconds, trace_id=trace_id)

    def _offer_early(
        self, number: int, event: Result, raw: bytes, *, key: ActivityKey, call: Call | None
    ) -> tuple[LiveInstance | None, Mail | None]:
        """Put the result into the live instance's memory before it is stored, if this engine owns it."""
        shard = self.shard_owned(number)
        instance = shard.live.get(key.instance_id) if shard is not None else None
        if instance is None or call is None or instance.phase is Phase.LOADING:
            return None, None
        if instance.state.execution_id != key.execution_id or key.event_id not in instance.state.activities:
            return None, None
        mail = Mail(event, raw, number=None, at_ms=self._context.clock.now_ms(), execution_id=key.execution_id)
        self._turns.deliver(instance, mail)
        return instance, mail

    def _hand_to_owner(self, number: int, instance_id: str, message_number: int) -> None:
        shard = self.shard_owned(number)
        if shard is not None:
            self.deliver(shard, instance_id, message_number)


def exhausted(call: Call) -> ActivityFailed:
    """How a call fails that was handed out too often without an answer."""
    text = (
        f"activity '{call.body.name}' of instance '{call.key.instance_id}' was delivered {call.unanswered} times "
        f"and its worker vanished each time; the limit max_deliveries is reached"
    )
    return ActivityFailed(call.key.event_id, Failure(TOO_MANY_DELIVERIES, text, non_retryable=True), call.attempt)
