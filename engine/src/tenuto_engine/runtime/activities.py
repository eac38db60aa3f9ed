"""Activities: hand open calls to workers, store their results, retry failures, watch deadlines.

The commit that schedules a call has written its entry; the append that stores its final result removes it. Between the
two, the entry is the truth: the attempt, the deliveries, when it must be looked at. A result is handed to the
instance at once and confirmed later (see `turns`); it is acknowledged to the worker once the store has it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence

import msgspec
import structlog

from tenuto_engine.codec.events import UndecodableError, decode_failure, encode_event
from tenuto_engine.codec.records import ActivityBody, encode_record
from tenuto_engine.core.events import ActivityCompleted, ActivityFailed, Failure
from tenuto_engine.core.failures import bounded
from tenuto_engine.core.retry import next_delay_ms
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.ports.inbound import ActivityAnswer, ActivityItem
from tenuto_engine.ports.operations import Append, ReplaceActivity
from tenuto_engine.ports.outcomes import Appended, Done, Outcome, Refused
from tenuto_engine.ports.records import ActivityKey, ActivityRecord
from tenuto_engine.runtime.births import message_of
from tenuto_engine.runtime.committer import Committer
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance, Mail, Phase
from tenuto_engine.runtime.log_fields import about_call
from tenuto_engine.runtime.shard import Entry, Shard
from tenuto_engine.runtime.tracing import sampled_trace_id
from tenuto_engine.runtime.turn_commit import NEVER_MS, Outbound
from tenuto_engine.runtime.turns import Turns
from tenuto_engine.runtime.workers import Workers, WorkerSession

_log = structlog.get_logger(__name__)

TIMEOUT = "ActivityTimeout"
TOO_MANY_DELIVERIES = "ActivityDeliveriesExhausted"
_COMPACT_FROM = 1_024


def _nothing() -> None:
    """Nobody waits for it."""


def token_of(key: ActivityKey, *, attempt: int, deliveries: int) -> str:
    """The completion token of one delivery: any engine can read it, so a result outlives the engine that asked."""
    return f"{key.event_id}.{attempt}.{deliveries}.{key.execution_id}.{key.instance_id}"


def parse_token(token: str) -> tuple[ActivityKey, int] | None:
    """The call and attempt a token names, or None for anything that is no token."""
    parts = token.split(".", 4)
    if len(parts) != 5 or len(parts[0]) > 10 or len(parts[1]) > 10:
        return None
    if not (parts[0].isdecimal() and parts[1].isdecimal()):
        return None
    return ActivityKey(int(parts[0]), parts[3], parts[4]), int(parts[1])


class Activities:
    """All open calls of the owned shards."""

    def __init__(self, context: Context, committer: Committer, workers: Workers, turns: Turns) -> None:
        self._context = context
        self._committer = committer
        self._workers = workers
        self._turns = turns
        self._watch: list[tuple[int, int, Entry, int]] = []
        self._compact_at = _COMPACT_FROM
        self._sequence = itertools.count()
        self.shard_owned: Callable[[int], Shard | None]
        self.deliver: Callable[[Shard, str, int], None]
        self.nudge: Callable[[], None]
        self.with_entry: Callable[[Shard, ActivityKey, Callable[[Entry | None], None]], None]
        self._early: dict[int, list[tuple[WorkerSession, ActivityAnswer]]] = {}

    # -- entries --------------------------------------------------------------------------------------------------

    def committed(self, instance: LiveInstance, records: Sequence[ActivityRecord], out: Outbound) -> None:
        """Hand out the calls that a commit scheduled, and forget those it removed."""
        shard = instance.shard
        for record, (body, payload) in zip(records, out.bodies, strict=True):
            entry = Entry(shard, record.key, body, attempt=1, revision=1, payload=payload)
            shard.entries[record.key] = entry
            self._watch_until(entry, record.look_at_ms)
            self._offer(entry)
        for key in out.activities_removed:
            gone = shard.entries.pop(key, None)
            if gone is not None and gone.session is not None:
                gone.session.runs.pop(self._token(gone), None)

    def adopt(self, entry: Entry, look_at_ms: int) -> None:
        """Take a call read from the store. One that a worker here still runs stays with it; others start over."""
        entry.shard.entries[entry.key] = entry
        token = self._token(entry)
        for session in self._workers.sessions.values():
            if token in session.announced or token in session.runs:
                session.announced.discard(token)
                session.runs[token] = entry
                entry.session = session
                self._watch_until(entry, look_at_ms)
                self._watch_run(entry)
                return
        if entry.body.claim:
            self._redeliver(entry)
        else:
            self._watch_until(entry, look_at_ms)

    def _token(self, entry: Entry) -> str:
        return token_of(entry.key, attempt=entry.attempt, deliveries=entry.body.deliveries)

    def _is_current(self, entry: Entry) -> bool:
        return entry.shard.alive and entry.shard.entries.get(entry.key) is entry

    def _offer(self, entry: Entry) -> None:
        session = self._workers.for_activity(entry.body.name)
        if session is None:
            self._workers.wait_for_activity(entry)
        else:
            self._hand_out(session, entry)

    def _hand_out(self, session: WorkerSession, entry: Entry) -> None:
        body, key, context = entry.body, entry.key, self._context
        context.faults.reach("activity:before", body.name)
        token = self._token(entry)
        entry.session = session
        session.runs[token] = entry
        session.send_activity(
            ActivityItem(
                token,
                key.instance_id,
                key.execution_id,
                key.event_id,
                body.name,
                entry.payload,
                entry.attempt,
                body.deliveries,
                body.start_to_close_ms,
                body.heartbeat_ms,
                body.workflow_name,
                context.tracing.derived(body.trace_parent, token),
            )
        )
        waited_ms = context.clock.now_ms() - body.claimed_at_ms
        entry.handed_at_ms = context.clock.now_ms()
        trace_id = sampled_trace_id(body.trace_parent)
        context.metrics.activity_started(body.name, waited_ms / 1000, trace_id=trace_id)
        self._watch_run(entry)

    def _watch_run(self, entry: Entry) -> None:
        if entry.body.start_to_close_ms:
            entry.started_at_ms = self._context.clock.now_ms()
            self._watch_until(entry, entry.started_at_ms + entry.body.start_to_close_ms)

    def session_ready(self, session: WorkerSession) -> None:
        """A worker connected or has a free slot: hand it what waited."""
        for entry in self._workers.next_activities(session):
            self._hand_out(session, entry)

    def resumed(self, session: WorkerSession, running: Sequence[str]) -> None:
        """A worker is back with activities it still runs: they stay its own instead of running again elsewhere."""
        for token in running:
            parsed = parse_token(token)
            if parsed is None:
                continue
            shard = self.shard_owned(shard_of(parsed[0].instance_id, self._context.settings.shards))
            entry = shard.entries.get(parsed[0]) if shard is not None else None
            if entry is not None and self._token(entry) == token:
                entry.session = session
                entry.queued = False
                session.runs[token] = entry
                session.announced.discard(token)

    def session_lost(self, session: WorkerSession) -> None:
        """A worker did not come back: its calls are delivered again."""
        for answers in self._early.values():
            answers[:] = [pair for pair in answers if pair[0] is not session]
        runs = list(session.runs.values())
        session.runs.clear()
        for entry in runs:
            if entry.session is session and self._is_current(entry):
                self._redeliver(entry)

    def _redeliver(self, entry: Entry) -> None:
        deliveries = entry.body.deliveries + 1
        if deliveries > self._context.settings.max_deliveries:
            text = (
                f"activity '{entry.body.name}' of instance '{entry.key.instance_id}' was delivered "
                f"{entry.body.deliveries} times and its worker vanished each time; the limit max_deliveries is reached"
            )
            self._close(
                entry,
                ActivityFailed(
                    entry.key.event_id, Failure(TOO_MANY_DELIVERIES, text, non_retryable=True), entry.attempt
                ),
            )
            return
        self._replace(
            entry, attempt=entry.attempt, claim=self._context.engine_id, deliveries=deliveries, then=self._offer
        )

    def _replace(
        self,
        entry: Entry,
        *,
        attempt: int,
        claim: str,
        deliveries: int,
        then: Callable[[Entry], None],
        look_at_ms: int = 0,
        last_failure: str = "",
        stored: Callable[[], None] = _nothing,
    ) -> None:
        """Store a changed entry (if nobody else changed it), then go on with it. `stored`: the store has answered."""
        now_ms = self._context.clock.now_ms()
        body = msgspec.structs.replace(
            entry.body,
            claim=claim,
            claimed_at_ms=now_ms if claim else entry.body.claimed_at_ms,
            deliveries=deliveries,
            last_failure=last_failure or entry.body.last_failure,
        )
        deadline = self._schedule_deadline(body)
        look_at = min(look_at_ms or NEVER_MS, deadline)
        record = ActivityRecord(entry.key, attempt, entry.revision + 1, look_at, encode_record(body))
        operation = ReplaceActivity(entry.shard.number, entry.shard.lease.version, record, entry.revision)
        entry.session = None

        def answered(outcome: Outcome) -> None:
            stored()
            if not self._is_current(entry):
                return
            if isinstance(outcome, Done):
                entry.body, entry.attempt, entry.revision = body, attempt, entry.revision + 1
                self._watch_until(entry, look_at)
                then(entry)
            else:
                # Closed, or changed by an earlier try of ours whose reply was lost: what the store says holds.
                entry.shard.entries.pop(entry.key, None)
                self.with_entry(entry.shard, entry.key, lambda _: None)

        self._committer.submit_until_answered(operation, answered)

    @staticmethod
    def _schedule_deadline(body: ActivityBody) -> int:
        return body.scheduled_at_ms + body.schedule_to_close_ms if body.schedule_to_close_ms else NEVER_MS

    # -- results --------------------------------------------------------------------------------------------------

    def answered(self, session: WorkerSession, answer: ActivityAnswer) -> None:
        """A worker answers a call: of this engine, or of one that is gone."""
        entry = session.runs.pop(answer.token, None)
        parsed = parse_token(answer.token)
        if parsed is None:
            _log.warning("a worker answered with a malformed token", worker=session.id)
            session.acknowledge(answer.token)
            return
        key, attempt = parsed
        if entry is not None and self._context.tracing.is_recording:
            self._trace(entry, answer, attempt)
        shard = self.shard_owned(shard_of(key.instance_id, self._context.settings.shards))
        if entry is None or not self._is_current(entry):
            entry = shard.entries.get(key) if shard is not None else None
        if not answer.failure:
            session.announced.discard(answer.token)
        if answer.rejected:
            session.acknowledge(answer.token)
            self._rejected(session, entry)
        elif answer.failure and entry is not None:
            self._failed(session, answer, entry, key=key, attempt=attempt)
        elif answer.failure:
            self._failed_early(session, answer, shard, key)
        else:
            if answer.result is not None:
                self._context.metrics.payload(len(answer.result), self._context.limits.payload_bytes)
            event = ActivityCompleted(key.event_id, self._bounded(answer.result), attempt)
            if answer.result is not None and event.result is None:
                self._too_large(session, answer, entry, key=key, attempt=attempt)
            else:
                self._store(session, answer.token, event, key=key, entry=entry)
        self.session_ready(session)

    def _trace(self, entry: Entry, answer: ActivityAnswer, attempt: int) -> None:
        """An attempt has been answered: a span, below the turn that asked, around what the worker recorded of it."""
        now_ms, key = self._context.clock.now_ms(), entry.key
        self._context.tracing.record(
            f"activity {entry.body.name}",
            trace_parent=entry.body.trace_parent,
            identity=answer.token,
            end_ms=now_ms,
            seconds=(now_ms - (entry.handed_at_ms or now_ms)) / 1000,
            attributes={
                "tenuto.instance": key.instance_id,
                "tenuto.execution": key.execution_id,
                "tenuto.operation": key.event_id,
                "tenuto.attempt": attempt,
                "tenuto.activity": entry.body.name,
            },
            error="the attempt failed" if answer.failure else "",
        )

    def _bounded(self, result: bytes | None) -> bytes | None:
        return result if result is None or len(result) <= self._context.limits.payload_bytes else None

    def _too_large(
        self, session: WorkerSession, answer: ActivityAnswer, entry: Entry | None, *, key: ActivityKey, attempt: int
    ) -> None:
        text = (
            f"the result of activity {key.event_id} of instance '{key.instance_id}' has "
            f"{len(answer.result or b''):,} bytes, the limit payload_bytes is "
            f"{self._context.limits.payload_bytes:,}; store it elsewhere and return a reference"
        )
        failure = Failure("LimitExceeded", text, non_retryable=True)
        self._store(session, answer.token, ActivityFailed(key.event_id, failure, attempt), key=key, entry=entry)

    def _rejected(self, session: WorkerSession, entry: Entry | None) -> None:
        """The worker did not run it (not registered there, or draining): another one gets it."""
        if entry is None or entry.session is not session or not self._is_current(entry):
            return
        entry.session = None
        if not session.draining:
            session.activities.discard(entry.body.name)
        self._offer(entry)

    def _failed_early(
        self, session: WorkerSession, answer: ActivityAnswer, shard: Shard | None, key: ActivityKey
    ) -> None:
        """A failure whose entry is not known here yet: without it, nobody can say whether to try again."""
        if shard is not None:
            self.with_entry(shard, key, lambda entry: self._failed_late(session, answer, entry, key))
        else:
            number = shard_of(key.instance_id, self._context.settings.shards)
            self._early.setdefault(number, []).append((session, answer))

    def taken_over(self, shard: Shard) -> None:
        """The entries of a newly owned shard are read: failures that came before are decided now."""
        for session, answer in self._early.pop(shard.number, ()):
            if session.alive:  # A worker sends again on a new stream what was not acknowledged on the former.
                self.answered(session, answer)

    def _failed_late(
        self, session: WorkerSession, answer: ActivityAnswer, entry: Entry | None, key: ActivityKey
    ) -> None:
        """A failure whose entry had to be read first. Without entry the call is closed."""
        if entry is None:
            session.acknowledge(answer.token)
            return
        parsed = parse_token(answer.token)
        attempt = parsed[1] if parsed is not None else 0
        if entry.session is not None:
            entry.session.runs.pop(answer.token, None)
        self._failed(session, answer, entry, key=key, attempt=attempt)

    def _failed(
        self, session: WorkerSession, answer: ActivityAnswer, entry: Entry, *, key: ActivityKey, attempt: int
    ) -> None:
        try:
            failure = bounded(decode_failure(answer.failure))
        except UndecodableError as error:
            failure = Failure("UndecodableFailure", str(error))
        if entry.attempt != attempt:
            session.acknowledge(answer.token)
            self._context.metrics.count(self._context.metrics.messages_dropped, "stale_attempt")
            return
        if self._retry(entry, failure, stored=lambda: session.acknowledge(answer.token)):
            return
        self._store(session, answer.token, ActivityFailed(key.event_id, failure, attempt), key=key, entry=entry)

    def _retry(self, entry: Entry, failure: Failure, *, stored: Callable[[], None] = _nothing) -> bool:
        """Whether the failed attempt is tried again; arranges it, and calls `stored` once that is durable."""
        body, now_ms = entry.body, self._context.clock.now_ms()
        key = entry.key
        delay = next_delay_ms(
            body.retry,
            attempt=entry.attempt,
            elapsed_ms=now_ms - body.scheduled_at_ms,
            failure=failure,
            identity=f"{key.instance_id}/{key.execution_id}/{key.event_id}",
        )
        if delay is None or now_ms + delay >= self._schedule_deadline(body):
            return False
        self._context.metrics.activity_retries.inc()
        self._replace(
            entry,
            attempt=entry.attempt + 1,
            claim="",
            deliveries=body.deliveries,
            look_at_ms=now_ms + delay,
            last_failure=f"{failure.type}: {failure.message}"[:500],
            then=lambda _: None,
            stored=stored,
        )
        return True

    def _close(self, entry: Entry, event: ActivityFailed) -> None:
        """End a call by this engine's own decision (a deadline, too many deliveries)."""
        self._store(None, "", event, key=entry.key, entry=entry)

    def _store(
        self,
        session: WorkerSession | None,
        token: str,
        event: ActivityCompleted | ActivityFailed,
        *,
        key: ActivityKey,
        entry: Entry | None,
    ) -> None:
        """Append the final result, and let the instance go on with it meanwhile."""
        raw = encode_event(event)
        number = shard_of(key.instance_id, self._context.settings.shards)
        is_success = isinstance(event, ActivityCompleted)
        message = message_of(
            raw,
            message_id=f"{key.execution_id}/{key.event_id}/{event.attempt}",
            at_ms=self._context.clock.now_ms(),
            execution_id=key.execution_id,
        )
        operation = Append(number, key.instance_id, message, closes=key, attempt=0 if is_success else event.attempt)
        instance, mail = self._offer_early(number, event, raw, key=key, entry=entry)

        def answered(outcome: Outcome) -> None:
            self._context.faults.reach("activity:after", entry.body.name if entry is not None else "")
            if session is not None:
                session.acknowledge(token)
            self._forget(number, key, outcome)
            if isinstance(outcome, Appended):
                self._count_end(event, entry)
                if instance is not None and mail is not None and instance.phase is not Phase.DROPPED:
                    self._turns.confirm(instance, mail, outcome.number)
                else:
                    self._hand_to_owner(number, key.instance_id, outcome.number)
            elif isinstance(outcome, Refused):
                self._context.metrics.count(self._context.metrics.messages_dropped, outcome.reason)
                if instance is not None and mail is not None:
                    self._turns.refuse(instance, mail)

        self._committer.submit_until_answered(operation, answered)

    def _count_end(self, event: ActivityCompleted | ActivityFailed, entry: Entry | None) -> None:
        """A call has ended. One that another engine handed out is not known by name here."""
        name = entry.body.name if entry is not None else "unknown"
        handed_at_ms = entry.handed_at_ms if entry is not None else 0
        seconds = (self._context.clock.now_ms() - handed_at_ms) / 1000 if handed_at_ms else -1.0
        status = "completed" if isinstance(event, ActivityCompleted) else "failed"
        trace_id = sampled_trace_id(entry.body.trace_parent) if entry is not None else ""
        self._context.metrics.activity_ended(name, status, event.attempt, seconds, trace_id=trace_id)

    def _forget(self, number: int, key: ActivityKey, outcome: Outcome) -> None:
        """A call was closed, whoever owns it now; but a refused failure of a former attempt closed nothing."""
        shard = self.shard_owned(number)
        if shard is not None and not (isinstance(outcome, Refused) and outcome.reason == "stale_attempt"):
            shard.entries.pop(key, None)

    def _offer_early(
        self,
        number: int,
        event: ActivityCompleted | ActivityFailed,
        raw: bytes,
        *,
        key: ActivityKey,
        entry: Entry | None,
    ) -> tuple[LiveInstance | None, Mail | None]:
        """Put the result into the live instance's memory before it is stored, if this engine owns it."""
        shard = self.shard_owned(number)
        instance = shard.live.get(key.instance_id) if shard is not None else None
        if instance is None or entry is None or instance.phase is Phase.LOADING:
            return None, None
        if instance.state.execution_id != key.execution_id or key.event_id not in instance.state.activities:
            return None, None
        entry.session = None
        mail = Mail(event, raw, number=None, at_ms=self._context.clock.now_ms(), execution_id=key.execution_id)
        self._turns.deliver(instance, mail)
        return instance, mail

    def _hand_to_owner(self, number: int, instance_id: str, message_number: int) -> None:
        shard = self.shard_owned(number)
        if shard is not None:
            self.deliver(shard, instance_id, message_number)

    # -- deadlines ------------------------------------------------------------------------------------------------

    def _watch_until(self, entry: Entry, at_ms: int) -> None:
        if at_ms < NEVER_MS:
            if len(self._watch) >= self._compact_at:
                self._compact()
            is_earliest = not self._watch or at_ms < self._watch[0][0]
            heapq.heappush(self._watch, (at_ms, next(self._sequence), entry, entry.revision))
            if is_earliest:
                self.nudge()

    def _compact(self) -> None:
        """Forget calls that ended before their deadline: they would stay here, with their inputs, until then."""
        self._watch = [item for item in self._watch if self._is_current(item[2]) and item[2].revision == item[3]]
        heapq.heapify(self._watch)
        self._compact_at = max(_COMPACT_FROM, 2 * len(self._watch))

    def next_look_ms(self) -> int:
        """When the earliest watched entry is due; far away where there is none."""
        return self._watch[0][0] if self._watch else NEVER_MS

    def look(self) -> None:
        """Act on entries that are due: the next attempt, or a deadline."""
        now_ms = self._context.clock.now_ms()
        while self._watch and self._watch[0][0] <= now_ms:
            _, _, entry, revision = heapq.heappop(self._watch)
            if self._is_current(entry) and entry.revision == revision:
                try:
                    self._look_at(entry, now_ms)
                except Exception:  # one call that cannot be handled must not end the watch over all others
                    _log.exception("an activity's deadline could not be handled", **about_call(entry.key))

    def _look_at(self, entry: Entry, now_ms: int) -> None:
        body, key = entry.body, entry.key
        if now_ms >= self._schedule_deadline(body):
            text = (
                f"activity '{body.name}' of instance '{key.instance_id}' did not end within its schedule-to-close "
                f"timeout of {body.schedule_to_close_ms} ms (attempt {entry.attempt})"
            )
            if body.last_failure:
                text = f"{text}; last failure: {body.last_failure}"
            self._close(entry, ActivityFailed(key.event_id, Failure(TIMEOUT, text, non_retryable=True), entry.attempt))
        elif not body.claim:
            self._replace(
                entry,
                attempt=entry.attempt,
                claim=self._context.engine_id,
                deliveries=body.deliveries + 1,
                then=self._offer,
            )
        elif entry.started_at_ms and now_ms >= entry.started_at_ms + body.start_to_close_ms:
            text = (
                f"attempt {entry.attempt} of activity '{body.name}' of instance '{key.instance_id}' did not end within "
                f"its start-to-close timeout of {body.start_to_close_ms} ms"
            )
            failure = Failure(TIMEOUT, text)
            entry.started_at_ms = 0
            if entry.session is not None:
                entry.session.runs.pop(self._token(entry), None)
            if not self._retry(entry, failure):
                self._close(entry, ActivityFailed(key.event_id, failure, entry.attempt))
