"""Entries of open calls in the shards this engine owns: the owner sees to it that each is run by somebody.

It delivers again when the claim's holder is gone or gave the call back, begins the next attempt when it is due, and
ends a call at its schedule-to-close timeout. Whoever runs a call changes its entry under no lease and nudges the owner;
a nudge that was lost is made up for by the sweep over entries that are due.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import structlog

from tenuto_engine.codec.records import ActivityBody
from tenuto_engine.core.events import ActivityFailed, Failure
from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.records import ActivityKey, ActivityRecord
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.call import Call
from tenuto_engine.runtime.calls import TIMEOUT, Calls
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance
from tenuto_engine.runtime.ledger import Ledger, decoded
from tenuto_engine.runtime.nudges import engine_topic, spill_topic
from tenuto_engine.runtime.results import ANSWERED, Results
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.spill import Spill
from tenuto_engine.runtime.tasks import TaskOwner
from tenuto_engine.runtime.turn_commit import OFFER_AGAIN_MS, Outbound
from tenuto_engine.runtime.watch import Watch
from tenuto_engine.runtime.workers import Workers

_log = structlog.get_logger(__name__)

# An unclaimed call is offered again after OFFER_AGAIN_MS, then ever more seldom: the others are busy, not deaf.
_LONGEST_OFFER_MS = 30_000
_MOST_ENTRIES = 1_000_000
_SWEEP_ENTRIES = 500
_PAUSE_SECONDS = 0.5
# An entry that is due by less may just be on its way into this engine's memory.
_SETTLE_MS = 1_000
# A claim that old was answered to its engine, or never will be.
_ASK_AFTER_MS = 3_000


class Entries:
    """The open calls of all owned shards; `shard.entries` has them by key."""

    def __init__(
        self,
        context: Context,
        store: Store,
        tasks: TaskOwner,
        *,
        workers: Workers,
        ledger: Ledger,
        results: Results,
        calls: Calls,
        spill: Spill,
        watch: Watch,
    ) -> None:
        self._context = context
        self._store = store
        self._tasks = tasks
        self._others = frozenset[str]()
        self._workers = workers
        self._ledger = ledger
        self._results = results
        self._calls = calls
        self._spill = spill
        self._watch = watch
        self._sweep_limit = _SWEEP_ENTRIES
        self._asked = 0
        # Claimed by somebody who stands in no roll, and whom no later one has shown to be gone yet.
        self._doubtful: list[Call] = []
        self.shards: Callable[[], Iterable[Shard]]

    # -- what commits write ---------------------------------------------------------------------------------------

    def committed(self, instance: LiveInstance, records: Sequence[ActivityRecord], out: Outbound) -> None:
        """Hand out the calls that a commit scheduled, and forget those it removed."""
        shard = instance.shard
        unclaimed: list[Call] = []
        for record, (body, payload) in zip(records, out.bodies, strict=True):
            call = Call(
                record.key,
                shard.number,
                body,
                attempt=1,
                revision=1,
                look_at_ms=record.look_at_ms,
                shard=shard,
                payload=payload,
                has_payload=True,
            )
            shard.entries[record.key] = call
            if body.claim:
                self._calls.take(call)
            else:
                unclaimed.append(call)
        if unclaimed:
            self._offer(unclaimed)
        for key in out.activities_removed:
            self.closed(shard, key, _ended(instance))

    def closed(self, shard: Shard, key: ActivityKey, reason: str) -> None:
        """A call is closed although it may still run: whoever runs it should hear of it."""
        call = shard.entries.pop(key, None)
        self._calls.closed(key, reason)
        if call is not None:
            call.is_open = False
            if call.body.claim not in ("", self._context.engine_id):
                self._context.nudges.say(engine_topic(call.body.claim), cancelled=[(call.token, reason)])
            elif call.hints:
                # Offered, and perhaps taken: who took it is learned only when it is to be offered again.
                self._context.nudges.say(spill_topic(self._context.settings.version), cancelled=[(call.token, reason)])

    def answered(self, shard: Shard, key: ActivityKey) -> None:
        """A result was found in an inbox, which another engine has stored: it has closed the call."""
        call = shard.entries.pop(key, None)
        if call is not None:
            call.is_open = False
            self._calls.closed(key, ANSWERED)

    # -- what the store holds -------------------------------------------------------------------------------------

    async def take_over(self, shard: Shard) -> None:
        """Read all open calls of a newly owned shard; those that nobody runs any more are delivered again."""
        version = self._context.settings.version
        records = await self._store.read_activities(shard.number, version, due_ms=None, limit=_MOST_ENTRIES)
        if shard.alive:
            self._learn(shard, filter(None, map(decoded, records)))

    def changed(self, shard: Shard, keys: Sequence[ActivityKey]) -> None:
        """Another engine has changed these entries."""
        self._ledger.read(keys, lambda found: self._learn(shard, filter(None, found)))

    def _learn(self, shard: Shard, entries: Iterable[tuple[ActivityRecord, ActivityBody]]) -> None:
        if not shard.alive:
            return
        for record, body in entries:
            call = shard.entries.get(record.key)
            is_known = call is not None and call.revision >= record.revision
            if call is None:
                call = self._calls.call_of(record, body)
                call.shard = shard
                shard.entries[record.key] = call
            elif not is_known and not call.writing:
                call.learn(record, body)
            if not call.writing and not is_known:
                self._look_after(call)

    def _look_after(self, call: Call) -> None:
        """Act on an entry as it was just read."""
        claim = call.body.claim
        is_mine, held = claim == self._context.engine_id, call.key in self._calls.held
        session = None if is_mine and held else self._calls.session_of(call)
        if session is not None:
            self._calls.reclaim(session, call)
        elif is_mine and not held:
            self._calls.adopt(call)
        elif claim and not is_mine:
            if held:
                self._calls.let_go(call)  # it took this engine for gone
            if self._context.membership.is_gone(claim, call.body.claimed_at_ms):
                self._calls.redeliver(call)
            elif not self._context.membership.is_listed(claim):
                self._doubtful.append(call)
        call.hint_at_ms = call.hints = 0
        self._watch.set(call)

    def released(self, call: Call) -> None:
        """This engine has given up its claim, lost it, or came too late with one."""
        if call.is_owned and not call.writing:
            self._look_after(call)

    def members_changed(self) -> None:
        """Somebody may be gone: what they had claimed is free."""
        membership, settings = self._context.membership, self._context.settings
        is_gone = membership.is_gone
        former, self._others = self._others, frozenset(m.engine_id for m in membership.others(settings.version))
        if former - self._others:
            # Memory does not know all claims: one may have followed another while nudges were lost.
            self._tasks.start(self._read_all(), name="claims-of-gone")
        for shard in list(self.shards()):
            for call in list(shard.entries.values()):
                if call.body.claim and not call.writing and is_gone(call.body.claim, call.body.claimed_at_ms):
                    self._calls.redeliver(call)
                elif call.hints:
                    call.hint_at_ms = 0  # it may have been taken by whoever is gone now
                    self._watch.set(call)

    async def _read_all(self) -> None:
        for shard in list(self.shards()):
            while shard.alive:
                try:
                    await self.take_over(shard)
                    break
                except StoreUnavailable:
                    await asyncio.sleep(_PAUSE_SECONDS)

    def look_again(self) -> None:
        """Decide about calls whose claimant stood in no roll; one that was read since tells more."""
        doubtful, self._doubtful = self._doubtful, []
        for call in doubtful:
            if call.is_open and call.is_owned and not call.writing:
                self._look_after(call)

    async def sweep(self) -> None:
        """Look at entries that are due in the store: one that another engine changed while its nudge was lost."""
        settings = self._context.settings
        crowded = False
        for shard in list(self.shards()):
            due_ms = self._context.clock.now_ms() - _SETTLE_MS
            try:
                records = await self._store.read_activities(
                    shard.number, settings.version, due_ms=due_ms, limit=self._sweep_limit
                )
            except StoreUnavailable:
                return
            crowded = crowded or len(records) >= self._sweep_limit
            news = [r for r in records if r.key not in shard.entries or shard.entries[r.key].revision < r.revision]
            self._learn(shard, filter(None, map(decoded, news)))
        self._ask_claimants()
        # Behind a full page of entries that wait for a worker there may be others.
        self._sweep_limit = min(2 * self._sweep_limit, _MOST_ENTRIES) if crowded else _SWEEP_ENTRIES

    def _ask_claimants(self) -> None:
        """Ask those who have claimed calls for long whether they know: a commit claims, and its answer may be lost."""
        claimed_ms = self._context.clock.now_ms() - _ASK_AFTER_MS
        asked: defaultdict[str, list[ActivityKey]] = defaultdict(list)
        for shard in self.shards():
            for call in shard.entries.values():
                claim = call.body.claim
                if claim not in ("", self._context.engine_id) and call.body.claimed_at_ms < claimed_ms:
                    asked[claim].append(call.key)
        for claim, keys in asked.items():
            # So many fit into one nudge; which ones changes with the time, so that each is asked after in turn.
            start = self._asked % len(keys)
            self._context.nudges.say(engine_topic(claim), calls=[*keys[start:], *keys[:start]][:_SWEEP_ENTRIES])
        self._asked += _SWEEP_ENTRIES

    # -- when something is due --------------------------------------------------------------------------------------

    def look(self, calls: Sequence[Call], now_ms: int) -> None:
        """Act on entries that are due: a deadline, the next attempt, or an offer that nobody took."""
        unclaimed: list[Call] = []
        offered: list[Call] = []
        for call in calls:
            if now_ms >= call.deadline_ms():
                if not call.is_closing:
                    self._time_out(call)
            elif not call.body.claim and not call.writing and call.owner_looks_at_ms() <= now_ms:
                (offered if call.hints else unclaimed).append(call)
        if unclaimed:
            self._place(unclaimed)
        if offered:
            self._look_closer(offered, now_ms)

    def _look_closer(self, calls: Sequence[Call], now_ms: int) -> None:
        """Calls that were offered: see which of them nobody has taken, and place these again."""
        for call in calls:
            call.hint_at_ms = now_ms + OFFER_AGAIN_MS

        def then(found: Sequence[tuple[ActivityRecord, ActivityBody] | None]) -> None:
            waiting: list[Call] = []
            for call, entry in zip(calls, found, strict=True):
                if not call.is_open or not call.is_owned or call.writing:
                    continue
                if entry is None:
                    self._results.closed(call.number, call.key, ANSWERED)
                elif entry[0].revision > call.revision:
                    call.learn(*entry)
                    self._look_after(call)
                elif not call.body.claim:
                    waiting.append(call)
            self._place(waiting)

        self._ledger.read([call.key for call in calls], then)

    def _time_out(self, call: Call) -> None:
        body, key = call.body, call.key
        text = (
            f"activity '{body.name}' of instance '{key.instance_id}' did not end within its schedule-to-close "
            f"timeout of {body.schedule_to_close_ms} ms (attempt {call.attempt})"
        )
        if body.last_failure:
            text = f"{text}; last failure: {body.last_failure}"
        failure = Failure(TIMEOUT, text, non_retryable=True)
        self._results.close(key, ActivityFailed(key.event_id, failure, call.attempt), call=call, reason=text)

    def _place(self, calls: Sequence[Call]) -> None:
        """Run unclaimed calls here as far as workers are free, and offer the rest to the other engines."""
        may_share = self._context.membership.may_share(self._context.settings.version)
        offered: list[Call] = []
        free: dict[str, int] = {}
        for call in calls:
            name = call.body.name
            left = free.setdefault(name, self._workers.free_for(name))
            if left > 0 or (not may_share and not self._calls.is_leaving):
                free[name] = left - 1
                self._calls.claim(call)
            elif may_share:
                offered.append(call)
            else:
                call.hint_at_ms = self._context.clock.now_ms() + OFFER_AGAIN_MS
        if offered:
            self._offer(offered)

    def _offer(self, calls: Sequence[Call]) -> None:
        """Tell of unclaimed calls, and look again in case nobody takes them."""
        now_ms = self._context.clock.now_ms()
        for call in calls:
            call.hint_at_ms = now_ms + min(OFFER_AGAIN_MS << call.hints, _LONGEST_OFFER_MS)
            call.hints = min(call.hints + 1, 8)
            # The input is read again by whoever runs the call, most likely another engine.
            call.payload, call.has_payload = None, False
            self._watch.set(call)
        self._spill.tell(calls)


def _ended(instance: LiveInstance) -> str:
    """Why the calls of an execution that ends or goes on as new are for nothing."""
    state = instance.state
    if state.status is Status.TERMINATED and state.reason:
        return f"instance '{instance.id}' was terminated: {state.reason}"
    if state.status not in TERMINAL:
        return f"instance '{instance.id}' has continued as new"
    return f"instance '{instance.id}' has ended ({state.status.name.lower()})"
