"""Reminders: durable wake-ups, fired by the shard's owner when the store's clock says they are due.

Only the earliest due time of each shard is kept in memory; the reminders themselves are read when it has come. So ten
thousand outstanding timers cost nothing, and a timer that a lost engine armed is found by whoever owns the shard next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from tenuto_engine.codec.events import encode_event
from tenuto_engine.core.events import Event, TimerFired, WokenUp
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.operations import DropReminder, FireReminder
from tenuto_engine.ports.outcomes import Appended, Done, Fenced, Outcome, Refused, Rejected, Unconfirmed
from tenuto_engine.ports.records import ReminderKey, ReminderSet
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.births import START_REMINDER, message_of
from tenuto_engine.runtime.committer import Committer
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.metrics.families import LATE_SECONDS
from tenuto_engine.runtime.metrics.groups import reminder_kind
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.tasks import TaskOwner
from tenuto_engine.runtime.turn_commit import RETENTION_REMINDER, TIMER_REMINDER

_log = structlog.get_logger(__name__)

_BATCH = 256
_LONGEST_SLEEP_SECONDS = 1.0
_RETRY_MS = 1_000
_EARLY_MS = 10


class Reminders:
    """Fires the due reminders of all owned shards."""

    def __init__(self, context: Context, store: Store, committer: Committer, tasks: TaskOwner) -> None:
        self._context = context
        self._store = store
        self._committer = committer
        self._tasks = tasks
        self._wake = asyncio.Event()
        self._busy: set[int] = set()
        self.shards: Callable[[], Iterable[Shard]]
        self.deliver: Callable[[Shard, str, int], None]
        self.purge: Callable[[Shard, ReminderKey], Awaitable[Outcome]]
        self.next_look_ms: Callable[[], int]
        self.look: Callable[[], None]
        self.on_fenced: Callable[[Shard], None]

    def committed(self, shard: Shard, reminders: Iterable[ReminderSet]) -> None:
        """Note the reminders that a commit wrote."""
        for reminder in reminders:
            if shard.note_due(reminder.due_at_ms):
                self._wake.set()

    def nudge(self) -> None:
        """Something may be due earlier than planned."""
        self._wake.set()

    async def run(self) -> None:
        """Fire what is due, sleep until the next, until cancelled."""
        while True:
            seconds = _LONGEST_SLEEP_SECONDS
            try:
                seconds = min(self._begin_due(), seconds)
            except Exception:  # what one call or shard meets must not end the timers of all others
                _log.exception("what is due could not be looked at")
            await self._context.sources.pause(seconds, self._wake)
            self._wake.clear()

    def next_due_ms(self) -> int:
        """When the next thing is due, by the store's clock, as far as this engine knows; far away where nothing is."""
        dues = [shard.next_due_ms for shard in self.shards() if shard.next_due_ms is not None]
        return min([self.next_look_ms(), *dues])

    def _begin_due(self) -> float:
        """Act on what is due; returns after how many seconds the next thing is."""
        now_ms = self._context.clock.now_ms()
        self.look()
        earliest = self.next_look_ms()
        for shard in self.shards():
            if shard.next_due_ms is None:
                continue
            if shard.next_due_ms <= now_ms and shard.number not in self._busy:
                self._busy.add(shard.number)
                self._tasks.start(self._fire_due(shard), name=f"reminders-{shard.number}")
            elif shard.number not in self._busy:
                earliest = min(earliest, shard.next_due_ms)
        return max(earliest - now_ms, 1) / 1000

    async def _fire_due(self, shard: Shard) -> None:
        """Fire all due reminders of one shard, batch by batch, and learn when the next one is due."""
        version = self._context.settings.version
        try:
            while shard.alive:
                shard.next_due_ms = None
                batch = await self._store.read_reminders(shard.number, version, limit=_BATCH)
                now_ms = self._context.clock.now_ms()
                due = [(key, at_ms) for key, at_ms in batch if at_ms <= now_ms]
                retry_ms = await self._fire(shard, due)
                if retry_ms or len(due) < len(batch) or len(batch) < _BATCH:
                    later = [at_ms for _, at_ms in batch[len(due) :]]
                    next_ms = now_ms + retry_ms if retry_ms else min(later, default=None)
                    if next_ms is not None:
                        shard.note_due(next_ms)
                    return
        except StoreUnavailable:
            shard.note_due(self._context.clock.now_ms() + _RETRY_MS)
        except Exception:
            shard.note_due(self._context.clock.now_ms() + _RETRY_MS)
            raise
        finally:
            self._busy.discard(shard.number)
            self._wake.set()

    async def _fire(self, shard: Shard, due: list[tuple[ReminderKey, int]]) -> int:
        """Fire reminders together; returns after how many milliseconds to try again what could not be fired, or 0."""
        waits: list[Awaitable[Outcome]] = []
        for key, at_ms in due:
            event = _event_of(key)
            if key.kind == RETENTION_REMINDER:
                waits.append(self._purge(shard, key, at_ms))
            elif event is None:
                waits.append(
                    self._committer.execute(DropReminder(shard.number, shard.lease.token, shard.lease.version, key))
                )
            else:
                waits.append(self._fire_one(shard, key, at_ms, event))
        outcomes = await asyncio.gather(*waits)
        if any(isinstance(outcome, Fenced) for outcome in outcomes):
            self.on_fenced(shard)
        if any(isinstance(outcome, Rejected | Unconfirmed) for outcome in outcomes):
            return _RETRY_MS
        # The store's clock is a little behind the estimate: it decides.
        return _EARLY_MS if any(isinstance(o, Refused) and o.reason == "early" for o in outcomes) else 0

    async def _purge(self, shard: Shard, key: ReminderKey, at_ms: int) -> Outcome:
        outcome = await self.purge(shard, key)
        self._count(key, outcome, late_seconds=(self._context.clock.now_ms() - at_ms) / 1000)
        return outcome

    async def _fire_one(self, shard: Shard, key: ReminderKey, at_ms: int, event: Event) -> Outcome:
        raw = encode_event(event)
        control = isinstance(event, WokenUp)
        message_id = f"{key.execution_id}/{key.kind}/{key.event_id}"
        message = message_of(
            raw,
            message_id=message_id,
            at_ms=self._context.clock.now_ms(),
            execution_id=key.execution_id,
            control=control,
        )
        outcome = await self._committer.execute(
            FireReminder(shard.number, shard.lease.token, shard.lease.version, key, message)
        )
        self._count(key, outcome, late_seconds=(self._context.clock.now_ms() - at_ms) / 1000)
        if isinstance(outcome, Appended) and shard.alive:
            self.deliver(shard, key.instance_id, outcome.number)
        return outcome

    def _count(self, key: ReminderKey, outcome: Outcome, *, late_seconds: float) -> None:
        match outcome:
            case Appended() | Done():
                result = "late" if late_seconds > LATE_SECONDS else "ok"
            case Refused(reason="early"):
                return  # it will fire
            case Refused(reason="gone"):
                result = "dropped_duplicate"
            case Refused():
                result = "dropped_void"
            case _:
                result = "failed"
        self._context.metrics.reminder_fired(reminder_kind(key), result, late_seconds)


def _event_of(key: ReminderKey) -> Event | None:
    match key.kind:
        case kind if kind == TIMER_REMINDER:
            return TimerFired(key.event_id)
        case kind if kind == START_REMINDER:
            return WokenUp("start")
        case "wake":
            return WokenUp("backoff")
        case _:
            return None
