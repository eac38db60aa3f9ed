"""The SQLite store: opening, and the port's reads.

Reads have connections of their own and see what is committed, and durable. They are bounded pages found by index and
run on the event loop's thread, for the reason that `writer` gives; listings, which may scan a shard, do not.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from tenuto_engine.ports.errors import StoreRefused, StoreUnavailable
from tenuto_engine.ports.operations import Operation
from tenuto_engine.ports.outcomes import Outcome
from tenuto_engine.ports.records import (
    ActivityKey,
    ActivityRecord,
    Hint,
    InboxRecord,
    InstanceFilter,
    Listed,
    OutboxRecord,
    ReminderKey,
    Stock,
    Stored,
)
from tenuto_engine.ports.store import StoreInfo
from tenuto_engine.storage.clock import DEDUP_WINDOW_MS, system_ms
from tenuto_engine.storage.hints import Hints
from tenuto_engine.storage.records import instance_key
from tenuto_engine.storage.sqlite import reads
from tenuto_engine.storage.sqlite.gate import WriteGate
from tenuto_engine.storage.sqlite.layout import BUSY_MS, Layout, connect, parent_of, prepare, synchronous_for
from tenuto_engine.storage.sqlite.lockfile import LockFile
from tenuto_engine.storage.sqlite.writer import Writer

_Found = TypeVar("_Found")


class SqliteStore:
    """One app's state in one file.

    Args:
        path: the file; it and its folder are made if missing.
        app, key_prefix: whose state it is; a file of another app is refused.
        clock: the store's clock, Unix milliseconds.
        dedup_window_ms: how long the ids of accepted commands are remembered.
        gate: to share with the lease store on the same file, so that load never delays a lease.
    """

    def __init__(
        self,
        path: str,
        *,
        app: str,
        key_prefix: str,
        clock: Callable[[], int] = system_ms,
        dedup_window_ms: int = DEDUP_WINDOW_MS,
        gate: WriteGate | None = None,
    ) -> None:
        self._path = path
        self._app = app
        self._key_prefix = key_prefix
        self._clock = clock
        self._window_ms = dedup_window_ms
        self._gate = gate or WriteGate()
        self._lock = LockFile(path)
        self._hints = Hints()  # no other process can have the file open, so nobody else would read them
        self._writer: Writer | None = None
        self._reader: sqlite3.Connection | None = None
        self._lister: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def open(self, *, shards: int, durability: str) -> StoreInfo:
        synchronous = synchronous_for(durability, self._path)
        try:
            parent_of(self._path)
            self._lock.acquire()
            self._open_file(Layout(shards, self._app, self._key_prefix), synchronous)
        except (sqlite3.Error, OSError) as error:
            await self.close()
            raise _opening_error(self._path, error) from error
        except StoreRefused:
            await self.close()
            raise
        return StoreInfo(f"sqlite {self._path}", durability, verified=True, exclusive=True)

    def _open_file(self, layout: Layout, synchronous: str) -> None:
        connection = connect(self._path, synchronous=synchronous, busy_ms=BUSY_MS)
        try:
            prepare(connection, self._path, layout, now_ms=self._clock())
        finally:
            connection.close()
        self._reader = connect(self._path, synchronous=synchronous, busy_ms=BUSY_MS, read_only=True)
        self._lister = connect(self._path, synchronous=synchronous, busy_ms=BUSY_MS, read_only=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tenuto-sqlite-list")
        self._writer = Writer(
            self._path, synchronous=synchronous, clock=self._clock, window_ms=self._window_ms, gate=self._gate
        )

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
        if self._thread is not None:
            # Waits for a listing that is under way, which uses the connection closed next.
            self._thread.shutdown()
            self._thread = None
        for connection in (self._reader, self._lister):
            if connection is not None:
                connection.close()
        self._reader = self._lister = None
        self._lock.release()

    def incarnation(self) -> str:
        """Always the same: there is no server that could be another one."""
        return "sqlite"

    async def recheck(self) -> None:
        """The file is locked against all others while it is open."""

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        if self._writer is None:
            raise self._closed()
        return await self._writer.execute(operations)

    def _closed(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._path} is not open; open the store first")

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        if self._reader is None:
            raise self._closed()
        try:
            yield self._reader
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._path} cannot be read ({error}); retry") from error

    async def now_ms(self) -> int:
        return self._clock()

    async def read_instance(self, shard: int, instance_id: str) -> Stored | None:
        with self._reading() as connection:
            return reads.instance(connection, shard, instance_id)

    async def read_instances(self, shard: int, instance_ids: Sequence[str]) -> list[Stored | None]:
        with self._reading() as connection:
            return [reads.instance(connection, shard, instance_id) for instance_id in instance_ids]

    async def read_custom_status(self, shard: int, instance_id: str) -> bytes | None:
        with self._reading() as connection:
            return reads.custom_status(connection, shard, instance_id)

    async def read_inbox(self, shard: int, instance_id: str, *, first: int, end: int, limit: int) -> list[InboxRecord]:
        with self._reading() as connection:
            return reads.inbox(connection, shard, instance_id, first=first, end=end, limit=limit)

    async def read_history(
        self, shard: int, instance_id: str, *, first: int, count: int, max_bytes: int
    ) -> list[bytes]:
        with self._reading() as connection:
            return reads.history(connection, shard, instance_id, first=first, count=count, max_bytes=max_bytes)

    async def read_ready(self, shard: int, version: str, *, limit: int) -> list[tuple[str, int]]:
        with self._reading() as connection:
            return reads.ready(connection, shard, version, limit=limit)

    async def read_ready_many(
        self, shards: Sequence[int], version: str, *, limit: int
    ) -> dict[int, list[tuple[str, int]]]:
        with self._reading() as connection:
            found = {shard: reads.ready(connection, shard, version, limit=limit) for shard in shards}
        return {shard: marks for shard, marks in found.items() if marks}

    async def read_reminders(self, shard: int, version: str, *, limit: int) -> list[tuple[ReminderKey, int]]:
        with self._reading() as connection:
            return reads.reminders(connection, shard, version, limit=limit)

    async def count_reminders(self, shards: Sequence[int], version: str) -> int:
        with self._reading() as connection:
            return reads.count_reminders(connection, shards, version)

    async def read_versions(self, shards: Sequence[int]) -> list[str]:
        return await self._on_thread(lambda lister: reads.versions(lister, shards))

    async def count_stock(self, shards: Sequence[int], version: str, *, due_ms: int) -> dict[int, Stock]:
        return await self._on_thread(lambda lister: reads.stock(lister, shards, version, due_ms))

    async def read_activities(
        self, shard: int, version: str, *, due_ms: int | None, limit: int
    ) -> list[ActivityRecord]:
        with self._reading() as connection:
            return reads.activities(connection, shard, version, due_ms=due_ms, limit=limit)

    async def read_calls(self, version: str, calls: Sequence[tuple[int, ActivityKey]]) -> list[ActivityRecord | None]:
        with self._reading() as connection:
            return [reads.activity(connection, shard, version, key) for shard, key in calls]

    async def read_events(self, events: Sequence[tuple[int, str, int]]) -> list[bytes | None]:
        with self._reading() as connection:
            return [reads.event(connection, shard, instance_id, index) for shard, instance_id, index in events]

    async def push_hints(self, version: str, hints: Sequence[Hint]) -> None:
        self._hints.push(version, hints)

    async def take_hints(self, version: str, names: Sequence[str], *, limit: int) -> list[Hint]:
        return self._hints.take(version, names, limit)

    async def read_outbox(self, shard: int, *, after: int, limit: int) -> list[OutboxRecord]:
        with self._reading() as connection:
            return reads.outbox(connection, shard, after=after, limit=limit)

    async def list_instances(self, shard: int, wanted: InstanceFilter) -> list[Listed]:
        return await self._on_thread(lambda lister: reads.instances(lister, shard, wanted))

    async def _on_thread(self, read: Callable[[sqlite3.Connection], _Found]) -> _Found:
        """A read that may pass over a whole shard, beside the event loop."""
        lister = self._lister
        if lister is None or self._thread is None:
            raise self._closed()
        work = asyncio.get_running_loop().run_in_executor(self._thread, read, lister)
        try:
            return await work
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._path} cannot be read ({error}); retry") from error

    async def raw_records(self, shard: int, instance_id: str, *, limit: int) -> list[tuple[str, bytes]]:
        with self._reading() as connection:
            return reads.raw_records(connection, shard, instance_id, limit=limit)

    def key_of(self, shard: int, instance_id: str) -> str:
        return instance_key(self._key_prefix, self._app, shard, instance_id)


def _opening_error(path: str, error: Exception) -> StoreRefused | StoreUnavailable:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
        return StoreRefused(f"{path} is not a SQLite database; name another file with --state-store")
    return StoreUnavailable(f"{path} cannot be opened ({error}); check that its folder exists and may be written")
