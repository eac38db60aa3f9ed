"""What must hold after every operation of the store, judged from the stream of operations and the records they left.

A shadow of the store is kept from the operations alone: which token was granted last, each history so far, each message
ever appended, each open call. An operation that the store accepted must fit it; what the store holds afterwards must
equal it. The shadow follows a store that goes back by reading its journal again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from simulation.folds import Fold, Violation
from simulation.network import Entry, Server
from tenuto_engine.codec.events import decode_event
from tenuto_engine.codec.records import decode_activity, decode_envelope, decode_inbox, decode_metadata
from tenuto_engine.core import events as e
from tenuto_engine.core.status import TERMINAL, Hold
from tenuto_engine.ports import operations as o
from tenuto_engine.ports.outcomes import Appended, Committed, Created, Delivered, Done, Fenced, Outcome, Refused
from tenuto_engine.ports.records import ActivityKey, Head, Message, NewInstance, ReminderKey
from tenuto_engine.runtime.turn_commit import RETENTION_REMINDER
from tenuto_engine.storage.memory.state import LeaseRecord

_CLOSING = e.ActivityCompleted | e.ActivityFailed
_CONTROL = e.ExecutionTerminated | e.ExecutionSuspended | e.ExecutionResumed | e.WokenUp
_RECEIVED = (
    e.ExecutionStarted
    | e.ActivityCompleted
    | e.ActivityFailed
    | e.TimerFired
    | e.EventRaised
    | e.ChildCompleted
    | e.ChildFailed
    | e.ExecutionSuspended
    | e.ExecutionResumed
    | e.ExecutionTerminated
)
# A retention is judged by the owner's estimate of the store's clock, which a late answer or a set clock spoils.
_RETENTION_MS = 10_000


class _Call(NamedTuple):
    """An open call as its entry says."""

    attempt: int
    revision: int
    claim: str


class Life:
    """One life of an instance id, from its creation to its purge or replacement."""

    def __init__(self, new: NewInstance, at_ms: int) -> None:
        self.head: Head = new.head
        self.start_id = new.head.start_id
        self.metadata = new.metadata
        self.created_ms = at_ms
        self.name = decode_metadata(new.metadata).name
        self.parent = decode_metadata(new.metadata).parent
        self.inbox: dict[int, tuple[str, e.Event, bytes]] = {}
        self.next_number = 0
        self.message_ids: set[str] = set()
        self.history: list[bytes] = []
        self.fold = Fold(new.instance_id)
        self.executions = [new.head.execution_id]
        self.retention_ms: int | None = None
        self.ended_ms = 0
        self.events_taken: list[e.EventRaised] = []


class Watch:
    """See the module. `fenced`: writes that were refused; without any, a run says nothing about fencing."""

    def __init__(self, server: Server, *, retention: Callable[[bool], int], may_purge: Callable[[str], bool]) -> None:
        self._server = server
        self._retention = retention
        self._may_purge = may_purge
        self.fenced = 0
        self.operations: Counter[str] = Counter()
        # Which machine an engine id was given to.
        self.engines: dict[str, str] = {}
        self._replaying = False
        self._engine = ""
        self.ended: dict[str, Life] = {}
        self._forget()
        server.on_entry = self.take
        server.on_going_back = self.go_back

    def _forget(self) -> None:
        self.leases: dict[tuple[int, str], LeaseRecord] = {}
        self.lives: dict[str, Life] = {}
        # Start ids, and when the instance that they made was removed.
        self.starts: dict[str, float] = {}
        self.commits: set[str] = set()
        self.calls: dict[ActivityKey, _Call] = {}
        self.scheduled: set[ActivityKey] = set()
        self.reminders: dict[ReminderKey, int] = {}
        self.outbox: dict[tuple[int, int], int] = {}
        self.taken_from: dict[tuple[int, int], int] = {}
        self.seen: set[str] = set()
        self.gone: dict[str, Life] = {}
        self._at_ms = self._latest_ms = 0

    def go_back(self, length: int) -> None:
        """The store lost its last moments: so does the shadow."""
        self._forget()
        self._replaying = True
        for entry in self._server.journal[:length]:
            self._note(entry)
        self._replaying = False

    def take(self, entry: Entry) -> None:
        """One more line of the journal. Raises Violation."""
        self._note(entry)
        if entry.operation is not None:
            self._compare(entry.operation)

    def _note(self, entry: Entry) -> None:
        self._at_ms, self._engine = entry.at_ms, entry.engine
        self._latest_ms = max(self._latest_ms, entry.at_ms)
        if entry.leases is not None:
            self._leases_changed(entry.leases)
        if entry.operation is None or entry.outcome is None:
            return
        operation, outcome = entry.operation, entry.outcome
        self.operations[f"{type(operation).__name__} {type(outcome).__name__}"] += 1
        match operation, outcome:
            case _, Fenced():
                self.fenced += 1
            case o.Create(), Created():
                self._created(operation.instance)
            case o.Append(), Appended() if outcome.number >= 0:
                self._appended(operation.instance_id, operation.message, outcome.number, closes=operation.closes)
            case o.Commit(), Committed() if not outcome.duplicate:
                self._owned(operation.shard, operation.lease_version, operation.token, "commit")
                self._committed(operation, outcome)
            case o.FireReminder(), Appended() | Refused():
                self._owned(operation.shard, operation.lease_version, operation.token, "reminder")
                self._fired(operation, outcome)
            case o.DropReminder(), Done():
                self._owned(operation.shard, operation.lease_version, operation.token, "reminder")
                self.reminders.pop(operation.key, None)
            case o.ReplaceActivity(), Done():
                self._replaced(operation)
            case o.Purge(), Done():
                self._purged(operation)
            case o.Deliver(), Delivered():
                self._delivered(operation, outcome)
            case o.RemoveOutbox(), Done():
                self._outbox_removed(operation)
            case _:
                pass

    # -- leases -------------------------------------------------------------------------------------------------------

    def _leases_changed(self, leases: dict[tuple[int, str], LeaseRecord]) -> None:
        for key, new in leases.items():
            old = self.leases.get(key, LeaseRecord())
            if new.epoch < old.epoch:
                raise Violation("I3", f"the epoch of shard {key[0]} fell from {old.epoch} to {new.epoch}")
            if new.token != old.token and new.token:
                if new.epoch <= old.epoch:
                    raise Violation("I3", f"shard {key[0]} was granted again under the same epoch {new.epoch}")
                if old.owner not in {"", new.owner} and old.expires_at_ms > self._at_ms:
                    raise Violation("I4", f"shard {key[0]} was granted before its owner's lease ran out")
        self.leases = leases

    def _owned(self, shard: int, version: str, token: str, what: str) -> None:
        lease = self.leases.get((shard, version))
        if lease is None or not token or lease.token != token:
            raise Violation("I3", f"a {what} of a former owner of shard {shard} was accepted")

    # -- lives --------------------------------------------------------------------------------------------------------

    def _life(self, instance_id: str, what: str) -> Life:
        life = self.lives.get(instance_id)
        if life is None:
            raise Violation("I2", f"{what} for '{instance_id}', which does not exist")
        return life

    def _created(self, new: NewInstance) -> None:
        former = self.lives.get(new.instance_id)
        if former is not None and former.head.status not in TERMINAL:
            raise Violation("I9", f"'{new.instance_id}' was created while it was running")
        if self.starts.get(new.head.start_id, -math.inf) + self._server.window_ms > self._at_ms:
            raise Violation("I9", f"the start {new.head.start_id} of '{new.instance_id}' was taken twice")
        if former is not None:
            self.starts[former.start_id] = self._at_ms
        if new.head.start_id:
            self.starts[new.head.start_id] = math.inf
        life = Life(new, self._at_ms)
        self._check_parent(new.instance_id, life)
        for raw in new.history:
            life.fold.take(decode_event(raw), self._at_ms)
            life.history.append(raw)
        self.lives[new.instance_id] = life
        for number, message in enumerate(new.messages):
            self._appended(new.instance_id, message, number, closes=None)
        self.reminders.update({reminder.key: reminder.due_at_ms for reminder in new.reminders})

    def _check_parent(self, instance_id: str, life: Life) -> None:
        parent = self.lives.get(life.parent.instance_id) if life.parent is not None else None
        if parent is None or life.parent is None or parent.head.execution_id != life.parent.execution_id:
            return
        for event in parent.fold.events:
            if isinstance(event, e.ChildCreated) and event.child_execution_id == life.head.execution_id:
                return
        raise Violation("I8", f"the child '{instance_id}' was started, and its parent's history does not say so")

    def _appended(self, instance_id: str, message: Message, number: int, *, closes: ActivityKey | None) -> None:
        life = self._life(instance_id, "a message")
        if life.head.status in TERMINAL:
            raise Violation("I1", f"a message was taken for '{instance_id}', which is over")
        if message.execution_id and message.execution_id != life.head.execution_id:
            raise Violation("I11", f"a message for a former execution of '{instance_id}' was taken")
        if number != life.next_number:
            raise Violation("I2", f"message {number} of '{instance_id}' was numbered, expected {life.next_number}")
        life.next_number = number + 1
        body = decode_inbox(message.body)
        event = decode_event(body.event)
        # That a child's id is taken may be told again; the core takes such a result once.
        if body.id in life.message_ids and not body.id.endswith("/refused"):
            raise Violation("I5", f"the message {body.id} ({type(event).__name__}) came to '{instance_id}' twice")
        life.message_ids.add(body.id)
        if message.remember:
            self.seen.add(message.id)
        life.inbox[number] = (body.id, event, body.event)
        if isinstance(event, _CLOSING):
            self._call_closed(life, instance_id, event, closes)

    def _call_closed(self, life: Life, instance_id: str, event: Any, closes: ActivityKey | None) -> None:
        key = ActivityKey(event.event_id, life.head.execution_id, instance_id)
        call = self.calls.pop(key, None)
        if closes != key or call is None:
            raise Violation("I7", f"a result of call {event.event_id} of '{instance_id}', which is not open")
        if isinstance(event, e.ActivityFailed) and event.attempt != call.attempt:
            raise Violation(
                "I7", f"attempt {event.attempt} of call {event.event_id} failed it, current is {call.attempt}"
            )

    # -- commits ------------------------------------------------------------------------------------------------------

    def _committed(self, commit: o.Commit, outcome: Committed) -> None:
        instance_id, head = commit.instance_id, commit.head
        life = self._life(instance_id, "a commit")
        base = (commit.base_execution_id, commit.base_commit_id, commit.base_length)
        if life.head.status in TERMINAL:
            raise Violation("I1", f"'{instance_id}' is over and was committed again")
        if base != (life.head.execution_id, life.head.commit_id, len(life.history)):
            raise Violation("I2", f"a commit of '{instance_id}' builds on {base}, which is not what is stored")
        if head.commit_id in self.commits:
            raise Violation("I2", f"the commit {head.commit_id} was applied twice")
        self.commits.add(head.commit_id)
        consumed = [self._consume(life, instance_id, number) for number in commit.consumed]
        self._record(life, commit, consumed)
        life.head, life.metadata = head, commit.metadata
        self._entries(commit)
        for send, number in zip(commit.outbox, outcome.outbox, strict=True):
            self.outbox[commit.shard, number] = send.target_shard
        if head.status in TERMINAL:
            life.ended_ms = self._at_ms
            self.ended[instance_id] = life
            life.retention_ms = self._retention_of(commit)
        for (target, message), result in zip(commit.appends, outcome.appended, strict=True):
            if isinstance(result, Appended) and result.number >= 0:
                self._appended(target, message, result.number, closes=None)

    def _consume(self, life: Life, instance_id: str, number: int) -> tuple[e.Event, bytes]:
        message = life.inbox.pop(number, None)
        if message is None:
            raise Violation("I5", f"a commit of '{instance_id}' consumed message {number}, which is not there")
        if isinstance(message[1], e.EventRaised):
            life.events_taken.append(message[1])
        return message[1], message[2]

    def _record(self, life: Life, commit: o.Commit, consumed: Sequence[tuple[e.Event, bytes]]) -> None:
        if commit.renew:
            if commit.head.execution_id in life.executions:
                raise Violation("I11", f"'{commit.instance_id}' began the execution {commit.head.execution_id} twice")
            life.executions.append(commit.head.execution_id)
            life.history, life.fold = [], Fold(commit.instance_id)
        available = Counter(raw for _, raw in consumed)
        for raw in commit.history:
            event = decode_event(raw)
            if isinstance(event, _RECEIVED):
                available[raw] -= 1
                if available[raw] < 0:
                    text = f"{type(event).__name__} in the history of '{commit.instance_id}' came from no message"
                    raise Violation("I5", text)
            # A clock that was set back since the timer fired makes it no earlier.
            life.fold.take(event, self._latest_ms)
            life.history.append(raw)
        if not commit.renew and commit.head.status not in TERMINAL:
            for event, raw in consumed:
                if isinstance(event, e.EventRaised) and available[raw] > 0:
                    raise Violation("I5", f"an event of '{commit.instance_id}' was consumed and not recorded")
        self._check_children(commit)

    def _check_children(self, commit: o.Commit) -> None:
        """Whatever a history says was started or sent is on its way in the same commit."""
        started = {e_.child_execution_id for e_ in map(decode_event, commit.history) if isinstance(e_, e.ChildCreated)}
        if not started:
            return
        for send in commit.outbox:
            envelope = decode_envelope(send.body)
            if envelope.start:
                started.discard(envelope.id.removesuffix("/start"))
        if started and commit.head.status not in TERMINAL:
            raise Violation("I8", f"'{commit.instance_id}' recorded a child that is not in the outbox")

    def _entries(self, commit: o.Commit) -> None:
        for key in commit.activities_removed:
            self.calls.pop(key, None)
        for reminder in commit.reminders_removed:
            self.reminders.pop(reminder, None)
        for record in commit.activities_set:
            self.calls[record.key] = _Call(record.attempt, record.revision, decode_activity(record.data).claim)
            self.scheduled.add(record.key)
        for reminder_set in commit.reminders_set:
            self.reminders[reminder_set.key] = reminder_set.due_at_ms

    def _retention_of(self, commit: o.Commit) -> int:
        due = [r.due_at_ms for r in commit.reminders_set if r.key.kind == RETENTION_REMINDER]
        if len(due) != 1:
            raise Violation("I15", f"'{commit.instance_id}' ended without a reminder for its retention")
        keep_ms = self._retention(commit.head.status.name == "COMPLETED")
        # The owner's estimate of the store's clock may be a little behind, and jumps with it.
        if due[0] < commit.ready_at_ms + keep_ms - 1:
            raise Violation("I15", f"the retention of '{commit.instance_id}' is shorter than set")
        return due[0]

    # -- what is found by time ----------------------------------------------------------------------------------------

    def _fired(self, operation: o.FireReminder, outcome: Outcome) -> None:
        if isinstance(outcome, Refused) and not outcome.dropped:
            return
        due_ms = self.reminders.pop(operation.key, None)
        if due_ms is None:
            raise Violation("I6", f"the reminder {operation.key} fired, and was not set")
        if due_ms > self._at_ms:
            raise Violation("I6", f"the reminder {operation.key} fired {due_ms - self._at_ms} ms early")
        if isinstance(outcome, Appended) and outcome.number >= 0:
            self._appended(operation.key.instance_id, operation.message, outcome.number, closes=None)

    def _replaced(self, operation: o.ReplaceActivity) -> None:
        record = operation.record
        call = self.calls.get(record.key)
        if call is None:
            raise Violation("I7", f"the closed call {record.key} was changed")
        attempt, revision = call.attempt, call.revision
        if operation.expected_revision != revision or record.revision != revision + 1:
            raise Violation("I7", f"the call {record.key} was changed over another change")
        if record.attempt not in {attempt, attempt + 1}:
            raise Violation("I7", f"the call {record.key} went from attempt {attempt} to {record.attempt}")
        body = decode_activity(record.data)
        if body.retry is not None and body.retry.max_attempts and record.attempt > body.retry.max_attempts:
            raise Violation("I7", f"the call {record.key} is tried {record.attempt} times")
        if record.attempt == attempt and body.claim != call.claim:
            self._check_claim(record.key, call.claim)
        self.calls[record.key] = _Call(record.attempt, record.revision, body.claim)

    def _check_claim(self, key: ActivityKey, former: str) -> None:
        """A claim holds while its engine is a member: nobody else takes it. Its own machine may give it up."""
        present = self._server.state.members.get(former)
        if present is None or self._replaying or self.engines.get(former) == self._engine:
            return
        if present[1] > self._at_ms:
            raise Violation("I7", f"the call {key} was taken from {self.engines.get(former)}, which is alive")

    def _purged(self, operation: o.Purge) -> None:
        life = self._life(operation.instance_id, "a purge")
        if life.head.status not in TERMINAL:
            raise Violation("I15", f"'{operation.instance_id}' was purged while it was running")
        if not self._may_purge(operation.instance_id):
            due = self.reminders.get(
                ReminderKey(RETENTION_REMINDER, 0, life.head.execution_id, operation.instance_id), life.retention_ms
            )
            if due is None or due > self._at_ms + _RETENTION_MS:
                raise Violation("I15", f"'{operation.instance_id}' was purged before its retention ran out")
        self.gone[operation.instance_id] = self.lives.pop(operation.instance_id)
        self.starts[life.start_id] = self._at_ms
        for key in [k for k in self.reminders if k.instance_id == operation.instance_id]:
            del self.reminders[key]
        for call in [k for k in self.calls if k.instance_id == operation.instance_id]:
            del self.calls[call]

    def _delivered(self, operation: o.Deliver, outcome: Delivered) -> None:
        pair = (operation.shard, operation.source_shard)
        for delivery, result in zip(operation.deliveries, outcome.outcomes, strict=True):
            accepted = isinstance(result, Created) or (isinstance(result, Appended) and result.number >= 0)
            if accepted and delivery.number <= self.taken_from.get(pair, 0):
                raise Violation("I8", f"the message {delivery.number} of shard {pair[1]} was taken twice")
            self.taken_from[pair] = max(delivery.number, self.taken_from.get(pair, 0))
            if isinstance(result, Created):
                assert delivery.create is not None
                self._created(delivery.create)
            elif isinstance(result, Appended) and result.number >= 0:
                assert delivery.message is not None
                self._appended(delivery.instance_id, delivery.message, result.number, closes=None)

    def _outbox_removed(self, operation: o.RemoveOutbox) -> None:
        for number in operation.numbers:
            target = self.outbox.pop((operation.shard, number), None)
            if target is not None and self.taken_from.get((target, operation.shard), 0) < number:
                raise Violation("I8", f"the message {number} of shard {operation.shard} was forgotten undelivered")

    # -- the store against the shadow ---------------------------------------------------------------------------------

    def _compare(self, operation: o.Operation) -> None:
        """What the store holds of the instances that an operation touched."""
        match operation:
            case o.Create():
                touched = {operation.instance.instance_id}
            case o.Append() | o.Purge():
                touched = {operation.instance_id}
            case o.Commit():
                touched = {operation.instance_id, *(target for target, _ in operation.appends)}
            case o.FireReminder() | o.DropReminder():
                touched = {operation.key.instance_id}
            case o.ReplaceActivity():
                touched = {operation.record.key.instance_id}
            case o.Deliver():
                touched = {
                    d.create.instance_id if d.create is not None else d.instance_id for d in operation.deliveries
                }
            case _:
                touched = set()
        for instance_id in touched:
            self.compare_instance(operation.shard, instance_id)

    def compare_instance(self, shard: int, instance_id: str) -> None:
        """Raises Violation where the store holds something else than the operations made."""
        stored, life = self._server.state.shards[shard].instances.get(instance_id), self.lives.get(instance_id)
        if stored is None or life is None:
            if stored is not None or life is not None:
                raise Violation("I2", f"'{instance_id}' is {'' if stored else 'not '}stored, against its operations")
            return
        if stored.history != life.history:
            raise Violation("I2", f"the history of '{instance_id}' was rewritten")
        if stored.head != life.head:
            raise Violation("I2", f"the head of '{instance_id}' is not what was committed last")
        if list(stored.inbox) != list(life.inbox) or stored.inbox_next != life.next_number:
            raise Violation("I5", f"the inbox of '{instance_id}' is {list(stored.inbox)}, expected {list(life.inbox)}")
        entries = self._server.state.shards[shard].entries[life.head.version]
        ready = instance_id in entries.ready
        unread = bool(life.inbox)
        if life.head.status in TERMINAL:
            if ready or stored.activities:
                raise Violation("I15", f"'{instance_id}' is over and still has entries")
            return
        is_due = unread or decode_metadata(life.metadata).open_turn
        if life.head.hold is Hold.NONE and is_due and not ready:
            raise Violation("I5", f"'{instance_id}' has something to do and is not marked ready")
        may_pass = any(isinstance(event, _CONTROL) for _, event, _ in life.inbox.values())
        if life.head.hold is not Hold.NONE and ready and not may_pass:
            raise Violation("L5", f"'{instance_id}' is held and marked ready for nothing")
        self._compare_calls(instance_id, life, entries.activities)

    def _compare_calls(self, instance_id: str, life: Life, stored: dict[ActivityKey, Any]) -> None:
        """Each open call has its entry, or its result in the inbox."""
        answered = {event.event_id for _, event, _ in life.inbox.values() if isinstance(event, _CLOSING)}
        for event_id in life.fold.activities:
            key = ActivityKey(event_id, life.head.execution_id, instance_id)
            if event_id not in answered and key not in stored:
                raise Violation("I7", f"the call {event_id} of '{instance_id}' is open and forgotten")
