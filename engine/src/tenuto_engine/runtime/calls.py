"""Activity calls that this engine has claimed: handed to its workers, watched, answered or given back.

A claim holds while this engine is a member, whoever owns the shard, so nothing here asks for a lease. The entry in the
store is the truth: the attempt, the deliveries, who has claimed it. A result is acknowledged to the worker once the
store has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec
import structlog

from tenuto_engine.codec.events import UndecodableError, decode_failure
from tenuto_engine.codec.records import ActivityBody
from tenuto_engine.core.events import ActivityCompleted, ActivityFailed, Failure
from tenuto_engine.core.failures import bounded
from tenuto_engine.core.retry import next_delay_ms
from tenuto_engine.ports.inbound import ActivityAnswer, ActivityBeat, ActivityItem
from tenuto_engine.ports.records import ActivityKey, ActivityRecord
from tenuto_engine.runtime import turn_metrics
from tenuto_engine.runtime.call import Call, parse_token, token_of
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.ledger import Change, Ledger, Next
from tenuto_engine.runtime.results import Results, exhausted, nothing
from tenuto_engine.runtime.tracing import sampled_trace_id
from tenuto_engine.runtime.watch import Watch
from tenuto_engine.runtime.workers import Workers, WorkerSession

_log = structlog.get_logger(__name__)

TIMEOUT = "ActivityTimeout"
# A heartbeat of a call without heartbeat timeout is written this often: it tells of cancellation, and keeps details.
_BEAT_EVERY_MS = 10_000
_OVER = "the call is closed: its instance ended, or a deadline has passed"
# How long giving back may take when an engine goes; the store does not answer then, and the claim runs out by itself.
_GIVE_BACK_SECONDS = 5.0


class Calls:
    """All calls claimed by this engine, or being claimed; `held` has them by key.

    `is_leaving`: the engine drains: it claims nothing more. `left_over` gets what found no worker then.
    """

    def __init__(self, context: Context, workers: Workers, *, ledger: Ledger, results: Results, watch: Watch) -> None:
        self._context = context
        self._workers = workers
        self._ledger = ledger
        self._results = results
        self._watch = watch
        self.held: dict[ActivityKey, Call] = {}
        self.is_leaving = False
        self.known: Callable[[ActivityKey], Call | None]
        self.released: Callable[[Call], None]
        self.left_over: Callable[[Call], None] = lambda _: None

    # -- handing out ----------------------------------------------------------------------------------------------

    def take(self, call: Call) -> None:
        """Run a call that the store says is this engine's, as soon as a worker is free."""
        self.held[call.key] = call
        if call.body.schedule_to_close_ms:
            self._watch.set(call)
        self._offer(call)

    def _offer(self, call: Call) -> None:
        session = self._workers.for_activity(call.body.name)
        if session is not None:
            self._hand_out(session, call)
            return
        self._workers.wait_for_activity(call, self._context.monotonic())
        if self.is_leaving:
            self.left_over(call)

    def _hand_out(self, session: WorkerSession, call: Call) -> None:
        body, key, context = call.body, call.key, self._context
        context.faults.reach("activity:before", body.name)
        token = call.token
        call.session, call.running = session, token
        session.runs[token] = call
        session.send_activity(
            ActivityItem(
                token,
                key.instance_id,
                key.execution_id,
                key.event_id,
                body.name,
                call.payload,
                call.attempt,
                body.deliveries,
                body.start_to_close_ms,
                body.heartbeat_ms,
                body.workflow_name,
                context.tracing.derived(body.trace_parent, token),
                call.details,
                body.foreign,
            )
        )
        call.handed_at_ms = context.clock.now_ms()
        context.metrics.activity_started(
            body.name, (call.handed_at_ms - body.claimed_at_ms) / 1000, trace_id=sampled_trace_id(body.trace_parent)
        )
        self._started(call)

    def _started(self, call: Call) -> None:
        if call.body.start_to_close_ms or call.body.heartbeat_ms:
            call.started_at_ms = call.beat_at_ms = self._context.clock.now_ms()
            self._watch.set(call)

    def session_ready(self, session: WorkerSession) -> None:
        """A worker connected or has a free slot: hand it what waited."""
        for call in self._workers.next_activities(session):
            self._hand_out(session, call)

    # -- workers that come and go -----------------------------------------------------------------------------------

    def resumed(self, session: WorkerSession, running: Sequence[str]) -> None:
        """A worker is back with activities it still runs: they stay its own instead of running again elsewhere."""
        unknown: dict[str, ActivityKey] = {}
        for token in running:
            parsed = parse_token(token)
            call = self.held.get(parsed[0]) if parsed is not None else None
            if call is not None and call.token == token:
                self._keep(session, call)
            elif parsed is not None and call is None:
                unknown[token] = parsed[0]
            else:
                session.announced.discard(token)  # a former delivery, or none at all: its beats are answered so
        if unknown:
            self._ledger.read([*unknown.values()], lambda found: self._resume_unknown(session, [*unknown], found))

    def _resume_unknown(
        self, session: WorkerSession, tokens: Sequence[str], found: Sequence[tuple[ActivityRecord, ActivityBody] | None]
    ) -> None:
        """Claim anew what a worker of this engine runs, though another engine, gone by now, handed it out."""
        for token, entry in zip(tokens, found, strict=True):
            if not session.alive or token not in session.announced:
                continue
            if entry is None:
                session.announced.discard(token)
                session.cancel(token, _OVER)
            elif token != token_of(entry[0].key, attempt=entry[0].attempt, deliveries=entry[1].deliveries):
                session.announced.discard(token)
            elif entry[0].key not in self.held:
                self.reclaim(session, self.call_of(*entry))

    def asked(self, keys: Sequence[ActivityKey]) -> None:
        """An owner asks after calls that the store says are this engine's: those that are not known here are run.

        The commit that claimed them was stored, and its answer was lost, or came when the shard was no longer owned.
        """
        unknown = [key for key in keys if key not in self.held]
        if unknown:
            self._ledger.read(unknown, self._run_unknown)

    def _run_unknown(self, found: Sequence[tuple[ActivityRecord, ActivityBody] | None]) -> None:
        for record, body in filter(None, found):
            if body.claim == self._context.engine_id and record.key not in self.held:
                self.adopt(self.call_of(record, body))

    def reclaim(self, session: WorkerSession, call: Call) -> None:
        """Claim for this engine the very delivery that one of its workers runs."""
        token = call.token
        self.held[call.key] = call

        def make(call: Call) -> Next | None:
            if call.token != token:
                return None
            body = msgspec.structs.replace(
                call.body, claim=self._context.engine_id, claimed_at_ms=self._context.clock.now_ms()
            )
            return Next(body, call.attempt, call.deadline_ms())

        def stored(change: Change) -> None:
            if change is not Change.DONE:
                self._settle(call, change)
            elif session.alive and token in session.announced:
                self._keep(session, call)
            elif call.session is None and not call.waiting:
                self.redeliver(call)  # the worker went away again

        self._ledger.change(call, make, stored)

    def _keep(self, session: WorkerSession, call: Call) -> None:
        token = call.token
        session.announced.discard(token)
        session.runs[token] = call
        call.session, call.running = session, token
        call.queued_at = 0.0
        self._started(call)

    def session_of(self, call: Call) -> WorkerSession | None:
        """The worker that says it still runs this very delivery."""
        token = call.token
        for session in self._workers.sessions.values():
            if token in session.announced:
                return session
        return None

    def session_lost(self, session: WorkerSession) -> None:
        """A worker did not come back: its calls are delivered again."""
        runs = list(session.runs.items())
        session.runs.clear()
        for token, call in runs:
            if call.session is session and call.running == token and call.is_open:
                call.session = None
                self.redeliver(call)

    def redeliver(self, call: Call) -> None:
        """Whoever ran this call is gone: claim it, or leave it to others, unless it was delivered too often."""
        if call.is_closing:
            return
        lost, deliveries = call.body.claim, call.body.deliveries
        runs_here = self._may_run_here(call.body.name)

        def make(call: Call) -> Next | None:
            if not lost or call.body.claim != lost or call.body.deliveries != deliveries:
                return None
            if call.unanswered >= self._context.settings.max_deliveries:
                self._results.close(call.key, exhausted(call), call=call)
                return None
            if runs_here:
                return self._claimed_here(call)
            body = msgspec.structs.replace(call.body, claim="")
            return Next(body, call.attempt, min(self._context.clock.now_ms(), call.deadline_ms()))

        self._claim(call, make, nothing)

    def _may_run_here(self, name: str) -> bool:
        """Whether a call is best run by this engine: a worker is free, or there is nobody else."""
        if self.is_leaving:
            return False
        return not self._context.membership.may_share(self._context.settings.version) or (
            self._workers.free_for(name) > 0
        )

    def claim(self, call: Call, then: Callable[[], None] = nothing) -> None:
        """Claim a call that nobody runs, and run it here. `then`: the claim was decided, one way or the other."""
        self.held.setdefault(call.key, call)

        def make(call: Call) -> Next | None:
            is_free = not call.body.claim and call.body.due_at_ms <= self._context.clock.now_ms()
            return self._claimed_here(call) if is_free else None

        self._claim(call, make, then)

    def _claimed_here(self, call: Call) -> Next:
        body = msgspec.structs.replace(
            call.body,
            claim=self._context.engine_id,
            claimed_at_ms=self._context.clock.now_ms(),
            deliveries=call.body.deliveries + 1,
            due_at_ms=0,
        )
        return Next(body, call.attempt, call.deadline_ms())

    def _claim(self, call: Call, make: Callable[[Call], Next | None], then: Callable[[], None]) -> None:
        # Until it is stored the claim takes no slot at a worker; it will.
        self._workers.coming += 1

        def stored(change: Change) -> None:
            self._workers.coming -= 1
            try:
                if change is Change.DONE and call.body.claim:
                    self._begin(call)
                else:
                    self._settle(call, change)
            finally:
                then()

        self._ledger.change(call, make, stored)

    def adopt(self, call: Call) -> None:
        """Run a call that the store says is this engine's, once it says so again.

        What was read may be older than a result that this engine has stored since, and forgotten with its call.
        """
        self._ledger.read([call.key], lambda found: self._adopt(call, found[0]))

    def _adopt(self, call: Call, entry: tuple[ActivityRecord, ActivityBody] | None) -> None:
        if entry is None:
            self._results.closed(call.number, call.key, _OVER)
            return
        if self.held.get(call.key) not in (None, call) or call.writing or call.is_at_work or not call.is_open:
            return
        call.learn(*entry)
        if call.body.claim != self._context.engine_id:
            self.released(call)
            return
        self._begin(call)

    def _begin(self, call: Call) -> None:
        """Run a call whose claim by this engine is stored."""
        self.held[call.key] = call
        self._watch.set(call)
        self._ledger.with_payload(call, lambda: self._run(call))

    def _run(self, call: Call) -> None:
        """Begin, unless it was closed or lost while its input was read."""
        if call.is_open and not call.is_at_work and call.body.claim == self._context.engine_id:
            self._offer(call)

    def _settle(self, call: Call, change: Change) -> None:
        """A change was not made: the call is closed, or somebody else's affair by now."""
        if change is Change.CLOSED:
            self._results.closed(call.number, call.key, _OVER)
        elif call.body.claim != self._context.engine_id:
            self.let_go(call)
        elif call.session is None and not call.queued_at:
            self.redeliver(call)

    def let_go(self, call: Call) -> None:
        """Another engine's, or nobody's: the owner looks after it. What a worker still runs of it may yet answer."""
        if self.held.get(call.key) is call:
            del self.held[call.key]
        call.queued_at, call.session, call.started_at_ms = 0.0, None, 0
        self.released(call)

    def call_of(self, record: ActivityRecord, body: ActivityBody) -> Call:
        """The call of an entry that was just read: the one that is known here, or a new one."""
        call = self.held.get(record.key) or self.known(record.key)
        if call is not None:
            call.learn(record, body)
            return call
        return Call(
            record.key,
            self._ledger.shard_of(record.key),
            body,
            attempt=record.attempt,
            revision=record.revision,
            look_at_ms=record.look_at_ms,
        )

    # -- answers ----------------------------------------------------------------------------------------------------

    def answered(self, session: WorkerSession, answer: ActivityAnswer) -> None:
        """A worker answers a call: of this engine, or of one that is gone."""
        call = session.runs.pop(answer.token, None)
        if session.announced:
            session.announced.discard(answer.token)
        parsed = parse_token(answer.token)
        if parsed is None:
            _log.warning("a worker answered with a malformed token", worker=session.id)
            session.acknowledge(answer.token)
            return
        key, attempt = parsed
        if call is not None and call.session is session and call.running == answer.token:
            call.session, call.started_at_ms = None, 0
        if call is not None and not answer.rejected:
            turn_metrics.attempt_answered(self._context, call, answer, attempt)
        if answer.rejected:
            session.acknowledge(answer.token)
            self._rejected(session, call)
        elif answer.failure:
            self._take_failure(session, answer, call, key=key, attempt=attempt)
        else:
            self._take_result(session, answer, call, key=key, attempt=attempt)
        self.session_ready(session)

    def _take_result(
        self, session: WorkerSession, answer: ActivityAnswer, call: Call | None, *, key: ActivityKey, attempt: int
    ) -> None:
        limit, result = self._context.limits.payload_bytes, answer.result
        if result is not None:
            self._context.metrics.payload(len(result), limit)
        event: ActivityCompleted | ActivityFailed = ActivityCompleted(key.event_id, result, attempt)
        if result is not None and len(result) > limit:
            text = (
                f"the result of activity {key.event_id} of instance '{key.instance_id}' has {len(result):,} bytes, "
                f"the limit payload_bytes is {limit:,}; store it elsewhere and return a reference"
            )
            event = ActivityFailed(key.event_id, Failure("LimitExceeded", text, non_retryable=True), attempt)
        call = call or self.held.get(key) or self.known(key)
        self._results.close(key, event, call=call, stored=lambda: session.acknowledge(answer.token))

    def _rejected(self, session: WorkerSession, call: Call | None) -> None:
        """The worker did not run it (not registered there, or draining): another one gets it."""
        if call is None or not call.is_open or call.session is not None:
            return
        if not session.draining:
            session.activities.refuse(call.body.name)
        self._offer(call)

    def _take_failure(
        self, session: WorkerSession, answer: ActivityAnswer, call: Call | None, *, key: ActivityKey, attempt: int
    ) -> None:
        try:
            failure = bounded(decode_failure(answer.failure))
        except UndecodableError as error:
            failure = Failure("UndecodableFailure", str(error))

        def stored() -> None:
            session.acknowledge(answer.token)

        call = call or self.held.get(key) or self.known(key)
        if call is not None:
            self._failed(call, failure, attempt=attempt, stored=stored)
            return

        def found(entries: Sequence[tuple[ActivityRecord, ActivityBody] | None]) -> None:
            if entries[0] is None:
                self._ignored("activity_closed")
                stored()
            else:
                self._failed(self.call_of(*entries[0]), failure, attempt=attempt, stored=stored)

        # Without the entry nobody can say whether to try again; it is settled here, whoever owns the shard.
        self._ledger.read([key], found)

    def _failed(self, call: Call, failure: Failure, *, attempt: int, stored: Callable[[], None] = nothing) -> None:
        """An attempt has failed: arrange the next one, or close the call. `stored`: what came of it is durable."""
        body, key, now_ms = call.body, call.key, self._context.clock.now_ms()
        if call.attempt != attempt:
            self._ignored("stale_attempt")
            stored()
            return
        delay = next_delay_ms(
            body.retry,
            attempt=attempt,
            elapsed_ms=now_ms - body.scheduled_at_ms,
            failure=failure,
            identity=f"{key.instance_id}/{key.execution_id}/{key.event_id}",
        )
        if delay is None or now_ms + delay >= call.deadline_ms():
            self._results.close(key, ActivityFailed(key.event_id, failure, attempt), call=call, stored=stored)
            return
        due_ms = now_ms + delay

        def make(call: Call) -> Next | None:
            if call.attempt != attempt:
                return None
            waiting = msgspec.structs.replace(
                call.body,
                claim="",
                due_at_ms=due_ms,
                last_failure=f"{failure.type}: {failure.message}"[:500],
                heartbeat_details=call.details,
            )
            return Next(waiting, attempt + 1, min(due_ms, call.deadline_ms()))

        def answered(change: Change) -> None:
            stored()
            if change is Change.DONE:
                self._context.metrics.activity_retries.inc()
                self.let_go(call)
            else:
                if change is Change.VOID:
                    self._ignored("stale_attempt")
                self._settle(call, change)

        self._ledger.change(call, make, answered)

    def _ignored(self, reason: str) -> None:
        self._context.metrics.count(self._context.metrics.messages_dropped, reason)

    # -- signs of life, deadlines, cancellation -----------------------------------------------------------------------

    def beat(self, session: WorkerSession, beat: ActivityBeat) -> None:
        """A running activity says that it is alive; written at most once per third of its timeout."""
        call = session.runs.get(beat.token)
        if call is None:
            if beat.token not in session.announced:
                session.cancel(beat.token, "its call is over, or was given to another worker")
            return
        now_ms = self._context.clock.now_ms()
        call.beat_at_ms = now_ms
        if beat.details is not None:
            call.details = beat.details if len(beat.details) <= self._context.limits.payload_bytes else call.details
        every_ms = call.body.heartbeat_ms // 3 or _BEAT_EVERY_MS
        if call.writing or now_ms - max(call.beat_stored_ms, call.body.claimed_at_ms) < every_ms:
            return
        call.beat_stored_ms = now_ms
        token = beat.token

        def make(call: Call) -> Next | None:
            if call.token != token or call.body.claim != self._context.engine_id:
                return None
            body = msgspec.structs.replace(call.body, heartbeat_at_ms=now_ms, heartbeat_details=call.details)
            return Next(body, call.attempt, call.look_at_ms)

        def stored(change: Change) -> None:
            if change is Change.CLOSED:
                self._results.closed(call.number, call.key, _OVER)
            elif change is Change.VOID and call.session is session and call.running == token:
                self._stop(call, "the call was given to another worker")
                self._settle(call, change)

        self._ledger.change(call, make, stored)

    def look(self, call: Call, now_ms: int) -> None:
        """The moment has come at which a running attempt has taken too long, or been silent for too long."""
        body, session = call.body, call.session
        if session is None or call.runner_looks_at_ms() > now_ms:
            return
        what = f"attempt {call.attempt} of activity '{body.name}' of instance '{call.key.instance_id}'"
        if body.start_to_close_ms and now_ms >= call.started_at_ms + body.start_to_close_ms:
            text = f"{what} did not end within its start-to-close timeout of {body.start_to_close_ms} ms"
        else:
            text = f"{what} was silent for longer than its heartbeat timeout of {body.heartbeat_ms} ms"
            self._context.metrics.heartbeat_timeout(body.name)
        self._stop(call, text)
        self._failed(call, Failure(TIMEOUT, text), attempt=call.attempt)

    def _stop(self, call: Call, reason: str) -> None:
        """Take a call from the worker that runs it, and tell it so."""
        session, token = call.session, call.running
        call.session, call.started_at_ms = None, 0
        if session is not None and session.runs.pop(token, None) is not None:
            session.cancel(token, reason)

    def still_open(self, call: Call) -> None:
        """A failure was refused, for the stored attempt is another one: the call goes on as the store says."""
        self._watch.set(call)
        if self.held.get(call.key) is call and call.session is None and not call.queued_at and not call.writing:

            def found(entries: Sequence[tuple[ActivityRecord, ActivityBody] | None]) -> None:
                if entries[0] is not None and not call.writing and call.session is None:
                    call.learn(*entries[0], is_latest=True)
                self._settle(call, Change.VOID if entries[0] is not None else Change.CLOSED)

            self._ledger.read([call.key], found)

    def closed(self, key: ActivityKey, reason: str) -> None:
        """A call is closed: nobody waits for it any more, and what runs here is told so."""
        call = self.held.pop(key, None)
        if call is not None:
            call.is_open = False
            call.queued_at = 0.0
            if call.session is not None:
                self._stop(call, reason)

    # -- giving back ------------------------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether a worker of this engine still runs a call."""
        return any(session.runs for session in self._workers.sessions.values())

    def give_back(self, calls: Iterable[Call], reason: str, then: Callable[[list[Call]], None]) -> None:
        """Write calls unclaimed, so that others may run them; `then` gets those given back, once all are answered."""
        given, left = list[Call](), list(calls)
        open_changes = len(left)

        def answered(call: Call, change: Change) -> None:
            nonlocal open_changes
            open_changes -= 1
            if change is Change.DONE:
                given.append(call)
                self.let_go(call)
            else:
                self._settle(call, change)
            if not open_changes:
                then(given)

        for call in left:
            has_begun = call.session is not None
            call.queued_at = 0.0
            self._give_back(call, reason, has_begun=has_begun, then=answered)
        if not left:
            then(given)

    def _give_back(self, call: Call, reason: str, *, has_begun: bool, then: Callable[[Call, Change], None]) -> None:
        def make(call: Call) -> Next | None:
            if call.body.claim != self._context.engine_id:
                return None
            body = msgspec.structs.replace(
                call.body,
                claim="",
                # A call that no worker saw was not delivered: the limit counts what may have begun.
                deliveries=call.body.deliveries - (not has_begun),
                given_back=reason,
                heartbeat_details=call.details,
            )
            return Next(body, call.attempt, min(self._context.clock.now_ms(), call.deadline_ms()))

        self._ledger.change(call, make, lambda change: then(call, change))

    async def give_back_all(self, reason: str) -> list[Call]:
        """Give back everything that is not answered, running or not; whoever owns the shards delivers it again.

        What runs is not told: its result still counts if it comes in time, here or at this engine's successor.
        """
        self.is_leaving = True
        answered: asyncio.Future[list[Call]] = asyncio.get_running_loop().create_future()
        self.give_back(
            [call for call in self.held.values() if not call.is_closing],
            reason,
            lambda given: None if answered.done() else answered.set_result(given),
        )
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                return await answered
        except TimeoutError:
            _log.warning("activities could not be given back: the store does not answer; their claims run out")
            return []
