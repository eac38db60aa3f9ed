"""A schema in PostgreSQL, opened to look at: read-only sessions, also on a standby, beside the engines at work."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from tenuto_engine.core.status import Status
from tenuto_engine.ports.audit import (
    AuditInfo,
    Defect,
    InstanceAudit,
    ShardAudit,
    StoredLease,
    VersionAudit,
    Visible,
)
from tenuto_engine.ports.errors import LayoutTooNew, StoreRefused
from tenuto_engine.ports.records import ActivityKey, ActivityRecord, IndexEntry, OutboxRecord, ReminderKey
from tenuto_engine.storage.postgres import layout
from tenuto_engine.storage.postgres.exchange import Failed, Row
from tenuto_engine.storage.postgres.link import LinkPool
from tenuto_engine.storage.postgres.reads import read_stored
from tenuto_engine.storage.postgres.session import settings_of, target_of
from tenuto_engine.storage.postgres.sql import read_migrations
from tenuto_engine.storage.postgres.wire import bigint
from tenuto_engine.storage.records import visible_in

_UNDEFINED_TABLE = "42P01"


class PostgresAudit:
    """Implements `tenuto_engine.ports.audit.AuditedStore`.

    Args:
        url, app, key_prefix: as of `PostgresStore`.
        timeout_s: how long the answer to one read may take; seconds. Long, for a read passes over a whole shard.
        links: to read over, in place of connections of its own; whoever gave them closes them.
    """

    def __init__(
        self, url: str, *, app: str, key_prefix: str, timeout_s: float = 60.0, links: LinkPool | None = None
    ) -> None:
        self._target = target_of(url, app=app, key_prefix=key_prefix, lease_ms=10_000)
        self._owned = LinkPool(self._target, timeout_s=timeout_s, prepare=self._prepare, sessions="any")
        self._links = links or self._owned
        self._shards = 0

    async def _prepare(self, connection: AsyncConnection) -> None:
        settings = settings_of(self._target) | {"default_transaction_read_only": "on", "statement_timeout": "0"}
        await layout.apply_settings(connection, settings)

    async def open(self) -> AuditInfo:
        try:
            rows = await self._links.ask("audit_layout")
        except Failed as fault:
            if fault.code != _UNDEFINED_TABLE:
                raise
            raise StoreRefused(
                f"there is no store in schema {self._target.schema!r}, where that of app {self._target.app!r} "
                f"(key prefix {self._target.key_prefix!r}) would be; check --state-store, --app and --key-prefix"
            ) from fault
        if not rows:
            raise StoreRefused(
                f"schema {self._target.schema!r} has lost its layout record, which engines write first of all;"
                " restore a backup of it"
            )
        ((version, needs, self._shards, app, key_prefix, release),) = rows
        newest = read_migrations()[-1].number
        if needs > newest:
            raise LayoutTooNew(
                f"schema {self._target.schema!r} has layout {version}, this release knows layouts up to {newest};"
                " verify it with the release that wrote it"
            )
        if (app, key_prefix) != (self._target.app, self._target.key_prefix):
            raise StoreRefused(
                f"schema {self._target.schema!r} holds the state of app {app!r} (key prefix {key_prefix!r});"
                f" give --app {app} --key-prefix {key_prefix}"
            )
        return AuditInfo(f"PostgreSQL {release}", version, self._shards)

    async def close(self) -> None:
        await self._owned.close()

    async def now_ms(self) -> int:
        ((now_ms,),) = await self._links.ask("now_ms")
        return int(now_ms)

    async def audit_shard(self, shard: int) -> ShardAudit:
        async def ask(query: str) -> list[Row]:
            return await self._links.ask(query, bigint(shard))

        entries = {row[0]: IndexEntry(row[1], Status(row[2]), row[3]) for row in await ask("audit_instances")}
        tables = {name: await ask(f"audit_{name}") for name in ("leases", "ready", "reminders", "activities")}
        last = await ask("audit_outbox_last")
        return ShardAudit(
            instances=sorted(entries),
            versions=_versions(tables),
            outbox=[OutboxRecord(*row) for row in await ask("audit_outbox")],
            outbox_last=last[0][0] if last else 0,
            received=dict(await ask("audit_taken_from")),
            seen=[(command_id, at_ms) for command_id, at_ms in await ask("audit_seen")],
            visible=sorted(
                Visible(index, instance, entry.created_at_ms)
                for instance, entry in entries.items()
                for index in visible_in(entry)
            ),
            defects=[
                Defect(f"ready:{version}", f"{instance} is marked ready, but there is no such instance")
                for version, instance in await ask("audit_unknown_ready")
            ],
        )

    async def audit_instance(self, shard: int, instance_id: str) -> InstanceAudit | None:
        names = bigint(shard), instance_id.encode()
        rows = await self._links.ask("audit_instance", *names)
        if not rows:
            return None
        (*head, metadata, name, index_status, created_at_ms) = rows[0]
        return InstanceAudit(
            instance_id,
            read_stored([*head, metadata or b""]),
            IndexEntry(name, Status(index_status), created_at_ms),
            [(record, value) for record, value in await self._links.ask("audit_records", *names)],
            [] if metadata is not None else [Defect(f"instance {instance_id}", "has no record named metadata")],
        )

    async def strays(self) -> list[Defect]:
        lost = await self._links.ask("audit_lost_records")
        beyond = await self._links.ask("audit_beyond", bigint(self._shards))
        return sorted(
            [Defect(f"record {name} of row {key}", "belongs to no instance") for key, name in lost]
            + [Defect(f"{table} of shard {shard}", f"the store has {self._shards} shards") for table, shard in beyond]
        )


def _versions(tables: dict[str, list[Row]]) -> dict[str, VersionAudit]:
    """What each version of a shard has to look after, from the rows of its tables."""
    leases = {version: StoredLease(*rest) for version, *rest in tables["leases"]}
    ready: dict[str, list[tuple[str, int]]] = {}
    for version, instance, at_ms in tables["ready"]:
        ready.setdefault(version, []).append((instance, at_ms))
    reminders: dict[str, list[tuple[ReminderKey, int]]] = {}
    for version, due_at_ms, *key in tables["reminders"]:
        reminders.setdefault(version, []).append((ReminderKey(*key), due_at_ms))
    activities: dict[str, list[ActivityRecord]] = {}
    for version, *row in tables["activities"]:
        activities.setdefault(version, []).append(_activity(row))
    return {
        version: VersionAudit(
            lease=leases.get(version),
            ready=ready.get(version, []),
            reminders=sorted(reminders.get(version, [])),
            activities=sorted(activities.get(version, []), key=lambda record: record.key),
        )
        for version in sorted({*leases, *ready, *reminders, *activities})
    }


def _activity(row: list[Any]) -> ActivityRecord:
    event_id, execution_id, instance, *rest = row
    return ActivityRecord(ActivityKey(event_id, execution_id, instance), *rest)
