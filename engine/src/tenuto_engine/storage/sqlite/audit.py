"""The SQLite file, opened to look at: read-only, beside the engine that has it open, in one transaction per read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.audit import (
    AuditInfo,
    Defect,
    InstanceAudit,
    ShardAudit,
    StoredLease,
    VersionAudit,
    Visible,
)
from tenuto_engine.ports.errors import LayoutTooNew, StoreRefused, StoreUnavailable
from tenuto_engine.ports.records import (
    ActivityKey,
    ActivityRecord,
    Head,
    IndexEntry,
    OutboxRecord,
    ReminderKey,
    Stored,
)
from tenuto_engine.storage.clock import system_ms
from tenuto_engine.storage.records import METADATA, visible_in
from tenuto_engine.storage.sqlite.layout import BUSY_MS, differing
from tenuto_engine.storage.sqlite.sql import QUERIES, read_migrations


class SqliteAudit:
    """Implements `tenuto_engine.ports.audit.AuditedStore`. Takes no lock file: an engine may have the file open.

    Args:
        path, app, key_prefix: as of `SqliteStore`.
        clock: the store's clock, Unix milliseconds.
    """

    def __init__(self, path: str, *, app: str, key_prefix: str, clock: Callable[[], int] = system_ms) -> None:
        self._path = path
        self._whose = (app, key_prefix)
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._shards = 0

    async def open(self) -> AuditInfo:
        try:
            # Read-only, so that not even an empty file is made; `query_only` besides, for what a later change may do.
            uri = f"file:{quote(self._path)}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            self._connection.execute("PRAGMA query_only = ON")
            row = self._connection.execute("SELECT version, shards, app, key_prefix FROM layout").fetchone()
        except sqlite3.Error as error:
            await self.close()
            raise StoreRefused(
                f"{self._path} is no state store that can be read ({error}); check --state-store"
            ) from error
        try:
            return self._accept(row)
        except StoreRefused:
            await self.close()
            raise

    def _accept(self, row: tuple[Any, ...] | None) -> AuditInfo:
        if row is None:
            raise StoreRefused(
                f"{self._path} has lost its layout record, which engines write first of all; restore a backup of it"
            )
        version, self._shards, *whose = row
        newest = len(read_migrations())
        if version > newest:
            raise LayoutTooNew(
                f"{self._path} has layout {version}, this release knows layouts up to {newest};"
                " verify it with the release that wrote it"
            )
        if tuple(whose) != self._whose:
            options = differing((whose[0], whose[1]), self._whose)
            raise StoreRefused(
                f"{self._path} holds the state of app {whose[0]!r} (key prefix {whose[1]!r}), not of"
                f" {self._whose[0]!r} (key prefix {self._whose[1]!r}); give {options}"
            )
        return AuditInfo(f"sqlite {self._path}", version, self._shards)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def now_ms(self) -> int:
        return self._clock()

    @contextmanager
    def _moment(self) -> Generator[sqlite3.Connection]:
        """Read within one transaction: all of it is one moment of the file."""
        if self._connection is None:
            raise StoreUnavailable(f"{self._path} is not open")
        try:
            self._connection.execute("BEGIN")
            yield self._connection
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._path} cannot be read ({error}); try again") from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    async def audit_shard(self, shard: int) -> ShardAudit:
        with self._moment() as connection:
            ask = _asking(connection, shard)
            rows = ask("audit_instances")
            entries = {instance: IndexEntry(name, Status(status), at) for instance, name, status, at, *_ in rows}
            last = ask("read_outbox_last")
            return ShardAudit(
                instances=sorted(entries),
                versions=_versions(ask, rows),
                outbox=[OutboxRecord(*row) for row in ask("audit_outbox")],
                outbox_last=last[0][0] if last else 0,
                received=dict(ask("audit_taken_from")),
                seen=sorted(ask("audit_seen")),
                visible=sorted(
                    Visible(index, instance, entry.created_at_ms)
                    for instance, entry in entries.items()
                    for index in visible_in(entry)
                ),
            )

    async def audit_instance(self, shard: int, instance_id: str) -> InstanceAudit | None:
        with self._moment() as connection:
            row = connection.execute(QUERIES["audit_instance"], (shard, instance_id)).fetchone()
            if row is None:
                return None
            key, status, hold, *head, inbox_next, name, index_status, created_at_ms = row
            records = connection.execute(QUERIES["audit_records"], (key,)).fetchall()
        bodies = [value for name_of, value in records if name_of == METADATA]
        stored = Stored(Head(Status(status), Hold(hold), *head), bodies[0] if bodies else b"", inbox_next)
        return InstanceAudit(
            instance_id,
            stored,
            IndexEntry(name, Status(index_status), created_at_ms),
            sorted((name_of, value) for name_of, value in records if name_of != METADATA),
            [] if bodies else [Defect(f"instance {instance_id}", "has no record named metadata")],
        )

    async def strays(self) -> list[Defect]:
        with self._moment() as connection:
            lost = connection.execute(QUERIES["audit_lost_records"]).fetchall()
            beyond = connection.execute(QUERIES["audit_beyond"], (self._shards,)).fetchall()
        return sorted(
            [Defect(f"record {name} of row {key}", "belongs to no instance") for key, name in lost]
            + [Defect(f"{table} of shard {shard}", f"the store has {self._shards} shards") for table, shard in beyond]
        )


_Ask = Callable[[str], list[Any]]


def _asking(connection: sqlite3.Connection, shard: int) -> _Ask:
    return lambda name: connection.execute(QUERIES[name], (shard,)).fetchall()


def _versions(ask: _Ask, instances: list[Any]) -> dict[str, VersionAudit]:
    """What each version of a shard has to look after, from the rows of its tables."""
    leases = {version: StoredLease(*rest) for version, *rest in ask("audit_leases")}
    ready: dict[str, list[tuple[str, int]]] = {}
    for instance, _, _, _, version, ready_at_ms in instances:
        if ready_at_ms is not None:
            ready.setdefault(version, []).append((instance, ready_at_ms))
    reminders: dict[str, list[tuple[ReminderKey, int]]] = {}
    for version, due_at_ms, *key in ask("audit_reminders"):
        reminders.setdefault(version, []).append((ReminderKey(*key), due_at_ms))
    activities: dict[str, list[ActivityRecord]] = {}
    for version, event_id, execution_id, instance, *rest in ask("audit_activities"):
        record = ActivityRecord(ActivityKey(event_id, execution_id, instance), *rest)
        activities.setdefault(version, []).append(record)
    return {
        version: VersionAudit(
            lease=leases.get(version),
            ready=sorted(ready.get(version, ())),
            reminders=sorted(reminders.get(version, ())),
            activities=sorted(activities.get(version, ()), key=lambda record: record.key),
        )
        for version in sorted({*leases, *ready, *reminders, *activities})
    }
