"""Activities: the calls this engine runs, the entries it looks after, and what passes between it and the others.

The commit that schedules a call has written its entry; the append that stores its final result removes it. Between the
two there are two duties, which may be at two engines. The owner of the shard sees to it that somebody runs the call
(`entries`); whoever has claimed it runs it and stores the result, whoever owns the shard by then (`calls`, `results`).
What the owner's workers have no room for is told to all engines as hints (`spill`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import structlog

from tenuto_engine.core.sharding import shard_of
from tenuto_engine.ports.inbound import ActivityAnswer, ActivityBeat, Hello
from tenuto_engine.ports.records import ActivityKey, ActivityRecord
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.call import Call, parse_token
from tenuto_engine.runtime.calls import Calls
from tenuto_engine.runtime.committer import Committer
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.entries import Entries
from tenuto_engine.runtime.instance import LiveInstance
from tenuto_engine.runtime.ledger import Ledger
from tenuto_engine.runtime.log_fields import about_call
from tenuto_engine.runtime.nudges import News, spill_topic
from tenuto_engine.runtime.results import Results
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.spill import Spill
from tenuto_engine.runtime.tasks import TaskOwner
from tenuto_engine.runtime.turn_commit import Outbound
from tenuto_engine.runtime.turns import Turns
from tenuto_engine.runtime.watch import Watch
from tenuto_engine.runtime.workers import Workers, WorkerSession

_log = structlog.get_logger(__name__)

# Entries are changed by others seldom, and nudges are lost seldom: every so many sweeps is often enough.
_SWEEPS_BETWEEN = 5


class _Stray(WorkerSession):
    """Stands for a worker without a stream here; `stored` is called with the token of what it answered."""

    def __init__(self, stored: Callable[[str], None]) -> None:
        super().__init__(Hello(""), lambda: None)
        self._stored = stored

    def acknowledge(self, token: str) -> None:
        self._stored(token)


class Activities:
    """Both duties, and what the engine's other parts ask of them."""

    def __init__(
        self,
        context: Context,
        store: Store,
        committer: Committer,
        tasks: TaskOwner,
        *,
        workers: Workers,
        turns: Turns,
    ) -> None:
        self._context = context
        self._workers = workers
        self._watch = Watch(lambda call: call.is_open and (call.is_owned or call.session is not None))
        ledger = Ledger(context, store, committer, tasks)
        self._results = Results(context, committer, turns)
        self._calls = Calls(context, workers, ledger=ledger, results=self._results, watch=self._watch)
        self._spill = Spill(context, store, tasks, workers=workers, ledger=ledger, calls=self._calls)
        self._entries = Entries(
            context,
            store,
            tasks,
            workers=workers,
            ledger=ledger,
            results=self._results,
            calls=self._calls,
            spill=self._spill,
            watch=self._watch,
        )
        self._sweeps = 0
        self._shard_owned: Callable[[int], Shard | None]

    def wire(
        self,
        *,
        shard_owned: Callable[[int], Shard | None],
        shards: Callable[[], Iterable[Shard]],
        deliver: Callable[[Shard, str, int], None],
        nudge: Callable[[], None],
    ) -> None:
        """Connect with the parts that know the shards, and begin to hear of other engines."""
        self._shard_owned = shard_owned
        self._entries.shards = shards
        self._results.shard_owned = shard_owned
        self._results.deliver = deliver
        self._results.closed = self._closed
        self._results.still_open = self._calls.still_open
        self._calls.known = self._known
        self._calls.released = self._entries.released
        self._watch.nudge = nudge
        self._spill.cancelled = self.told
        self._spill.listen()
        self._context.membership.on_change.append(self._entries.members_changed)

    def _known(self, key: ActivityKey) -> Call | None:
        shard = self._shard_owned(shard_of(key.instance_id, self._context.settings.shards))
        return None if shard is None else shard.entries.get(key)

    def _closed(self, number: int, key: ActivityKey, reason: str) -> None:
        shard = self._shard_owned(number)
        if shard is not None:
            self._entries.closed(shard, key, reason)
        else:
            self._calls.closed(key, reason)

    # -- the owner's part -----------------------------------------------------------------------------------------

    def committed(self, instance: LiveInstance, records: Sequence[ActivityRecord], out: Outbound) -> None:
        """Hand out the calls that a commit scheduled, and forget those it removed."""
        self._entries.committed(instance, records, out)

    async def take_over(self, shard: Shard) -> None:
        """Read the open calls of a newly owned shard. Raises StoreUnavailable."""
        await self._entries.take_over(shard)

    def changed(self, shard: Shard, keys: Sequence[ActivityKey]) -> None:
        """Another engine has changed these entries of an owned shard."""
        self._entries.changed(shard, keys)

    def result_arrived(self, shard: Shard, key: ActivityKey) -> None:
        """The result of a call was found in an inbox."""
        self._entries.answered(shard, key)

    def next_look_ms(self) -> int:
        """When the next call must be looked at; far away where there is none."""
        return self._watch.next_ms()

    def look(self) -> None:
        """Act on calls that are due: the next attempt, an offer nobody took, or a deadline."""
        now_ms = self._context.clock.now_ms()
        due = self._watch.take_due(now_ms)
        for call in due:
            try:
                self._calls.look(call, now_ms)
            except Exception:  # one call that cannot be handled must not end the watch over all others
                _log.exception("an activity's deadline could not be handled", **about_call(call.key))
        try:
            self._entries.look([call for call in due if call.is_open and call.is_owned], now_ms)
        finally:
            for call in due:
                # What is being stored is looked at again when the store has answered.
                if call.is_open and not call.is_closing and not call.writing:
                    self._watch.set(call)

    # -- workers --------------------------------------------------------------------------------------------------

    def session_ready(self, session: WorkerSession) -> None:
        """A worker connected or has a free slot: hand it what waited."""
        self._calls.session_ready(session)

    def resumed(self, session: WorkerSession, running: Sequence[str]) -> None:
        """A worker is back with activities it still runs."""
        self._calls.resumed(session, running)

    def session_lost(self, session: WorkerSession) -> None:
        """A worker did not come back."""
        self._calls.session_lost(session)

    def answered(self, session: WorkerSession, answer: ActivityAnswer) -> None:
        """A worker answers a call."""
        self._calls.answered(session, answer)
        if self._spill.may_hold_more:
            self._spill.slot_freed(session)

    def stray_answered(self, answer: ActivityAnswer) -> None:
        """A worker answers a call that this engine has not handed out. Whoever has is told, once the store has it."""

        def stored(token: str) -> None:
            if not answer.failure:  # a failure may be followed by another attempt
                topic = spill_topic(self._context.settings.version)
                self._context.nudges.say(topic, cancelled=[(token, "its result was told to another engine")])

        self._calls.answered(_Stray(stored), answer)

    def beat(self, session: WorkerSession, beat: ActivityBeat) -> None:
        """A running activity says that it is alive."""
        self._calls.beat(session, beat)

    def told(self, news: News) -> None:
        """The owner of a shard says that calls which run here are closed, or asks whether they do."""
        for token, reason in news.cancelled:
            parsed = parse_token(token)
            if parsed is not None:
                self._calls.closed(parsed[0], reason)
        if news.calls:
            self._calls.asked(news.calls)

    # -- the other engines ------------------------------------------------------------------------------------------

    async def housekeep(self) -> None:
        """Pass on what waits here in vain, take what waits elsewhere, and make up for lost nudges."""
        membership, settings = self._context.membership, self._context.settings
        self._entries.look_again()
        if not membership.others(settings.version):
            return
        if membership.may_share(settings.version):
            waiting = self._workers.queued_before(self._context.monotonic() - settings.sweep_seconds)
            if waiting:
                reason = f"no worker of engine {self._context.engine_id} had room for it"
                self._calls.give_back(waiting, reason, self._tell_of)
        self._spill.take(few=True)
        self._sweeps += 1
        if self._sweeps % _SWEEPS_BETWEEN == 0:
            await self._entries.sweep()

    def _tell_of(self, calls: Sequence[Call]) -> None:
        """Calls were given back: their owners hear of it; where nobody owns the shard just now, a hint is faster."""
        elsewhere = [call for call in calls if not call.is_owned]
        if elsewhere:
            self._spill.tell(elsewhere)

    @property
    def is_busy(self) -> bool:
        """Whether a worker of this engine still runs a call, or the answer to one is on its way to the store."""
        return self._calls.is_busy or self._results.storing > 0

    def drain(self, reason: str) -> None:
        """Claim nothing more, and give back at once what no worker has begun, also what is being claimed just now."""
        self._calls.is_leaving = True
        self._calls.left_over = lambda call: self._calls.give_back([call], reason, self._tell_of)
        waiting = [call for call in self._calls.held.values() if call.queued_at]
        if waiting:
            self._calls.give_back(waiting, reason, self._tell_of)

    async def give_back_all(self, reason: str) -> int:
        """Give back every call that is not answered, with the reason; it is delivered again by whoever owns its shard.

        What a worker still runs goes on there; its result counts if it comes in time. Returns how many, once the store
        has all of it, or does not answer.
        """
        given = await self._calls.give_back_all(reason)
        self._tell_of(given)
        return len(given)
