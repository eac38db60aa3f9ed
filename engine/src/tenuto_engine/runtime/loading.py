"""From the store to memory: instances that are ready, and what a newly owned shard has open.

Loads are lazy (only what is ready or has a message), bounded in number, and read by computed names in pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from tenuto_engine.codec.events import decode_event
from tenuto_engine.codec.records import MetadataBody, decode_inbox, decode_metadata
from tenuto_engine.core.apply import fold
from tenuto_engine.core.events import ActivityCompleted, ActivityFailed, Event, ExecutionStarted, TurnStarted
from tenuto_engine.core.state import InstanceState
from tenuto_engine.core.status import TERMINAL, Hold, Status
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.inbound import TurnItem
from tenuto_engine.ports.records import ActivityKey, Head, Message, NewInstance, Stored
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance, Mail, Phase, Turn
from tenuto_engine.runtime.mail_order import MAX_TURN_MAIL
from tenuto_engine.runtime.shard import Shard
from tenuto_engine.runtime.tasks import TaskOwner
from tenuto_engine.runtime.turns import Turns
from tenuto_engine.runtime.workers import WorkerSession

_log = structlog.get_logger(__name__)

PAGE_EVENTS = 500
PAGE_BYTES = 1 << 20
_PAUSE_SECONDS = 0.5
_UNREADABLE_SECONDS = 60.0


class Loading:
    """Reads instances and histories of owned shards."""

    def __init__(self, context: Context, store: Store, turns: Turns, tasks: TaskOwner) -> None:
        self._context = context
        self._store = store
        self._turns = turns
        self._tasks = tasks
        self._slots = asyncio.Semaphore(context.settings.loads)
        self.open_activities: Callable[[Shard], Awaitable[None]]
        self.result_arrived: Callable[[Shard, ActivityKey], None]
        self.nudge_reminders: Callable[[], None]

    # -- instances ------------------------------------------------------------------------------------------------

    def deliver(self, shard: Shard, instance_id: str, number: int) -> None:
        """A message was stored for an instance of an owned shard: fetch it, loading the instance if need be.

        A negative number means only that something changed.
        """
        instance = shard.live.get(instance_id)
        if instance is None:
            self.reload(shard, instance_id)
        elif number >= instance.known_next:
            self.fetch_missing(instance, number + 1)
            instance.known_next = number + 1

    def deliver_event(self, shard: Shard, instance_id: str, *, number: int, message: Message, event: Event) -> None:
        """As `deliver`, where the message itself is at hand: an instance in memory takes it without a read."""
        instance = shard.live.get(instance_id)
        if instance is None or number != instance.known_next:
            self.deliver(shard, instance_id, number)
            return
        body = decode_inbox(message.body)
        self._turns.deliver(instance, Mail(event, body.event, number=number, at_ms=body.at_ms))

    def born(self, shard: Shard, new: NewInstance) -> None:
        """An instance was just created in an owned shard: take it into memory without reading it back."""
        if not shard.alive or new.instance_id in shard.live or new.instance_id in shard.loading or new.history:
            return
        if new.head.version != shard.lease.version:
            return
        instance = self._instance(shard, new.instance_id, Stored(new.head, new.metadata, len(new.messages)))
        for number, message in enumerate(new.messages):
            instance.mail.append(_mail(number, message.body))
        self._install(instance)

    def reload(self, shard: Shard, instance_id: str) -> None:
        """Load an instance in the background, unless it is being loaded or in memory."""
        if shard.alive and instance_id not in shard.loading and instance_id not in shard.live:
            shard.loading.add(instance_id)
            self._tasks.start(self._load(shard, instance_id), name=f"load-{shard.number}")

    async def _load(self, shard: Shard, instance_id: str) -> None:
        try:
            async with self._slots:
                instance = await self._read_steadily(shard, instance_id)
        except Exception:
            # Its record cannot be read, and trying at every sweep would help nobody; the error is logged by the owner.
            asyncio.get_running_loop().call_later(_UNREADABLE_SECONDS, shard.loading.discard, instance_id)
            raise
        shard.loading.discard(instance_id)
        if instance is not None and shard.alive and instance_id not in shard.live:
            self._install(instance)

    async def _read_steadily(self, shard: Shard, instance_id: str) -> LiveInstance | None:
        while shard.alive:
            try:
                return await self._read(shard, instance_id)
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)
        return None

    async def _read(self, shard: Shard, instance_id: str) -> LiveInstance | None:
        """Read an instance whole. None where it is gone, over, or another version's.

        Reads are several; if a commit of another owner came between, the execution id or the length differs at the
        end, and this owner's own commit will be refused anyway.
        """
        stored = await self._store.read_instance(shard.number, instance_id)
        if stored is None or stored.head.status in TERMINAL or stored.head.version != shard.lease.version:
            return None
        instance = self._instance(shard, instance_id, stored)
        async for page in self.pages(shard.number, instance_id, stored.head.history_length):
            fold(instance.state, [(decode_event(raw), len(raw)) for raw in page])
        if instance.state.length != stored.head.history_length:
            raise StoreUnavailable(f"history of '{instance_id}' changed while it was read; reading again")
        _overrule(instance, stored.head)
        instance.custom_status = await self._store.read_custom_status(shard.number, instance_id)
        await self._read_mail(instance, instance.inbox_low, stored.inbox_next)
        return instance

    def _instance(self, shard: Shard, instance_id: str, stored: Stored) -> LiveInstance:
        head, body = stored.head, decode_metadata(stored.metadata)
        instance = LiveInstance(instance_id, shard, _initial_state(instance_id, head, body), body)
        instance.base_commit_id = head.commit_id
        instance.start_id = head.start_id
        instance.taken = head.taken
        instance.inbox_low = head.inbox_low
        instance.known_next = stored.inbox_next
        instance.indexed = head.status
        instance.failures = body.turn_failures
        instance.open_tail = body.open_turn
        instance.delayed = head.hold is Hold.DELAYED
        _overrule(instance, head)
        return instance

    def _install(self, instance: LiveInstance) -> None:
        instance.shard.live[instance.id] = instance
        instance.phase = Phase.IDLE
        delayed = instance.state.hold is Hold.DELAYED and instance.body.scheduled_at_ms
        if delayed and instance.shard.note_due(instance.body.scheduled_at_ms):
            self.nudge_reminders()  # another engine took this start, and wrote its reminder
        self._turns.wake(instance)

    def fetch_missing(self, instance: LiveInstance, end: int) -> None:
        """Read messages from the first unknown number up to `end`, which others have appended."""
        first = instance.known_next
        instance.fetching.append(first)
        self._tasks.start(self._fetch(instance, first, end), name=f"fetch-{instance.shard.number}")

    async def _fetch(self, instance: LiveInstance, first: int, end: int) -> None:
        try:
            while instance.phase is not Phase.DROPPED:
                try:
                    await self._read_mail(instance, first, end)
                    break
                except StoreUnavailable:
                    await asyncio.sleep(_PAUSE_SECONDS)
        except Exception:
            # A message that cannot be read is met again by the load, which says so and tries ever more seldom.
            self._turns.discard(instance)
            raise
        finally:
            instance.fetching.remove(first)
        self._turns.wake(instance)

    async def _read_mail(self, instance: LiveInstance, first: int, end: int) -> None:
        """Read unread messages [first, end) in pages."""
        for start in range(first, end, MAX_TURN_MAIL):
            stop = min(start + MAX_TURN_MAIL, end)
            records = await self._store.read_inbox(
                instance.shard.number, instance.id, first=start, end=stop, limit=MAX_TURN_MAIL
            )
            known = {m.number for m in instance.mail}  # now: one may have been confirmed during the read
            for mail in [_mail(r.number, r.body) for r in records if r.number not in known]:
                instance.mail.append(mail)
                if isinstance(mail.event, ActivityCompleted | ActivityFailed):
                    key = ActivityKey(mail.event.event_id, mail.execution_id, instance.id)
                    self.result_arrived(instance.shard, key)

    # -- history --------------------------------------------------------------------------------------------------

    async def pages(self, shard: int, instance_id: str, length: int) -> AsyncIterator[list[bytes]]:
        """History records [0, length) in pages bounded by events and bytes. Raises StoreUnavailable if any misses."""
        first = 0
        while first < length:
            page = await self._store.read_history(
                shard, instance_id, first=first, count=min(PAGE_EVENTS, length - first), max_bytes=PAGE_BYTES
            )
            if not page:
                raise StoreUnavailable(f"history of '{instance_id}' ends at {first}, expected {length}; reading again")
            first += len(page)
            yield page

    def send_with_history(self, instance: LiveInstance, turn: Turn, session: WorkerSession, item: TurnItem) -> None:
        """Send a turn with its full history, read from the store in pages and sent in chunks."""
        self._tasks.start(self._send(instance, turn, session, item), name=f"history-{instance.shard.number}")

    async def _send(self, instance: LiveInstance, turn: Turn, session: WorkerSession, item: TurnItem) -> None:
        pages: list[list[bytes]] = []
        while instance.turn is turn:
            try:
                pages = [p async for p in self.pages(instance.shard.number, instance.id, item.history_length)]
                break
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)
        if instance.turn is not turn or turn.session is not session or not session.alive:
            return
        if turn.commit_id != item.commit_id:  # taken from this worker meanwhile, and given to it again
            return
        if turn.resumes:
            _split_open_turn(item, pages)
        self._context.metrics.replayed_events.inc(sum(map(len, pages)))
        for page in pages[:-1]:
            session.send_turn(_chunk(item, page))
        item.history = pages[-1] if pages else []
        session.send_turn(item)
        turn.reached_at = self._context.monotonic()


def _initial_state(instance_id: str, head: Head, body: MetadataBody) -> InstanceState:
    return InstanceState(
        instance_id=instance_id,
        execution_id=head.execution_id,
        version=head.version,
        parent=body.parent,
        generation=body.generation,
        trace_parent=body.trace_parent,
        last_turn_at_ms=body.last_turn_at_ms,
        carried=list(body.children),
    )


def _overrule(instance: LiveInstance, head: Head) -> None:
    """What history does not say: stalls, delays, and the statuses before the first turn."""
    state = instance.state
    state.hold, state.status, state.reason = head.hold, head.status, instance.body.reason
    if head.hold is Hold.NONE and head.status is Status.STALLED:
        state.status = Status.RUNNING


def _mail(number: int, data: bytes) -> Mail:
    body = decode_inbox(data)
    event = decode_event(body.event)
    execution_id = body.execution_id if not isinstance(event, ExecutionStarted) else ""
    return Mail(event, body.event, number=number, at_ms=body.at_ms, execution_id=execution_id, carried=body.carried)


def _chunk(item: TurnItem, page: list[bytes]) -> TurnItem:
    return TurnItem(
        item.instance_id,
        item.execution_id,
        item.base_commit_id,
        item.commit_id,
        item.history_length,
        True,
        [],
        page,
        more=True,
    )


def _split_open_turn(item: TurnItem, pages: list[list[bytes]]) -> None:
    """A turn recorded in part goes on: its own events are not past, so they are sent as the turn's, not as history."""
    events = [raw for page in pages for raw in page]
    start = max(i for i, raw in enumerate(events) if isinstance(decode_event(raw), TurnStarted))
    item.new_events = events[start:]
    item.history_length = start
    pages[:] = [events[i : min(i + PAGE_EVENTS, start)] for i in range(0, start, PAGE_EVENTS)]
