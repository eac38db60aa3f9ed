"""Turns: take unread messages, have a worker run the code, and make the outcome one fenced commit.

The order never varies: hold the lease, take messages, run, decide and apply in memory, commit, and only then perform
effects. Nothing here awaits between those steps; the store answers through callbacks, so a turn costs no task.

*Overlap*: a message may be in a turn before the store has confirmed it (an activity's result, which is being stored
while the code already runs on it). Such a turn is committed only once the message is confirmed, and discarded with the
live instance if it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from tenuto_engine.codec.events import UndecodableError, decode_actions, encode_event
from tenuto_engine.core.apply import apply
from tenuto_engine.core.decide import (
    Decision,
    custom_status_refusal,
    decide_actions,
    history_refusal,
    plan_turn,
)
from tenuto_engine.core.effects import DisarmTimer, Effect
from tenuto_engine.core.events import Event, EventRaised, TurnStarted
from tenuto_engine.core.limits import MAX_CODE_HASH
from tenuto_engine.core.state import InstanceState
from tenuto_engine.core.status import TERMINAL, Hold, Status
from tenuto_engine.ports.inbound import TurnAnswer, TurnItem, TurnOutcome
from tenuto_engine.ports.operations import Commit
from tenuto_engine.ports.outcomes import Committed, Conflict, Fenced, Outcome, Rejected, Unconfirmed
from tenuto_engine.ports.records import ReminderKey, ReminderSet
from tenuto_engine.runtime import overdue, turn_metrics
from tenuto_engine.runtime.committer import Committer
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance, Mail, Phase, Turn
from tenuto_engine.runtime.log_fields import about
from tenuto_engine.runtime.mail_order import early_by_ms, is_for_another, mail_of_turn
from tenuto_engine.runtime.refusals import bounded_reason, reason_of
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.stalled import TRIED_AGAIN
from tenuto_engine.runtime.turn_commit import WAKE_REMINDER, Outbound, any_call, build_commit, parts_of, translate
from tenuto_engine.runtime.workers import Slots, Workers, WorkerSession

_log = structlog.get_logger(__name__)

_CONTROL_ANSWER = TurnAnswer("", "", "", TurnOutcome.COMPLETED)
_RETRY_PAUSE_SECONDS = 0.25
_SET_ASIDE_SECONDS = 5.0
_LONGEST_SLEEP_SECONDS = 3_600.0  # the store's clock may be set meanwhile
_FIRST_BACKOFF_MS = 1_000
_LONGEST_BACKOFF_MS = 60_000
_LONGEST_WHY = 1_000  # of a reason that is followed by what will happen


class Effects(Protocol):
    """Who performs what a commit made durable."""

    def committed(self, instance: LiveInstance, commit: Commit, out: Outbound, outcome: Committed) -> None: ...


class Loader(Protocol):
    """Who reads instances and histories from the store."""

    def reload(self, shard: Shard, instance_id: str) -> None: ...

    def fetch_missing(self, instance: LiveInstance, end: int) -> None: ...

    def send_with_history(self, instance: LiveInstance, turn: Turn, session: WorkerSession, item: TurnItem) -> None: ...


class Turns:
    """Runs the turns of all owned instances."""

    def __init__(self, context: Context, committer: Committer, workers: Workers) -> None:
        self._context = context
        self._committer = committer
        self._workers = workers
        self.effects: Effects
        self.loader: Loader
        self.on_fenced: Callable[[Shard], None]
        self.call_later: Callable[..., object]

    # -- messages -------------------------------------------------------------------------------------------------

    def deliver(self, instance: LiveInstance, mail: Mail) -> None:
        """Take a message into an instance's memory. A number beyond the known ones means that others are missing."""
        if mail.number is not None and not self._note_number(instance, mail.number):
            return
        instance.mail.append(mail)
        self.wake(instance)

    def _note_number(self, instance: LiveInstance, number: int) -> bool:
        """Whether the number is new; fetches what lies between it and the known ones."""
        if number < instance.known_next:
            return False
        if number > instance.known_next:
            self.loader.fetch_missing(instance, number)
        instance.known_next = number + 1
        return True

    def confirm(self, instance: LiveInstance, mail: Mail, number: int) -> None:
        """The store has stored a message that was delivered unconfirmed."""
        if instance.phase is Phase.DROPPED:
            return
        if not self._note_number(instance, number) and any(m.number == number for m in instance.mail):
            self.discard(instance)  # it was also read from the store meanwhile, and both may be in the turn
            return
        mail.number = number
        if instance.phase is Phase.CONFIRMING:
            try:
                self._try_finish(instance)
            except Exception as error:  # as in wake
                self._set_aside(instance, error)

    def refuse(self, instance: LiveInstance, mail: Mail) -> None:
        """The store has refused a message that was delivered unconfirmed: whatever ran on it is void."""
        if instance.phase is Phase.DROPPED:
            return
        mail.refused = True
        if instance.turn is not None and mail in instance.turn.mail:
            self.discard(instance)
        else:
            instance.mail.remove(mail)

    # -- beginning ------------------------------------------------------------------------------------------------

    def wake(self, instance: LiveInstance) -> None:
        """Begin the next turn, if the instance is idle and has something to do."""
        if instance.phase is Phase.WAITING and instance.has_passing_mail():
            instance.turn, instance.phase = None, Phase.IDLE  # no worker has taken the planned turn
        if instance.phase is not Phase.IDLE or instance.fetching or not instance.shard.may_begin:
            return
        try:
            if instance.open_tail and instance.state.hold is Hold.NONE and not instance.has_passing_mail():
                commit_id = self._context.new_commit_id()
                self._begin(instance, Turn(commit_id=commit_id, at_ms=0, received=[], void=[], resumes=True))
                self._hand_out(instance)
            elif instance.mail:
                self._plan(instance)
        except Exception as error:  # a fault of ours met by one instance must not reach the others
            self._set_aside(instance, error)

    def _plan(self, instance: LiveInstance) -> None:
        now_ms = self._context.clock.now_ms()
        unread = mail_of_turn(instance, self._context.limits, now_ms=now_ms)
        state = instance.state
        stale = [m for m in unread if is_for_another(m, instance)]
        if stale:
            unread = [m for m in unread if m not in stale]
        plan = plan_turn(state, [m.event for m in unread])
        if plan is None and not stale:
            if wait_ms := early_by_ms(instance, now_ms=now_ms):
                self.call_later(min(wait_ms / 1000, _LONGEST_SLEEP_SECONDS), self.wake, instance)
            return
        received = [unread[i] for i in plan.recorded] if plan else []
        void = [*stale, *(unread[i] for i in plan.void)] if plan else stale
        if void:
            self._context.metrics.count(self._context.metrics.messages_dropped, "void", by=len(void))
        turn = Turn(
            commit_id=self._context.new_commit_id(),
            at_ms=max(self._context.clock.now_ms(), state.last_turn_at_ms),
            received=received,
            void=void,
            releases=plan is not None and plan.releases,
        )
        self._begin(instance, turn)
        if plan is not None and plan.needs_worker:
            self._hand_out(instance)
        else:
            turn.answer = _CONTROL_ANSWER
            instance.phase = Phase.CONFIRMING
            self._try_finish(instance)

    def _begin(self, instance: LiveInstance, turn: Turn) -> None:
        instance.turn = turn
        instance.phase = Phase.WAITING

    def _hand_out(self, instance: LiveInstance) -> None:
        """Give the planned turn to a worker, or leave it waiting for one."""
        turn = instance.turn
        assert turn is not None
        name = instance.workflow_name()
        holder = instance.worker
        session = self._workers.for_turn(name, holder, instance.shunned) if self._context.may_act() else None
        if session is None:
            instance.phase = Phase.WAITING
            instance.waiting_since = instance.waiting_since or self._context.monotonic()
            self._workers.wait_for_turn(name, instance)
            return
        if holder is not None and holder is not session:
            holder.forget(instance.id, instance.state.execution_id)
            instance.worker = None
        instance.waiting_since = 0.0
        instance.phase = Phase.TURN
        if not turn.sent_at:
            turn_metrics.turn_begins(self._context, instance, turn)
        turn.session = session
        turn.sent_at, turn.reached_at = self._context.monotonic(), 0.0
        turn.full = instance.worker is not session
        session.turns[instance.id] = instance
        self._send(instance, turn, session)

    def _send(self, instance: LiveInstance, turn: Turn, session: WorkerSession) -> None:
        state = instance.state
        new_events = [] if turn.resumes else [encode_event(TurnStarted(turn.at_ms)), *(m.raw for m in turn.received)]
        item = TurnItem(
            instance.id,
            state.execution_id,
            instance.base_commit_id,
            turn.commit_id,
            state.length,
            turn.full,
            new_events,
        )
        self._context.faults.reach("turn:before", instance.workflow_name())
        if turn.full and state.length:
            self.loader.send_with_history(instance, turn, session, item)
        else:
            session.send_turn(item)
            turn.reached_at = self._context.monotonic()

    def session_ready(self, session: WorkerSession) -> None:
        """A worker connected or has a free slot: hand it what waited."""
        for instance in self._workers.next_turns(session):
            if instance.phase is Phase.WAITING and instance.shard.may_begin:
                self._hand_out(instance)

    def session_lost(self, session: WorkerSession) -> None:
        """A worker is gone. Its turns run again elsewhere: they had no effect."""
        lost = list(session.turns.values())
        session.turns.clear()
        for instance in lost:
            if instance.turn is None or instance.turn.session is not session or instance.phase is not Phase.TURN:
                continue
            instance.worker = None
            self._turn_failed(instance, "the worker went away during the turn")

    # -- answering ------------------------------------------------------------------------------------------------

    def answered(self, session: WorkerSession, answer: TurnAnswer) -> None:
        """A worker answers a turn. Answers to turns that were given up meanwhile are dropped."""
        was_blocked, session.blocked = session.blocked, False
        instance = session.turns.get(answer.instance_id)
        turn = instance.turn if instance is not None else None
        if instance is None or turn is None or turn.commit_id != answer.commit_id or turn.session is not session:
            if was_blocked:
                self.session_ready(session)
            return
        del session.turns[answer.instance_id]
        self._context.faults.reach("turn:after", instance.workflow_name())
        try:
            self._take_answer(instance, turn, answer)
        except Exception as error:  # as in wake
            self._set_aside(instance, error)
        self.session_ready(session)

    def _take_answer(self, instance: LiveInstance, turn: Turn, answer: TurnAnswer) -> None:
        turn_metrics.turn_answered(self._context, instance, turn, answer)
        match answer.outcome:
            case TurnOutcome.COMPLETED:
                turn.answer = answer
                instance.phase = Phase.CONFIRMING
                self._try_finish(instance)
                return
            case TurnOutcome.NEED_HISTORY if not turn.full:
                instance.worker = None
                self._hand_out(instance)
            case TurnOutcome.NOT_REGISTERED:
                assert turn.session is not None
                turn.session.workflows.refuse(instance.workflow_name())
                instance.worker = None
                self._hand_out(instance)
            case TurnOutcome.NON_DETERMINISTIC | TurnOutcome.GUARD_REFUSED:
                self._stall(instance, reason_of(answer))
            case TurnOutcome.UNSUITABLE | TurnOutcome.GIVEN_BACK:
                self._not_by_this_one(instance, turn, answer)
            case _:
                self._turn_failed(instance, reason_of(answer) or "the worker could not run the turn")

    def _not_by_this_one(self, instance: LiveInstance, turn: Turn, answer: TurnAnswer) -> None:
        assert turn.session is not None
        instance.shunned.add(turn.session.id)
        instance.worker = None
        if self._workers.others_suit(instance.workflow_name(), instance.shunned):
            self._hand_out(instance)
            return
        instance.shunned.clear()
        reason = f"{reason_of(answer)[:_LONGEST_WHY]}; {TRIED_AGAIN}"
        if answer.outcome == TurnOutcome.UNSUITABLE:
            self._stall(instance, reason)
        else:
            self._turn_failed(instance, reason)

    def _try_finish(self, instance: LiveInstance) -> None:
        """Go on once every message of the turn is confirmed."""
        turn = instance.turn
        assert turn is not None
        assert turn.answer is not None
        for mail in turn.mail:
            if mail.number is None:
                return
        try:
            self._finish(instance, turn, turn.answer)
        except UndecodableError as error:
            self._turn_failed(instance, str(error))

    def _finish(self, instance: LiveInstance, turn: Turn, answer: TurnAnswer) -> None:
        context, state = self._context, instance.state
        pairs: list[tuple[Event, bytes]] = []
        if turn.received or (answer.patches and not turn.resumes):
            code_hash = answer.code_hash[:MAX_CODE_HASH]
            started = TurnStarted(turn.at_ms, list(answer.patches), instance.shard.lease.epoch, code_hash)
            pairs.append((started, encode_event(started)))
        pairs.extend((m.event, m.raw) for m in turn.received)
        received_count = len(pairs)
        if answer.custom_status == (instance.custom_status or b""):
            answer.custom_status = None  # some SDKs repeat it with every turn
        actions = decode_actions(answer.actions)
        decision = decide_actions(state, actions, context.limits)
        if (refused := custom_status_refusal(state, answer.custom_status, context.limits)) is not None:
            decision, answer.custom_status = Decision([refused]), None
        turn_metrics.payloads_asked(context, decision.events)
        pairs.extend(self._bounded(instance, pairs, decision))
        if turn.releases and state.hold is not Hold.SUSPENDED:
            _release(state)
        if answer is not _CONTROL_ANSWER:
            instance.failures = 0
            instance.shunned.clear()
        consumed = [m.number for m in turn.mail if m.number is not None]
        if consumed:
            gone = set(map(id, turn.mail))
            instance.mail = [m for m in instance.mail if id(m) not in gone]
        chunks = parts_of(pairs, context.limits, together=received_count)
        instance.series = chunks[1:]
        instance.cancelled = decision.cancelled
        self._commit_part(instance, chunks[0], consumed=consumed)

    def _bounded(
        self, instance: LiveInstance, before: Sequence[tuple[Event, bytes]], decision: Decision
    ) -> list[tuple[Event, bytes]]:
        """The actions' events encoded; where they would overfill the history, the failure that ends it instead."""
        pairs = [(event, encode_event(event)) for event in decision.events]
        size = sum(len(raw) for _, raw in before) + sum(len(raw) for _, raw in pairs)
        count = len(before) + len(pairs)
        last = pairs[-1][0] if pairs else before[-1][0] if before else None
        refused = history_refusal(
            instance.state, added_events=count, added_bytes=size, last=last, limits=self._context.limits
        )
        return pairs if refused is None else [(refused, encode_event(refused))]

    # -- committing -----------------------------------------------------------------------------------------------

    def _commit_part(
        self,
        instance: LiveInstance,
        part: Sequence[tuple[Event, bytes]],
        *,
        consumed: Sequence[int] = (),
    ) -> None:
        """Commit one part of a turn: all of it, but for oversized turns."""
        state, context, turn = instance.state, self._context, instance.turn
        assert turn is not None
        assert turn.answer is not None
        effects: list[Effect] = []
        history: list[bytes] = []
        for event, raw in part:
            apply(state, event, size_bytes=len(raw), effects=effects)
            history.append(raw)
        last = not instance.series
        if last:
            effects.extend(DisarmTimer(i) for i in instance.cancelled if state.timers.pop(i, None) is not None)
        may_share = context.membership.may_share(context.settings.version)
        out = translate(effects, instance, context, may_claim=Slots(self._workers).take if may_share else any_call)
        # Told to nobody before the commit is confirmed: another engine may end this instance otherwise.
        out.ending = part[-1][0] if state.status in TERMINAL else None
        consumed = self._also_dropped(instance, out, consumed)
        instance.inbox_low = instance.lowest_unread()
        commit = build_commit(
            instance,
            out,
            context,
            commit_id=turn.commit_id if last else context.new_commit_id(),
            history=history,
            consumed=consumed,
            custom_status=turn.answer.custom_status if last else None,
            # A turn without code (a resume, a wake-up) leaves an open turn open.
            open_turn=not last or (instance.open_tail and turn.session is None),
        )
        self._submit(instance, commit, out)

    @staticmethod
    def _also_dropped(instance: LiveInstance, out: Outbound, consumed: Sequence[int]) -> Sequence[int]:
        """Continue-as-new without keeping events consumes the unread ones that are known here."""
        if out.renewed is None or out.renewed.keep_events:
            return consumed
        dropped = [m for m in instance.mail if isinstance(m.event, EventRaised) and m.number is not None]
        instance.mail = [m for m in instance.mail if m not in dropped]
        return [*consumed, *(m.number for m in dropped if m.number is not None)]

    def _submit(self, instance: LiveInstance, commit: Commit, out: Outbound) -> None:
        instance.phase = Phase.COMMITTING
        self._committer.submit(commit, lambda outcome: self._commit_answered(instance, commit, out, outcome))

    def _commit_answered(self, instance: LiveInstance, commit: Commit, out: Outbound, outcome: Outcome) -> None:
        if not instance.shard.alive or instance.phase is Phase.DROPPED:
            return
        try:
            self._take_outcome(instance, commit, out, outcome)
        except Exception as error:  # as in wake
            self._set_aside(instance, error)

    def _take_outcome(self, instance: LiveInstance, commit: Commit, out: Outbound, outcome: Outcome) -> None:
        match outcome:
            case Committed() if not outcome.duplicate:
                self._committed(instance, commit, out, outcome)
            case Rejected():
                # Certainly not stored, and memory is what the commit would make: the same commit is tried again.
                self.call_later(_RETRY_PAUSE_SECONDS, self._resubmit, instance, commit, out)
            case Fenced() | Unconfirmed() | Committed():
                self.on_fenced(instance.shard)
            case Conflict():
                _log.warning(
                    "commit conflicts, loading anew", what=outcome.what, detail=outcome.detail, **about(instance)
                )
                self.discard(instance)
            case _:
                raise AssertionError(f"a commit is never answered by {outcome!r}")

    def _resubmit(self, instance: LiveInstance, commit: Commit, out: Outbound) -> None:
        if instance.shard.alive and instance.phase is Phase.COMMITTING:
            self._submit(instance, commit, out)

    def _committed(self, instance: LiveInstance, commit: Commit, out: Outbound, outcome: Committed) -> None:
        head, turn = commit.head, instance.turn
        instance.base_commit_id = head.commit_id
        instance.taken = head.taken
        instance.indexed = head.status
        instance.ending = out.ending
        if commit.custom_status is not None:
            instance.custom_status = commit.custom_status
        self.effects.committed(instance, commit, out, outcome)
        instance.delayed = head.hold is Hold.DELAYED
        if instance.series:
            self._commit_part(instance, instance.series.pop(0))
            return
        assert turn is not None
        turn_metrics.turn_committed(self._context, instance, turn)
        self._settle(instance, turn, terminal=head.status in TERMINAL)
        if commit.index is not None:
            for notify in instance.on_progress:
                notify()
        if head.status in TERMINAL:
            instance.phase = Phase.DROPPED
            instance.shard.live.pop(instance.id, None)
        elif out.renewed is not None:
            # A renewed execution is another instance in all but name: it is loaded like one.
            self.discard(instance)
        else:
            if outcome.inbox_next > instance.known_next:
                self.loader.fetch_missing(instance, outcome.inbox_next)
                instance.known_next = outcome.inbox_next
            self.wake(instance)

    def _settle(self, instance: LiveInstance, turn: Turn, *, terminal: bool) -> None:
        """Note where the live instance stands now: at the worker that ran this turn, or nowhere."""
        session = turn.session
        instance.turn = None
        instance.open_tail = instance.open_tail and session is None
        instance.phase = Phase.IDLE
        if session is not None and session.alive and session.sticky:
            instance.worker = session
        elif instance.worker is not None and (terminal or session is None):
            # A control turn moved the history on without the worker.
            instance.worker.forget(instance.id, instance.state.execution_id)
            instance.worker = None

    # -- failing --------------------------------------------------------------------------------------------------

    def discard(self, instance: LiveInstance) -> None:
        """Drop an instance from memory, at the worker too, and load it anew from the store."""
        shard = instance.shard
        if instance.phase is Phase.DROPPED:
            return
        instance.phase = Phase.DROPPED
        self._forget(instance)
        waiting = instance.on_progress
        shard.live.pop(instance.id, None)
        for notify in waiting:
            notify()
        if shard.alive:
            self.loader.reload(shard, instance.id)

    def _set_aside(self, instance: LiveInstance, error: Exception) -> None:
        """Something unforeseen happened with this instance: drop it from memory, and try again after a while."""
        _log.error("instance set aside after an unexpected error", exc_info=error, **about(instance))
        shard = instance.shard
        instance.phase = Phase.DROPPED
        self._forget(instance)
        shard.live.pop(instance.id, None)
        for notify in instance.on_progress:
            notify()
        shard.loading.add(instance.id)  # so that the sweep does not load it before its time
        self.call_later(_SET_ASIDE_SECONDS, self._take_back, shard, instance.id)

    def _take_back(self, shard: Shard, instance_id: str) -> None:
        shard.loading.discard(instance_id)
        self.loader.reload(shard, instance_id)

    def _forget(self, instance: LiveInstance) -> None:
        turn = instance.turn
        session = turn.session if turn is not None else None
        for held in {instance.worker, session} - {None}:
            assert held is not None
            held.turns.pop(instance.id, None)
            held.forget(instance.id, "")

    def _turn_failed(self, instance: LiveInstance, reason: str) -> None:
        """A try of a turn failed: at once again, then with back-off by a reminder, then stalled."""
        context = self._context
        instance.failures += 1
        instance.worker = None
        limit = context.settings.max_turn_failures
        _log.warning("turn failed", tries=instance.failures, reason=reason, **about(instance))
        if instance.failures >= limit:
            self._stall(instance, f"the turn failed {instance.failures} times in a row; last: {reason}")
        elif instance.failures == 1:
            self._hand_out(instance)
        else:
            backoff = min(_FIRST_BACKOFF_MS << (instance.failures - 2), _LONGEST_BACKOFF_MS)
            self._hold(
                instance, Hold.DELAYED, instance.state.status, reason, wake_at_ms=context.clock.now_ms() + backoff
            )

    def _stall(self, instance: LiveInstance, reason: str) -> None:
        # One line: the whole reason stands in the instance, and in the worker's log.
        _log.error("instance stalled", reason=reason.partition("\n")[0], **about(instance))
        self._hold(instance, Hold.STALLED, Status.STALLED, reason)

    def _hold(self, instance: LiveInstance, hold: Hold, status: Status, reason: str, *, wake_at_ms: int = 0) -> None:
        """Commit that the instance waits: its messages stay unread, its history stands."""
        state, turn = instance.state, instance.turn
        self._forget(instance)
        instance.worker = None
        state.hold, state.status, state.reason = hold, status, bounded_reason(reason)
        commit_id = turn.commit_id if turn is not None else self._context.new_commit_id()
        out = Outbound()
        if wake_at_ms:
            key = ReminderKey(WAKE_REMINDER, 0, state.execution_id, state.instance_id)
            out.reminders_set.append(ReminderSet(key, wake_at_ms))
        instance.turn = Turn(commit_id=commit_id, at_ms=0, received=[], void=[])
        instance.series = []
        commit = build_commit(
            instance,
            out,
            self._context,
            commit_id=commit_id,
            history=(),
            consumed=(),
            custom_status=None,
            open_turn=instance.open_tail,
        )
        self._submit(instance, commit, out)

    def sweep_overdue(self, sessions: Sequence[WorkerSession]) -> None:
        """Count turns that were not answered in time as failed; what waits behind them goes elsewhere."""
        for session in sessions:
            failed, stuck = overdue.take(session, self._context)
            for instance in stuck:
                self._hand_out(instance)
            for instance in failed:
                self._turn_failed(instance, f"no answer within {self._context.settings.turn_timeout_seconds:g} s")


def _release(state: InstanceState) -> None:
    """End a stall or a delay."""
    state.hold, state.reason = Hold.NONE, ""
    if state.status is Status.STALLED:
        state.status = Status.RUNNING
