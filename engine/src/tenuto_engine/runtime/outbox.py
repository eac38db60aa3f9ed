"""The outbox: messages for other shards, committed with the turn that sent them, delivered until the target has them.

Delivery to one target shard is in order and one batch at a time. The target takes each number once, so a delivery may
be repeated after any crash. A child whose id is taken is answered to its parent before the message is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tenuto_engine.codec.events import decode_event, encode_event
from tenuto_engine.codec.records import Envelope, decode_envelope
from tenuto_engine.core.events import ChildFailed, ExecutionStarted, Failure
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.status import TERMINAL
from tenuto_engine.ports.operations import Append, Deliver, Delivery, RemoveOutbox
from tenuto_engine.ports.outcomes import Appended, Created, Delivered, Exists, Outcome, Refused
from tenuto_engine.ports.records import NewInstance, OutboxRecord, OutboxSend
from tenuto_engine.runtime.births import message_of, new_instance
from tenuto_engine.runtime.committer import Committer
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.shard import Shard

# One delivery's bound; it keeps a target's script short.
_BATCH = 64


class Outbox:
    """Delivers the outgoing messages of all owned shards."""

    def __init__(self, context: Context, committer: Committer) -> None:
        self._context = context
        self._committer = committer
        self.read_unsent: Callable[[Shard], None]
        self.shard_owned: Callable[[int], Shard | None]
        self.deliver: Callable[[Shard, str, int], None]
        self.born: Callable[[Shard, NewInstance], None]

    def committed(self, shard: Shard, sends: Sequence[OutboxSend], numbers: Sequence[int]) -> None:
        """Deliver what a commit has written.

        An engine of another version numbers its messages in the same shard, and what it has not delivered yet must go
        first: a target ignores numbers below the highest it has taken. So the store is asked while there is one, while
        one may just be coming, and after a pause in which one may have come unseen.
        """
        context = self._context
        is_sure = context.may_act() and context.knows_members()
        if not is_sure or context.membership.is_mixed(shard.lease.version):
            shard.outbox_read = False
            self.read_unsent(shard)
            return
        records = [OutboxRecord(number, s.target_shard, s.body) for s, number in zip(sends, numbers, strict=True)]
        self.take(shard, records)

    def take(self, shard: Shard, records: Iterable[OutboxRecord]) -> None:
        """Queue stored messages, in the order of their numbers, and deliver them."""
        targets: set[int] = set()
        for record in records:
            shard.outbox.setdefault(record.target_shard, []).append(record)
            targets.add(record.target_shard)
        for target in targets:
            self._deliver_next(shard, target)

    def taken_over(self, shard: Shard, records: Iterable[OutboxRecord]) -> None:
        """Begin to deliver for a newly owned shard, with all that is unsent: what it has sent itself comes last.

        A target ignores numbers below the highest it has taken, so nothing may go before an earlier owner's messages.
        """
        known = {record.number for queue in shard.outbox.values() for record in queue}
        for record in records:
            if record.number not in known:
                shard.outbox.setdefault(record.target_shard, []).append(record)
        shard.outbox_read = True
        for target, queue in shard.outbox.items():
            queue.sort(key=lambda record: record.number)
            self._deliver_next(shard, target)

    def _deliver_next(self, shard: Shard, target: int) -> None:
        """Deliver the oldest messages for one target, unless a delivery to it is under way."""
        queue = shard.outbox.get(target)
        if not queue or target in shard.delivering or not shard.alive or not shard.outbox_read:
            return
        batch = queue[:_BATCH]
        envelopes = [decode_envelope(record.body) for record in batch]
        deliveries = [self._delivery(r.number, e) for r, e in zip(batch, envelopes, strict=True)]
        shard.delivering.add(target)
        operation = Deliver(target, shard.number, deliveries)

        def answered(outcome: Outcome) -> None:
            if not shard.alive:
                return
            assert isinstance(outcome, Delivered)
            self._taken(shard, target, list(zip(batch, envelopes, deliveries, outcome.outcomes, strict=True)))

        self._committer.submit_until_answered(operation, answered)

    def _delivery(self, number: int, envelope: Envelope) -> Delivery:
        if envelope.start:
            started = decode_event(envelope.event)
            assert isinstance(started, ExecutionStarted)
            born = new_instance(
                started,
                start_id=envelope.id,
                now_ms=self._context.clock.now_ms(),
                replace=TERMINAL,
                started_raw=envelope.event,
            )
            return Delivery(number, create=born)
        message = message_of(
            envelope.event,
            message_id=envelope.id,
            at_ms=envelope.at_ms,
            execution_id=envelope.execution_id,
            control=envelope.control,
        )
        return Delivery(number, instance_id=envelope.instance_id, message=message)

    def _taken(
        self,
        shard: Shard,
        target: int,
        answers: Sequence[tuple[OutboxRecord, Envelope, Delivery, Appended | Refused | Created | Exists]],
    ) -> None:
        """The target has answered: pass on what arrived, answer what was refused, forget the rest."""
        owned = self.shard_owned(target)
        done: list[int] = []
        for record, envelope, delivery, result in answers:
            match result:
                case Exists() if not result.duplicate and envelope.start:
                    self._refuse_child(shard, record, envelope)
                    continue
                case Created() if delivery.create is not None:
                    self._context.metrics.workflow_started(delivery.create.index.name)
                    if owned is not None:
                        self.born(owned, delivery.create)
                case Appended() if owned is not None and result.number >= 0:
                    self.deliver(owned, envelope.instance_id, result.number)
                case Refused():
                    self._context.metrics.count(self._context.metrics.messages_dropped, result.reason)
                case _:
                    pass
            done.append(record.number)
        queue = shard.outbox[target]
        taken = {record.number for record, _, _, _ in answers}
        if all(record.number in taken for record in queue[: len(answers)]):
            del queue[: len(answers)]
        else:  # another version's messages, read meanwhile, stand before them
            queue[:] = [record for record in queue if record.number not in taken]
        shard.delivering.discard(target)
        if done:
            self._committer.submit_until_answered(RemoveOutbox(shard.number, done), lambda _: None)
        self._deliver_next(shard, target)

    def _refuse_child(self, shard: Shard, record: OutboxRecord, envelope: Envelope) -> None:
        """Tell the parent, in this shard, that its child's id is taken; only then is the message forgotten."""
        started = decode_event(envelope.event)
        assert isinstance(started, ExecutionStarted)
        parent = started.parent
        assert parent is not None
        text = (
            f"child workflow '{started.name}' was not started: an instance '{started.instance_id}' is already running; "
            "give the child another instance_id"
        )
        event = ChildFailed(parent.event_id, Failure("InstanceAlreadyExists", text, non_retryable=True))
        message = message_of(
            encode_event(event),
            message_id=f"{envelope.id}/refused",
            at_ms=self._context.clock.now_ms(),
            execution_id=parent.execution_id,
        )

        def told(outcome: Outcome) -> None:
            if isinstance(outcome, Appended) and shard.alive:
                self.deliver(shard, parent.instance_id, outcome.number)
            self._committer.submit_until_answered(RemoveOutbox(shard.number, [record.number]), lambda _: None)

        assert shard_of(parent.instance_id, self._context.settings.shards) == shard.number
        self._committer.submit_until_answered(Append(shard.number, parent.instance_id, message), told)
