"""The shards this engine owns: what happens when one is granted, lost or given up, and the sweep over ready marks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog

from tenuto_engine.ports.errors import StoreRefused, StoreUnavailable
from tenuto_engine.ports.leases import Lease, Roll
from tenuto_engine.ports.records import ActivityKey, OutboxRecord
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import Phase
from tenuto_engine.runtime.leases import LeaseKeeper
from tenuto_engine.runtime.loading import Loading
from tenuto_engine.runtime.nudges import MEMBERS, News, engine_topic
from tenuto_engine.runtime.outbox import Outbox
from tenuto_engine.runtime.reminders import Reminders
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.tasks import TaskOwner
from tenuto_engine.runtime.workers import Workers

_log = structlog.get_logger(__name__)

_READY_BATCH = 1_000
_MOST_READY = 1_000_000
_OUTBOX_BATCH = 1_000
_PAUSE_SECONDS = 0.5
_LONG_PAUSE_SECONDS = 5.0
# Shards whose records are read at once: a hundred taken in a burst must not stampede the store.
_TAKEOVERS = 16
_LINGER_PAUSE_SECONDS = 0.005
# What happens to many shards at once is one line in the log.
_TOGETHER_SECONDS = 0.2
# Engines that wait for one instance are told; more of them would find out by asking.
_MOST_WATCHERS = 100
# An instance may be marked ready and look idle for as long as its message is on the way from the store to memory.
_SETTLE_MS = 1_000
# Shards whose earliest reminder is read anew in one sweep: another engine may have set one, for a delayed start.
_REMINDERS_LOOKED_AT = 8
# Instances of a shard that wait for a worker and are compared with the store in one sweep; there may be very many.
_WAITING_LOOKED_AT = 16


class Owned:
    """All owned shards, by number."""

    def __init__(
        self,
        context: Context,
        store: Store,
        tasks: TaskOwner,
        *,
        loading: Loading,
        outbox: Outbox,
        reminders: Reminders,
        workers: Workers,
    ) -> None:
        self._context = context
        self._store = store
        self._tasks = tasks
        self._loading = loading
        self._outbox = outbox
        self._reminders = reminders
        self._workers = workers
        self.shards: dict[int, Shard] = {}
        self.draining = False
        self.keeper: LeaseKeeper
        self.calls_changed: Callable[[Shard, Sequence[ActivityKey]], None]
        self._began = context.monotonic()
        self._to_announce = True
        self._takeovers = asyncio.Semaphore(_TAKEOVERS)
        self._ready_limit = _READY_BATCH
        self._looked_at = 0
        self._epochs: dict[int, int] = {}
        self._dropped: set[int] = set()
        self._went_back = False
        self._sweeps = 0

    def get(self, number: int) -> Shard | None:
        return self.shards.get(number)

    # -- what the lease keeper says -----------------------------------------------------------------------------------

    def granted(self, lease: Lease) -> None:
        """Own a shard: everything known of it before is void."""
        former = self.shards.get(lease.shard)
        if former is not None:
            self._close(former)
        if lease.epoch <= self._epochs.get(lease.shard, 0):
            self._store_went_back(lease)
        self._epochs[lease.shard] = lease.epoch
        shard = Shard(lease)
        self.shards[lease.shard] = shard
        self._context.nudges.follow([lease.shard])
        self._context.metrics.shards_owned.set(len(self.shards))
        self._tasks.start(self._take_over(shard), name=f"take-over-{shard.number}")
        if self.draining:
            self.hand_over([lease], "drain")  # it was on its way when the drain began

    def lost(self, lease: Lease, cause: str) -> None:
        """A lease is gone. Its memory goes with it."""
        shard = self.shards.get(lease.shard)
        if shard is not None and shard.lease is lease:
            _log.debug("shard lost", shard=lease.shard, cause=cause)
            self._close(shard)

    def surplus(self, leases: Sequence[Lease], cause: str) -> None:
        """The shard map gives these to others."""
        self.hand_over(leases, cause)

    def released(self, shards: Sequence[int]) -> None:
        """Nobody owns these now: whoever the map gives them to can take them at once."""
        self._context.nudges.say(MEMBERS, released=shards)

    def learned(self, roll: Roll, *, desired: int, unowned: int) -> None:
        """A round of the keeper read who is alive."""
        before = self._context.membership.ids
        self._context.membership.learn(roll)
        now = self._context.membership.ids
        if before and before != now:
            _log.info("engines changed", joined=sorted(now - before), gone=sorted(before - now), engines=len(now))
        self._context.metrics.shards(desired=desired, owned=len(self.shards), unowned=unowned)
        if self._to_announce:
            # Not before: while no roll was read, this engine looks alone, and would tell nobody.
            self._to_announce = False
            self._context.nudges.say(MEMBERS, released=[])

    def announce(self) -> None:
        """Tell the others, once the keeper's next heartbeat says so, that this engine's standing has changed."""
        self._to_announce = True

    def _store_went_back(self, lease: Lease) -> None:
        """An epoch never falls while the store keeps what it has acknowledged."""
        if self._went_back:
            return
        self._went_back = True
        self._tasks.start(self._recheck(), name="went-back")
        _log.error(
            "the store has lost what it had acknowledged: it was emptied, or went back to an earlier moment",
            shard=lease.shard,
            epoch=lease.epoch,
            epoch_before=self._epochs[lease.shard],
        )

    async def _recheck(self) -> None:
        """See whether the store may still be used, and mark it as this app's where the mark is gone."""
        while self._went_back:
            try:
                await self._store.recheck()
                self._went_back = False
            except StoreRefused as error:
                _log.error("the store is no longer for this engine; it stores nothing there", error=str(error))
                await asyncio.sleep(self._context.settings.lease_seconds)
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)

    def store_was_away(self) -> None:
        _log.info("store answers again; acquiring all shards anew")

    def store_changed(self) -> None:
        """The store restarted or another server took its place: writes may be lost, so everything is loaded anew."""
        _log.warning("the store was restarted, failed over or replaced; acquiring all shards and loading them anew")
        self.keeper.reconnect()
        for shard in list(self.shards.values()):
            self.fenced(shard)

    def fenced(self, shard: Shard) -> None:
        """A write was refused or its outcome is unknown: drop the memory of the shard, and its lease."""
        if shard.alive:
            if not self._dropped:
                asyncio.get_running_loop().call_later(_TOGETHER_SECONDS, self._log_dropped)
            self._dropped.add(shard.number)
            self._close(shard)
            self.keeper.drop(shard.lease)

    def _log_dropped(self) -> None:
        dropped, self._dropped = sorted(self._dropped), set()
        _log.warning(
            "dropped the memory of shards after refused or unconfirmed writes; loading them anew",
            shards=len(dropped),
            first=dropped[0],
        )

    # -- what other engines say -----------------------------------------------------------------------------------

    def nudged(self, number: int, news: News) -> None:
        """Something was stored for an owned shard, or somebody wants to hear of an instance."""
        shard = self.shards.get(number)
        if shard is None:
            return
        for instance_id, message_number in news.instances:
            self._loading.deliver(shard, instance_id, message_number)
        if news.calls:
            self.calls_changed(shard, news.calls)
        for instance_id, engine_id in news.watch:
            live = shard.live.get(instance_id)
            # Whoever waits for long asks again and again.
            if live is not None and engine_id not in live.watchers and len(live.watchers) < _MOST_WATCHERS:
                live.watchers.add(engine_id)
                live.on_progress.append(partial(self._tell, instance_id, engine_id))

    def _tell(self, instance_id: str, engine_id: str) -> None:
        self._context.nudges.say(engine_topic(engine_id), progress=[instance_id])

    def members_changed(self, _news: News) -> None:
        """Somebody came, goes, or has released shards: look at the map now."""
        self.keeper.wake.set()

    # -- handing over ---------------------------------------------------------------------------------------------

    def hand_over(self, leases: Iterable[Lease], cause: str) -> None:
        """Give shards to others, each as soon as no turn of it is under way. What waits goes on there."""
        leaving: list[Shard] = []
        for lease in leases:
            shard = self.shards.get(lease.shard)
            if shard is not None and shard.lease is lease and not shard.leaving:
                shard.leaving = True
                leaving.append(shard)
        self._let_idle_go(leaving, cause)
        if leaving:
            self._tasks.start(self._linger(leaving, cause), name=f"hand-over-{cause}")

    def drain(self) -> None:
        """Hand all shards over, and take none any more."""
        self.draining = True
        self.hand_over([shard.lease for shard in self.shards.values()], "drain")

    def let_go(self, cause: str) -> None:
        """Give up every shard now, whatever is under way: a turn that is not committed runs again elsewhere."""
        self._give_up(list(self.shards.values()), cause)

    async def _linger(self, leaving: list[Shard], cause: str) -> None:
        """Wait for the turns under way; one that outlasts the bound runs again elsewhere."""
        deadline = self._context.monotonic() + self._context.settings.linger_seconds
        while leaving and self._context.monotonic() < deadline:
            await asyncio.sleep(_LINGER_PAUSE_SECONDS)
            self._let_idle_go(leaving, cause)
        self._give_up(leaving, cause)

    def _let_idle_go(self, leaving: list[Shard], cause: str) -> None:
        self._give_up([shard for shard in leaving if not shard.is_busy], cause)
        leaving[:] = [shard for shard in leaving if shard.alive]

    def _give_up(self, shards: list[Shard], cause: str) -> None:
        leases = [shard.lease for shard in shards if shard.alive]
        for shard in shards:
            if shard.alive:
                self._close(shard)
        if leases:
            _log.info("shards handed over", shards=len(leases), cause=cause)
            self.keeper.give_up(leases, cause)

    def _close(self, shard: Shard) -> None:
        for instance in shard.live.values():
            for held in {instance.worker, instance.turn.session if instance.turn else None} - {None}:
                assert held is not None
                held.turns.pop(instance.id, None)
                held.forget(instance.id, "")
        shard.close()
        if self.shards.get(shard.number) is shard:
            del self.shards[shard.number]
            self._context.nudges.unfollow([shard.number])
        self._context.metrics.shards_owned.set(len(self.shards))

    # -- taking over ----------------------------------------------------------------------------------------------

    async def _take_over(self, shard: Shard) -> None:
        """Find everything that an earlier owner left: ready instances, open calls, reminders, outgoing messages."""
        began = self._context.monotonic()
        while shard.alive:
            try:
                async with self._takeovers:
                    await self._resume(shard)
                self._resumed(shard.lease, self._context.monotonic() - began)
                await self._wait_for_workers()
                async with self._takeovers:
                    await self._loading.open_activities(shard)
                return
            except StoreUnavailable as error:
                _log.warning("taking over a shard waits for the store", shard=shard.number, error=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
            except Exception:  # one record that cannot be handled must not leave the shard half taken over for good
                _log.exception("a shard could not be taken over; trying again", shard=shard.number)
                await asyncio.sleep(_LONG_PAUSE_SECONDS)

    async def _resume(self, shard: Shard) -> None:
        version = self._context.settings.version
        for instance_id, _ in await self._store.read_ready(shard.number, version, limit=_READY_BATCH):
            self._loading.reload(shard, instance_id)
        reminders = await self._store.read_reminders(shard.number, version, limit=1)
        if reminders and shard.alive:
            shard.note_due(reminders[0][1])
            self._reminders.nudge()
        if not shard.outbox_read:
            await self._read_outbox(shard)

    def _resumed(self, lease: Lease, seconds: float) -> None:
        """Note how long nobody moved this shard's instances; after a crash, since the last sign of life."""
        if lease.cause:
            silent = self._context.settings.lease_seconds if lease.cause == "expiry" else 0.0
            self._context.metrics.handover(lease.cause, silent + lease.free_ms / 1000 + seconds)

    def read_unsent(self, shard: Shard) -> None:
        """Read everything unsent of a shard in the background, until nothing was committed meanwhile."""
        shard.outbox_stale = True
        if not shard.outbox_reading:
            shard.outbox_reading = True
            self._tasks.start(self._read_unsent(shard), name=f"outbox-{shard.number}")

    async def _read_unsent(self, shard: Shard) -> None:
        try:
            while shard.alive and shard.outbox_stale:
                shard.outbox_stale = False
                try:
                    await self._read_outbox(shard)
                except StoreUnavailable:
                    shard.outbox_stale = True
                    await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            shard.outbox_reading = False

    async def _read_outbox(self, shard: Shard) -> None:
        unsent: list[OutboxRecord] = []
        after = 0
        while records := await self._store.read_outbox(shard.number, after=after, limit=_OUTBOX_BATCH):
            unsent.extend(records)
            after = records[-1].number
        if shard.alive:
            self._outbox.taken_over(shard, unsent)

    async def _wait_for_workers(self) -> None:
        """Give the workers of this engine's predecessor a moment to come back with what they still run."""
        left = self._began + self._context.settings.reconnect_grace_seconds / 2 - self._context.monotonic()
        if left > 0:
            await asyncio.sleep(left)

    # -- sweeping -------------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Load what is marked ready and not at work here: a message whose news was lost."""
        version = self._context.settings.version
        try:
            marked = await self._store.read_ready_many(list(self.shards), version, limit=self._ready_limit)
        except StoreUnavailable:
            return
        settled_ms = self._context.clock.now_ms() - _SETTLE_MS
        crowded = False
        self._sweeps += 1
        for number, ready in marked.items():
            shard = self.shards.get(number)
            if shard is None:
                continue
            idle: list[str] = []
            waiting: list[str] = []
            # Where all marks read are at work here or wait for a worker, those behind them would never be seen.
            if len(ready) >= self._ready_limit and all(i in shard.live or i in shard.loading for i, _ in ready):
                crowded = True
            for instance_id, since_ms in ready:
                instance = shard.live.get(instance_id)
                if instance is None:
                    self._loading.reload(shard, instance_id)
                elif since_ms < settled_ms and instance.phase is Phase.IDLE:
                    idle.append(instance_id)
                elif instance.phase is Phase.WAITING:
                    waiting.append(instance_id)
            if looked_at := idle + self._some_of(waiting):
                await self._look_closer(shard, looked_at)
        self._ready_limit = min(2 * self._ready_limit, _MOST_READY) if crowded else _READY_BATCH

    def _some_of(self, waiting: list[str]) -> list[str]:
        """Instances that wait for a worker may have been terminated unheard; each is looked at in its turn."""
        if len(waiting) <= _WAITING_LOOKED_AT:
            return waiting
        start = self._sweeps * _WAITING_LOOKED_AT % len(waiting)
        return (waiting[start:] + waiting[:start])[:_WAITING_LOOKED_AT]

    async def sweep_reminders(self) -> None:
        """Learn of reminders that others have set: any engine may start an instance for later. A few shards a time."""
        numbers = sorted(self.shards)
        for step in range(min(len(numbers), _REMINDERS_LOOKED_AT)):
            shard = self.shards.get(numbers[(self._looked_at + step) % len(numbers)])
            if shard is None:
                continue
            try:
                earliest = await self._store.read_reminders(shard.number, self._context.settings.version, limit=1)
            except StoreUnavailable:
                return
            if earliest and shard.alive and shard.note_due(earliest[0][1]):
                self._reminders.nudge()
        self._looked_at += _REMINDERS_LOOKED_AT

    async def _look_closer(self, shard: Shard, instance_ids: list[str]) -> None:
        """Instances that look idle, or wait for a worker, but are marked: compare the inbox numbering."""
        try:
            found = await self._store.read_instances(shard.number, instance_ids)
        except StoreUnavailable:
            return
        for instance_id, stored in zip(instance_ids, found, strict=True):
            if stored is not None and shard.alive:
                self._loading.deliver(shard, instance_id, stored.inbox_next - 1)

    def evict_idle(self) -> None:
        """Keep memory bounded: idle instances beyond the setting go, oldest first; they are loaded when needed."""
        total = sum(len(shard.live) for shard in self.shards.values())
        self._context.metrics.instances_live.set(total)
        surplus = total - self._context.settings.live_instances
        if surplus <= 0:
            return
        for shard in self.shards.values():
            idle = [
                i
                for i in shard.live.values()
                if i.phase is Phase.IDLE and not i.mail and not i.state.activities and not i.fetching
            ]
            for instance in idle[: max(1, surplus * len(shard.live) // max(total, 1))]:
                if instance.worker is not None:
                    instance.worker.forget(instance.id, instance.state.execution_id)
                instance.phase = Phase.DROPPED
                shard.live.pop(instance.id, None)
                for notify in instance.on_progress:
                    notify()
