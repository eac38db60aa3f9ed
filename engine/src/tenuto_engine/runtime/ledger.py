"""Entries of open activity calls as the store holds them: read, and replaced by revision.

An entry is replaced under no lease, by whoever has a reason: the owner, the engine that runs the call, one that claims
it. So each change is made anew on what the store holds, until it is stored or no longer makes sense.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum, auto

import msgspec
import structlog

from tenuto_engine.codec.events import UndecodableError, decode_event
from tenuto_engine.codec.records import ActivityBody, decode_activity, encode_record
from tenuto_engine.core.events import ActivityScheduled
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.operations import ReplaceActivity
from tenuto_engine.ports.outcomes import Done, Outcome
from tenuto_engine.ports.records import ActivityKey, ActivityRecord
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.call import Call
from tenuto_engine.runtime.committer import Committer
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.log_fields import about_call
from tenuto_engine.runtime.tasks import TaskOwner

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 0.5
# Entries and inputs read in one round trip.
_BATCH = 500


class Next(msgspec.Struct, frozen=True):
    """What an entry is to become."""

    body: ActivityBody
    attempt: int
    look_at_ms: int


class Change(Enum):
    """What became of a change."""

    DONE = auto()
    CLOSED = auto()  # there is no such entry any more
    VOID = auto()  # the entry is another one by now, and the change makes no sense on it


class Ledger:
    """Reads and replaces entries, whoever owns their shards."""

    def __init__(self, context: Context, store: Store, committer: Committer, tasks: TaskOwner) -> None:
        self._context = context
        self._store = store
        self._committer = committer
        self._tasks = tasks

    def shard_of(self, key: ActivityKey) -> int:
        return shard_of(key.instance_id, self._context.settings.shards)

    # -- replacing ------------------------------------------------------------------------------------------------

    def change(self, call: Call, make: Callable[[Call], Next | None], then: Callable[[Change], None]) -> None:
        """Replace a call's entry by what `make` says, and tell `then` what became of it.

        `make` is asked again whenever the entry turns out to be another one than was known; None gives up. Changes of
        one call follow one another. A change whose answer was lost counts as done if the store holds it.
        """
        if call.writing:
            call.waiting.append(lambda: self.change(call, make, then))
            return
        wanted = make(call) if call.is_open else None
        if wanted is None:
            self._settle(call, then, Change.VOID if call.is_open else Change.CLOSED)
            return
        record = ActivityRecord(
            call.key, wanted.attempt, call.revision + 1, wanted.look_at_ms, encode_record(wanted.body)
        )
        operation = ReplaceActivity(call.number, self._context.settings.version, record, call.revision)
        call.writing = True

        def answered(outcome: Outcome) -> None:
            if isinstance(outcome, Done):
                call.learn(record, wanted.body)
                self._settle(call, then, Change.DONE)
            elif getattr(outcome, "reason", "") == "activity_closed":
                self._settle(call, then, Change.CLOSED)
            else:
                self.read([call.key], lambda found: self._compare(call, record, found[0], make=make, then=then))

        self._committer.submit_until_answered(operation, answered)

    def _compare(
        self,
        call: Call,
        written: ActivityRecord,
        found: tuple[ActivityRecord, ActivityBody] | None,
        *,
        make: Callable[[Call], Next | None],
        then: Callable[[Change], None],
    ) -> None:
        """A change was refused because of the revision: it was stored before, or the entry is another one."""
        if found is None:
            self._settle(call, then, Change.CLOSED)
            return
        call.learn(*found, is_latest=True)
        if found[0] == written:
            self._settle(call, then, Change.DONE)
            return
        call.writing = False
        self.change(call, make, then)

    @staticmethod
    def _settle(call: Call, then: Callable[[Change], None], change: Change) -> None:
        """Tell who asked, then go on with the changes that came meanwhile."""
        call.writing = False
        then(change)
        if call.waiting and not call.writing:
            waiting, call.waiting = call.waiting, []
            for begin in waiting:
                begin()

    # -- reading --------------------------------------------------------------------------------------------------

    def read(
        self, keys: Sequence[ActivityKey], then: Callable[[list[tuple[ActivityRecord, ActivityBody] | None]], None]
    ) -> None:
        """Read entries in the background, however long the store takes; None for each that is closed or unreadable."""
        self._tasks.start(self._read(keys, then), name="entries")

    async def _read(
        self, keys: Sequence[ActivityKey], then: Callable[[list[tuple[ActivityRecord, ActivityBody] | None]], None]
    ) -> None:
        then(await self.read_steadily(keys))

    async def read_steadily(self, keys: Sequence[ActivityKey]) -> list[tuple[ActivityRecord, ActivityBody] | None]:
        """Read entries, in order, again and again until the store answers."""
        version = self._context.settings.version
        found: list[tuple[ActivityRecord, ActivityBody] | None] = []
        while len(found) < len(keys):
            batch = keys[len(found) : len(found) + _BATCH]
            try:
                records = await self._store.read_calls(version, [(self.shard_of(key), key) for key in batch])
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            found += [None if record is None else decoded(record) for record in records]
        return found

    async def load_payloads(self, calls: Sequence[Call]) -> list[Call]:
        """Read the inputs that are missing; answer the calls that have theirs. Raises StoreUnavailable."""
        missing = [call for call in calls if not call.has_payload]
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            wanted = [(call.number, call.key.instance_id, call.body.history_index) for call in batch]
            for call, raw in zip(batch, await self._store.read_events(wanted), strict=True):
                _take_input(call, raw)
        return [call for call in calls if call.has_payload]

    def with_payload(self, call: Call, then: Callable[[], None]) -> None:
        """Go on once the call's input is at hand: nearly always at once."""
        if call.has_payload:
            then()
        else:
            self._tasks.start(self._with_payload(call, then), name=f"input-{call.number}")

    async def _with_payload(self, call: Call, then: Callable[[], None]) -> None:
        while call.is_open:
            try:
                if await self.load_payloads([call]):
                    then()
                return
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)


def decoded(record: ActivityRecord) -> tuple[ActivityRecord, ActivityBody] | None:
    """A record with its body; None, and a line in the log, where it cannot be read."""
    try:
        return record, decode_activity(record.data)
    except UndecodableError:  # one call that cannot be read must not keep all others from running
        _log.exception("an open activity cannot be read", **about_call(record.key))
        return None


def _take_input(call: Call, raw: bytes | None) -> None:
    try:
        scheduled = decode_event(raw) if raw is not None else None
    except UndecodableError:
        _log.exception("an activity's event cannot be read", **about_call(call.key))
        return
    if isinstance(scheduled, ActivityScheduled) and scheduled.event_id == call.key.event_id:
        call.payload, call.has_payload = scheduled.input, True
    else:
        _log.warning("open activity without its event in history", shard=call.number, **about_call(call.key))
