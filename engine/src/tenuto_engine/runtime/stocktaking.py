"""What the owned shards hold, for the gauges: counted in the store now and then, shown from memory.

A scrape never asks the store. Counting is bounded by a share of the time, so that a store with a million reminders is
counted seldom rather than kept busy. What is shown is of shards that this engine still owns: another engine's gauge
never counts the same thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.records import Stock
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.metrics.groups import REMINDER_KINDS
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.workers import Workers

# A scrape comes every 15 to 60 s; fresher numbers would be seen by nobody.
PAUSE_SECONDS = 10.0
# Counting may take this part of the time at most.
_SHARE = 0.02
# A changed set of shards shows this soon.
_CHANGE_SECONDS = 1.0
_LAG_SECONDS = 0.5


class Stocktaking:
    """Keeps the numbers behind the gauges, and measures the event loop's lag."""

    def __init__(self, context: Context, store: Store, workers: Workers, shards: Mapping[int, Shard]) -> None:
        self._context = context
        self._store = store
        self._workers = workers
        self._shards = shards
        self._stock: dict[Shard, Stock] = {}
        self.open_calls: Callable[[], tuple[int, int]] = workers.waiting_calls
        show = context.metrics.show
        show("tenuto_reminder_pending", self._reminders)
        show("tenuto_workflow_running", lambda: sum(stock.open for stock in self._owned()))
        show("tenuto_backlog_items", self._items)
        show("tenuto_backlog_oldest_age_seconds", self._ages)
        show("tenuto_activity_slots", self._slots)

    async def run(self) -> None:
        """Count until cancelled: at intervals, and when other shards are owned than before."""
        while True:
            began = self._context.monotonic()
            await self.take()
            took = self._context.monotonic() - began
            deadline = began + max(PAUSE_SECONDS, took / _SHARE)
            counted = set(self._stock)
            while self._context.monotonic() < deadline:
                await self._context.sources.pause(_CHANGE_SECONDS)
                if took < _CHANGE_SECONDS * _SHARE and set(self._shards.values()) != counted:
                    break

    async def take(self) -> None:
        """Count what the owned shards hold."""
        shards = dict(self._shards)
        try:
            found = await self._store.count_stock(
                list(shards), self._context.settings.version, due_ms=self._context.clock.now_ms()
            )
        except StoreUnavailable:
            return  # the last numbers stay, until the store answers again
        self._stock = {shards[number]: stock for number, stock in found.items()}

    async def measure_lag(self) -> None:
        """Measure until cancelled how late the loop comes back to a task that sleeps."""
        observe, clock = self._context.metrics.loop_lag.observe, self._context.monotonic
        while True:
            asked = clock() + _LAG_SECONDS
            await self._context.sources.pause(_LAG_SECONDS)
            observe(max(0.0, clock() - asked))

    def _owned(self) -> list[Stock]:
        return [stock for shard, stock in self._stock.items() if shard.alive]

    def _reminders(self) -> dict[str | tuple[str, ...], float]:
        counts: dict[str | tuple[str, ...], float] = dict.fromkeys(REMINDER_KINDS.values(), 0)
        for stock in self._owned():
            for kind, number in stock.reminders.items():
                label = REMINDER_KINDS.get(kind, "other")
                counts[label] = counts.get(label, 0) + number
        return counts

    def _items(self) -> dict[str | tuple[str, ...], float]:
        owned = self._owned()
        return {
            "workflow": sum(stock.ready for stock in owned),
            "activity": self.open_calls()[0],
            "timer": sum(stock.due for stock in owned),
        }

    def _ages(self) -> dict[str | tuple[str, ...], float]:
        owned = self._owned()
        now_ms = self._context.clock.now_ms()
        oldest = {
            "workflow": min((stock.oldest_ready_ms for stock in owned if stock.ready), default=0),
            "activity": self.open_calls()[1],
            "timer": min((stock.oldest_due_ms for stock in owned if stock.due), default=0),
        }
        return {kind: max(0, now_ms - at_ms) / 1000 if at_ms else 0 for kind, at_ms in oldest.items()}

    def _slots(self) -> dict[str | tuple[str, ...], float]:
        sessions = self._workers.sessions.values()
        used = sum(len(session.runs) for session in sessions)
        room = sum(session.max_activities for session in sessions if not session.draining)
        return {"used": used, "free": max(0, room - used)}
