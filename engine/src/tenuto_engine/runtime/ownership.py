"""The shards this engine owns: what happens when one is granted, lost or given up, and the sweep over ready marks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease, Member
from tenuto_engine.ports.records import OutboxRecord
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import Phase
from tenuto_engine.runtime.loading import Loading
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
# An instance may be marked ready and look idle for as long as its message is on the way from the store to memory.
_SETTLE_MS = 1_000
# Shards whose earliest reminder is read anew in one sweep: another engine may have set one, for a delayed start.
_REMINDERS_LOOKED_AT = 8


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
        self.drop_lease: Callable[[Lease], None]
        self._began = context.monotonic()
        self._ready_limit = _READY_BATCH
        self._looked_at = 0

    def get(self, number: int) -> Shard | None:
        return self.shards.get(number)

    # -- what the lease keeper says -----------------------------------------------------------------------------------

    def granted(self, lease: Lease) -> None:
        """Own a shard: everything known of it before is void."""
        former = self.shards.get(lease.shard)
        if former is not None:
            self._close(former)
        shard = Shard(lease)
        self.shards[lease.shard] = shard
        self._context.metrics.shards_owned.set(len(self.shards))
        self._tasks.start(self._take_over(shard), name=f"take-over-{shard.number}")

    def lost(self, lease: Lease, cause: str) -> None:
        """A lease is gone. Its memory goes with it."""
        shard = self.shards.get(lease.shard)
        if shard is not None and shard.lease is lease:
            _log.debug("shard lost", shard=lease.shard, cause=cause)
            self._close(shard)

    def store_was_away(self) -> None:
        _log.info("store answers again; acquiring all shards anew")

    def store_changed(self) -> None:
        """The store restarted or another server took its place: writes may be lost, so everything is loaded anew."""
        _log.warning("the store is another one than before; dropping all memory and acquiring all shards anew")
        for shard in list(self.shards.values()):
            self.fenced(shard)

    def member(self) -> Member:
        settings = self._context.settings
        return Member(self._context.engine_id, settings.version, 1, self.draining, bool(self._workers.sessions))

    def fenced(self, shard: Shard) -> None:
        """A write was refused or its outcome is unknown: drop the shard's memory and acquire it anew."""
        if shard.alive:
            _log.warning("dropping a shard's memory after a refused or unconfirmed write", shard=shard.number)
            self._close(shard)
            self.drop_lease(shard.lease)

    def _close(self, shard: Shard) -> None:
        for instance in shard.live.values():
            for held in {instance.worker, instance.turn.session if instance.turn else None} - {None}:
                assert held is not None
                held.turns.pop(instance.id, None)
                held.forget(instance.id, "")
        shard.close()
        if self.shards.get(shard.number) is shard:
            del self.shards[shard.number]
        self._context.metrics.shards_owned.set(len(self.shards))

    # -- taking over ----------------------------------------------------------------------------------------------

    async def _take_over(self, shard: Shard) -> None:
        """Find everything that an earlier owner left: ready instances, open calls, reminders, outgoing messages."""
        version = self._context.settings.version
        while shard.alive:
            try:
                reminders = await self._store.read_reminders(shard.number, version, limit=1)
                if reminders and shard.alive:
                    shard.note_due(reminders[0][1])
                    self._reminders.nudge()
                if not shard.outbox_read:
                    await self._read_outbox(shard)
                for instance_id, _ in await self._store.read_ready(shard.number, version, limit=_READY_BATCH):
                    self._loading.reload(shard, instance_id)
                await self._wait_for_workers()
                await self._loading.open_activities(shard)
                return
            except StoreUnavailable as error:
                _log.warning("taking over a shard waits for the store", shard=shard.number, error=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)

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
        for number, ready in marked.items():
            shard = self.shards.get(number)
            if shard is None:
                continue
            idle: list[str] = []
            # Where all marks read are at work here or wait for a worker, those behind them would never be seen.
            if len(ready) >= self._ready_limit and all(i in shard.live or i in shard.loading for i, _ in ready):
                crowded = True
            for instance_id, since_ms in ready:
                instance = shard.live.get(instance_id)
                if instance is None:
                    self._loading.reload(shard, instance_id)
                elif since_ms < settled_ms and instance.phase is Phase.IDLE:
                    idle.append(instance_id)
            if idle:
                await self._look_closer(shard, idle)
        self._ready_limit = min(2 * self._ready_limit, _MOST_READY) if crowded else _READY_BATCH

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
        """Instances that look idle but are marked: compare the inbox numbering."""
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
