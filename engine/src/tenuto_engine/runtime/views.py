"""Instances as clients see them: from the store, or from memory where the owner has it at hand."""

from __future__ import annotations

from itertools import islice

from tenuto_engine.codec.events import decode_event, encode_failure
from tenuto_engine.codec.records import decode_inbox, decode_metadata
from tenuto_engine.core.events import (
    Event,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    ExecutionTerminated,
    Failure,
)
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.status import TERMINAL
from tenuto_engine.ports.inbound import InstanceView
from tenuto_engine.ports.records import ActivityKey, Stored
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance, Phase
from tenuto_engine.runtime.ownership import Owned

# The start is the second record of nearly every history; suspending before the first turn puts others before it.
_START_PROBE = 2
_START_SEARCH = 64
_PAGE_BYTES = 8 << 20
WAITING_FOR_WORKER = "waiting_for: worker"
WAITING_SHOWS_AFTER_SECONDS = 30.0
# Of an instance's open calls; calls of one name are handed out in order, so the first ones tell.
_CALLS_LOOKED_AT = 20


class Views:
    """Builds `InstanceView`s."""

    def __init__(self, context: Context, store: Store, owned: Owned) -> None:
        self._context = context
        self._store = store
        self._owned = owned

    async def read(self, instance_id: str, *, payloads: bool) -> InstanceView | None:
        """Read an instance from the store, or None where there is none. Raises StoreUnavailable."""
        shard = shard_of(instance_id, self._context.settings.shards)
        stored = await self._store.read_instance(shard, instance_id)
        return None if stored is None else await self.of_stored(shard, instance_id, stored, payloads=payloads)

    async def of_stored(self, shard: int, instance_id: str, stored: Stored, *, payloads: bool) -> InstanceView:
        """The view of an instance as read; payloads cost further reads."""
        head, body = stored.head, decode_metadata(stored.metadata)
        start: ExecutionStarted | None = None
        custom_status: bytes | None = None
        if payloads:
            start = await self._read_start(shard, instance_id, stored)
            custom_status = await self._store.read_custom_status(shard, instance_id)
        ending: Event | None = None
        if head.status in TERMINAL:
            ending = await self._read_ending(shard, instance_id, head.history_length)
        output, failure = _ending(ending, payloads=payloads)
        return InstanceView(
            instance_id=instance_id,
            execution_id=head.execution_id,
            name=body.name,
            version=head.version,
            status=head.status,
            status_reason=body.reason or self._waiting_reason(shard, instance_id),
            created_at_ms=body.created_at_ms,
            updated_at_ms=body.updated_at_ms,
            completed_at_ms=body.completed_at_ms,
            history_length=head.history_length,
            history_bytes=body.history_bytes,
            generation=body.generation,
            parent_instance_id=body.parent.instance_id if body.parent is not None else "",
            shard=shard,
            rerun_of=body.rerun_of,
            output=output,
            failure=failure,
            input=start.input if start is not None else None,
            custom_status=custom_status,
            foreign=start.foreign if start is not None else None,
        )

    def of_ended(self, instance: LiveInstance, *, payloads: bool) -> InstanceView:
        """The view of an instance whose terminal commit was just confirmed, without asking the store."""
        state, body = instance.state, instance.body
        output, failure = _ending(instance.ending, payloads=payloads)
        return InstanceView(
            instance_id=instance.id,
            execution_id=state.execution_id,
            name=state.name,
            version=state.version,
            status=state.status,
            status_reason=state.reason,
            created_at_ms=body.created_at_ms,
            updated_at_ms=state.last_turn_at_ms,
            completed_at_ms=state.last_turn_at_ms,
            history_length=state.length,
            history_bytes=state.size_bytes,
            generation=state.generation,
            parent_instance_id=state.parent.instance_id if state.parent is not None else "",
            shard=instance.shard.number,
            rerun_of=body.rerun_of,
            output=output,
            failure=failure,
            input=state.input if payloads else None,
            custom_status=instance.custom_status if payloads else None,
            foreign=state.foreign,
        )

    def _waiting_reason(self, shard: int, instance_id: str) -> str:
        owned = self._owned.get(shard)
        live = owned.live.get(instance_id) if owned is not None else None
        if owned is None or live is None:
            return ""
        if live.phase is Phase.WAITING and live.waiting_since:
            since_s = self._context.monotonic() - live.waiting_since
            return WAITING_FOR_WORKER if since_s >= WAITING_SHOWS_AFTER_SECONDS else ""
        now_ms = self._context.clock.now_ms()
        if now_ms - live.state.last_turn_at_ms < WAITING_SHOWS_AFTER_SECONDS * 1000:
            return ""
        for event, _ in islice(live.state.activities.values(), _CALLS_LOOKED_AT):
            entry = owned.entries.get(ActivityKey(event.event_id, live.state.execution_id, instance_id))
            if entry is not None and entry.waits_for_worker(now_ms):
                return f"{WAITING_FOR_WORKER} (activity '{event.name}')"
        return ""

    async def _read_start(self, shard: int, instance_id: str, stored: Stored) -> ExecutionStarted | None:
        head = stored.head
        for count in (_START_PROBE, _START_SEARCH):
            wanted = min(count, head.history_length)
            if not wanted:
                break
            records = await self._store.read_history(shard, instance_id, first=0, count=wanted, max_bytes=_PAGE_BYTES)
            for raw in records:
                event = decode_event(raw)
                if isinstance(event, ExecutionStarted):
                    return event
        end = min(stored.inbox_next, head.inbox_low + _START_SEARCH)
        for record in await self._store.read_inbox(
            shard, instance_id, first=head.inbox_low, end=end, limit=_START_SEARCH
        ):
            event = decode_event(decode_inbox(record.body).event)
            if isinstance(event, ExecutionStarted):
                return event
        return None

    async def _read_ending(self, shard: int, instance_id: str, length: int) -> Event | None:
        records = await self._store.read_history(shard, instance_id, first=length - 1, count=1, max_bytes=_PAGE_BYTES)
        return decode_event(records[0]) if records else None


def _ending(event: Event | None, *, payloads: bool) -> tuple[bytes | None, bytes]:
    """Output and encoded failure of a terminal event. A failure is short and always told."""
    match event:
        case ExecutionCompleted():
            return (event.result if payloads else None), b""
        case ExecutionTerminated():
            text = event.reason or "the workflow was terminated"
            return (event.output if payloads else None), encode_failure(
                Failure("WorkflowTerminated", text, non_retryable=True)
            )
        case ExecutionFailed():
            return None, encode_failure(event.failure)
        case _:
            return None, b""
