"""One engine: its parts wired together, and the worker stream's entry points."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from tenuto_engine.ports.inbound import ActivityAnswer, ActivityBeat, Hello, TurnAnswer
from tenuto_engine.ports.leases import LeaseStore
from tenuto_engine.ports.operations import Commit, Operation
from tenuto_engine.ports.outcomes import Committed
from tenuto_engine.ports.serving import EngineView
from tenuto_engine.ports.store import Store, StoreInfo
from tenuto_engine.runtime import turn_metrics
from tenuto_engine.runtime.activities import Activities
from tenuto_engine.runtime.commands import Commands
from tenuto_engine.runtime.committer import Committer
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance
from tenuto_engine.runtime.leases import KeeperThread, LeaseKeeper, Rounds
from tenuto_engine.runtime.loading import Loading
from tenuto_engine.runtime.metrics.reads import measured
from tenuto_engine.runtime.nudges import MEMBERS, News
from tenuto_engine.runtime.outbox import Outbox
from tenuto_engine.runtime.ownership import Owned
from tenuto_engine.runtime.purging import Purging
from tenuto_engine.runtime.reminders import Reminders
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.stalled import Stalled
from tenuto_engine.runtime.stocktaking import Stocktaking
from tenuto_engine.runtime.tasks import TaskOwner, forever
from tenuto_engine.runtime.tracing import sampled_trace_id
from tenuto_engine.runtime.turn_commit import Outbound
from tenuto_engine.runtime.turns import Turns
from tenuto_engine.runtime.workers import Workers, WorkerSession

_log = structlog.get_logger(__name__)

# The longest that an acknowledgement waits for an item to travel with. A draining worker waits for it to end.
_ACKNOWLEDGE_SECONDS = 0.05
_DRAIN_PAUSE_SECONDS = 0.01


class Engine:
    """The runtime of one engine process over one store.

    `start`, then sessions come and go, then `drain` and `stop`. All methods run on one event loop.
    """

    def __init__(
        self,
        context: Context,
        store: Store,
        leases: LeaseStore,
        *,
        rounds: Callable[[LeaseKeeper], Rounds] = KeeperThread,
    ) -> None:
        self.context = context
        self._store = store
        self._lease_store = leases
        self._tasks = TaskOwner()
        self.workers = Workers(metrics=context.metrics)
        self._committer = Committer(
            store, metrics=context.metrics, faults=context.faults, monotonic_ns=context.monotonic_ns
        )
        self._turns = Turns(context, self._committer, self.workers)
        reading = measured(store, context.metrics)
        self._activities = Activities(
            context, reading, self._committer, self._tasks, workers=self.workers, turns=self._turns
        )
        self._loading = Loading(context, reading, self._turns, self._tasks)
        self._outbox = Outbox(context, self._committer)
        self._reminders = Reminders(context, reading, self._committer, self._tasks)
        self.owned = Owned(
            context,
            reading,
            self._tasks,
            loading=self._loading,
            outbox=self._outbox,
            reminders=self._reminders,
            workers=self.workers,
        )
        self._purging = Purging(context, reading, self._committer, self._loading)
        self.commands = Commands(
            context, reading, self._committer, owned=self.owned, loading=self._loading, purging=self._purging
        )
        self._stalled = Stalled(self.commands, self._tasks)
        self._stocktaking = Stocktaking(context, reading, self.workers, self.owned.shards)
        self.info: StoreInfo
        self._keeper: LeaseKeeper
        self._new_rounds = rounds
        self._rounds: Rounds
        self._drain_until = 0.0
        self._worker_seen_at = -math.inf
        self._wire()

    def _wire(self) -> None:
        """Connect the parts that need each other; here, so that each states its needs and none reaches for globals."""
        self._committer.trace_of = self._trace_of
        self._committer.on_new_store = self.owned.store_changed
        nudges = self.context.nudges
        nudges.owns = lambda number: number in self.owned.shards
        nudges.on_shard = self.owned.nudged
        nudges.on(MEMBERS, self.owned.members_changed)
        nudges.on_mine(self._told)
        self._committer.on_executed = nudges.executed
        self._turns.effects = self
        self._turns.loader = self._loading
        self._turns.on_fenced = self.owned.fenced
        self._turns.call_later = _call_later
        self._loading.nudge_reminders = self._reminders.nudge
        self._activities.wire(
            shard_owned=self.owned.get,
            shards=self.owned.shards.values,
            deliver=self._loading.deliver,
            nudge=self._reminders.nudge,
        )
        self._loading.open_activities = self._activities.take_over
        self._loading.result_arrived = self._activities.result_arrived
        self.owned.calls_changed = self._activities.changed
        self._outbox.shard_owned = self.owned.get
        self._outbox.read_unsent = self.owned.read_unsent
        self._outbox.deliver = self._loading.deliver
        self._outbox.born = self._loading.born
        self.commands.nudge_reminders = self._reminders.nudge
        self._purging.shard_owned = self.owned.get
        self._reminders.shards = lambda: list(self.owned.shards.values())
        self._reminders.deliver = self._loading.deliver
        self._reminders.purge = self._purging.expire
        self._reminders.next_look_ms = self._activities.next_look_ms
        self._reminders.look = self._activities.look
        self._reminders.on_fenced = self.owned.fenced

    def _told(self, news: News) -> None:
        self.commands.told(news)
        self._activities.told(news)

    # -- life -----------------------------------------------------------------------------------------------------

    async def start(self, *, durability: str) -> None:
        """Open the store and begin to own shards. Raises StoreRefused, StoreUnavailable."""
        info = await self._store.open(shards=self.context.settings.shards, durability=durability)
        # Before the first heartbeat commands are taken already: this machine's calendar may be wrong by hours.
        asked_ns = self.context.monotonic_ns()
        self.context.clock.learn(await self._store.now_ms(), asked_ns, self.context.monotonic_ns())
        self.start_beside(info)

    def start_beside(self, info: StoreInfo) -> None:
        """Begin to own shards of a store that another engine of this process has opened, and closes."""
        settings = self.context.settings
        self.info = info
        self._keeper = LeaseKeeper(
            self.context,
            self._lease_store,
            self.owned,
            exclusive=self.info.exclusive,
            call=self._call_from_keeper(asyncio.get_running_loop()),
        )
        self._rounds = self._new_rounds(self._keeper)
        self.context.membership.exclusive = self.info.exclusive
        self.owned.keeper = self._keeper
        self.context.may_act = lambda: self._keeper.is_confident
        self.context.knows_members = lambda: self._keeper.knows_members
        self._describe()
        self._tasks.start(self._committer.run(), name="committer")
        self._tasks.start(self.context.nudges.run(), name="nudges")
        self._tasks.start(self._reminders.run(), name="reminders")
        self._recur(self.owned.sweep, settings.sweep_seconds, name="sweep")
        self._recur(self.owned.sweep_reminders, settings.sweep_seconds, name="sweep-reminders")
        self._recur(self._flush, _ACKNOWLEDGE_SECONDS, name="acknowledge")
        self._recur(self._activities.housekeep, settings.sweep_seconds, name="calls")
        self._recur(self._housekeep, 1.0, name="housekeeping")
        self._tasks.start(self._stocktaking.run(), name="stocktaking")
        self._tasks.start(self._stocktaking.measure_lag(), name="loop-lag")
        self._show_store()
        self._rounds.start()

    def _recur(self, step: Callable[[], Coroutine[Any, Any, None]], seconds: float, *, name: str) -> None:
        pause = self.context.sources.pause
        self._tasks.start(forever(step, pause_seconds=seconds, pause=pause, name=name), name=name)

    @staticmethod
    def _call_from_keeper(loop: asyncio.AbstractEventLoop) -> Callable[..., None]:
        def call(function: Callable[..., object], *arguments: object) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(function, *arguments)

        return call

    def _describe(self) -> None:
        """Tell the keeper what to say of this engine; a worker that was there a moment ago may come back.

        Only one that has registered a workflow makes an owner: the others could not move an instance.
        """
        now = self.context.monotonic()
        if any(session.workflows and not session.draining for session in self.workers.sessions.values()):
            self._worker_seen_at = now
        has_workers = now - self._worker_seen_at <= self.context.settings.reconnect_grace_seconds
        if self._keeper.describe(draining=self.owned.draining, has_workers=has_workers):
            self.owned.announce()

    def _show_store(self) -> None:
        """What only this store tells: its layout, and what replicas have answered, where it waits for them."""
        metrics, store = self.context.metrics, self._store
        metrics.show("tenuto_lease_remaining_seconds", lambda: self._keeper.remaining_seconds)
        metrics.build(str(getattr(store, "layout", 1)))
        acks = getattr(store, "replica_acks", None)
        if acks is not None:
            metrics.show("tenuto_state_replica_ack_total", lambda: {"ok": acks.ok, "short": acks.short})

    async def _flush(self) -> None:
        for session in self.workers.sessions.values():
            session.flush()

    async def _housekeep(self) -> None:
        sessions = list(self.workers.sessions.values())
        self._turns.sweep_overdue(sessions)
        self.owned.evict_idle()
        self._describe()
        for session in sessions:
            # A slot may be free without an answer: a deadline passed, or what it was taken for is gone.
            self._turns.session_ready(session)
            self._activities.session_ready(session)

    @property
    def is_ready(self) -> bool:
        """Whether commands can be taken: the store is open, and this engine is not about to go."""
        return hasattr(self, "info") and not self.owned.draining

    async def drain(self) -> None:
        """Hand the shards over as they fall idle, and let the activities that run end, within the drain time.

        Whoever owns a shard by then takes its activities' results. Idempotent; the time is counted once.
        """
        if not self.owned.draining:
            self.context.metrics.draining.set(1)
            _log.info("draining", shards=len(self.owned.shards))
            self._drain_until = self.context.monotonic() + self.context.settings.drain_seconds
            self.owned.drain()
            self._describe()
            for session in list(self.workers.sessions.values()):
                session.draining = True
                session.announce_drain()
            self._activities.drain(f"engine {self.context.engine_id} is draining")
        # Asked again and again, but only here: telling the drain of every answer would cost each one a call.
        while self._is_busy() and self.context.monotonic() < self._drain_until:  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_PAUSE_SECONDS)
        given = await self._activities.give_back_all(f"engine {self.context.engine_id} was drained before it ended")
        if given:
            _log.warning("activities given back, they did not end in the drain time", activities=given)
        self.owned.let_go("drain")

    def _is_busy(self) -> bool:
        return bool(self.owned.shards) or self._activities.is_busy

    async def stop(self) -> None:
        """Release the shards and close the store. What is unfinished goes on elsewhere."""
        await self.stop_beside()
        await self._store.close()

    async def stop_beside(self) -> None:
        """Release the shards of a store that stays open."""
        await self._rounds.stop()
        await self._tasks.close()

    # -- effects --------------------------------------------------------------------------------------------------

    def committed(self, instance: LiveInstance, commit: Commit, out: Outbound, outcome: Committed) -> None:
        """Perform what a commit made durable."""
        shard = instance.shard
        if commit.activities_set or out.activities_removed:
            self._activities.committed(instance, commit.activities_set, out)
        if commit.reminders_set:
            self._reminders.committed(shard, commit.reminders_set)
        if commit.outbox:
            self._outbox.committed(shard, commit.outbox, outcome.outbox)
        for (target, _), result in zip(commit.appends, outcome.appended, strict=False):
            number = getattr(result, "number", -1)
            if number >= 0 and target != instance.id:
                self._loading.deliver(shard, target, number)
        turn_metrics.commit_confirmed(self.context, instance, commit, out)

    def _trace_of(self, operations: Sequence[Operation]) -> str:
        """A recorded trace that one of these operations belongs to, if an instance in memory tells."""
        for operation in operations:
            shard = self.owned.shards.get(operation.shard)
            instance = shard.live.get(getattr(operation, "instance_id", "")) if shard is not None else None
            if instance is not None and instance.state.trace_parent:
                return sampled_trace_id(instance.state.trace_parent)
        return ""

    # -- workers --------------------------------------------------------------------------------------------------

    def connect(self, hello: Hello, wake: Callable[[], None]) -> WorkerSession:
        """A worker's stream began. `wake` is called whenever something is queued for it."""
        session = WorkerSession(hello, wake)
        session.draining = self.owned.draining
        former = self.workers.add(session)
        if former is not None:
            former.alive = False
            self._turns.session_lost(former)
        self._activities.resumed(session, hello.running)
        if former is not None:
            self._activities.session_lost(former)  # what was on its way when the former stream broke
        _log.info(
            "worker connected",
            worker=session.id,
            sdk=session.sdk,
            workflows=len(session.workflows.known),
            activities=len(session.activities.known),
            running=len(hello.running),
        )
        self._describe()
        self._turns.session_ready(session)
        self._activities.session_ready(session)
        if hello.frees_stalled:
            self._stalled.worker_connected()
        return session

    def disconnect(self, session: WorkerSession) -> None:
        """A worker's stream ended. Its turns run elsewhere at once; its activities after a moment, it may come back."""
        self.workers.remove(session)
        _log.info("worker disconnected", worker=session.id, activities=len(session.runs), turns=len(session.turns))
        self._turns.session_lost(session)
        grace = self.context.settings.reconnect_grace_seconds
        asyncio.get_running_loop().call_later(grace, self._give_up, session)

    def _give_up(self, session: WorkerSession) -> None:
        successor = self.workers.sessions.get(session.id)
        if successor is not None:
            for token in successor.runs:
                session.runs.pop(token, None)
        self._activities.session_lost(session)

    def others_know(self, session: WorkerSession, *, workflow: str = "", activity: str = "", token: str = "") -> bool:
        """Whether another worker may have the workflow or activity that this one says it lacks."""
        call = session.runs.get(token)
        if call is not None and not call.is_owned:
            return True  # another engine's workers had no room for it, or were gone; they may know more
        return self.workers.others_know(session, workflow=workflow, activity=activity)

    def turn_answered(self, session: WorkerSession, answer: TurnAnswer) -> None:
        self._turns.answered(session, answer)

    def activity_answered(self, session: WorkerSession, answer: ActivityAnswer) -> None:
        self._activities.answered(session, answer)

    def stray_answered(self, answer: ActivityAnswer) -> None:
        """A worker that this engine does not know answers a call: what a token names counts wherever it is told."""
        self._activities.stray_answered(answer)

    def activity_alive(self, session: WorkerSession, beat: ActivityBeat) -> None:
        self._activities.beat(session, beat)

    def describe(self) -> EngineView:
        """What this engine says of itself, now."""
        context = self.context
        return EngineView(
            engine_id=context.engine_id,
            app=context.settings.app,
            version=context.settings.version,
            store=self.info.description,
            durability=self.info.durability,
            durability_verified=self.info.verified,
            shards=context.settings.shards,
            shards_owned=len(self.owned.shards),
            workers=len(self.workers.sessions),
            draining=self.owned.draining,
            has_peers=context.membership.has_peers,
            max_payload_bytes=context.limits.payload_bytes,
            max_message_bytes=context.limits.message_bytes,
        )

    def metrics_page(self, accept: str) -> tuple[bytes, str]:
        """The engine's counters and their content type, as the Accept header asks."""
        return self.context.metrics.render(accept)

    def worker_draining(self, session: WorkerSession) -> None:
        """The worker takes nothing new; what it runs may still answer."""
        session.draining = True

    def next_due_ms(self) -> int:
        """When the next reminder or open call is due, by the store's clock, as far as this engine knows."""
        return self._reminders.next_due_ms()

    def shard(self, number: int) -> Shard | None:
        return self.owned.get(number)


def _call_later(seconds: float, call: Callable[..., object], *args: object) -> None:
    asyncio.get_running_loop().call_later(seconds, call, *args)
