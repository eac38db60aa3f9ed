"""All that a store holds, as plain values: two dumps are equal if no caller and no auditor could tell them apart."""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from tenuto_engine.core.status import TERMINAL
from tenuto_engine.ports.audit import AuditedStore
from tenuto_engine.ports.records import InstanceFilter
from tenuto_engine.ports.store import Store
from tenuto_engine.storage.memory import MemoryAudit, MemoryStore
from tenuto_engine.storage.postgres import PostgresAudit, PostgresStore
from tenuto_engine.storage.redis import RedisAudit, RedisStore
from tenuto_engine.storage.sqlite import SqliteAudit, SqliteStore

_ALL = 1_000_000


def audit_of(store: Store) -> AuditedStore:
    """What an opened store stands on, to be looked at; the store's own connections serve where they can."""
    match store:
        case MemoryStore():
            return MemoryAudit(store.state)
        case SqliteStore():
            return SqliteAudit(store._path, app=store._app, key_prefix=store._key_prefix, clock=store._clock)
        case RedisStore():
            return RedisAudit(store._keys, store._links)
        case PostgresStore():
            target = store._target
            return PostgresAudit(target.url, app=target.app, key_prefix=target.key_prefix, links=store._links)
        case _:
            raise AssertionError(f"{type(store).__name__} has no audit; add it here")


async def _dump_shard(audit: AuditedStore, store: Store, shard: int) -> dict[str, Any]:
    whole = await audit.audit_shard(shard)
    listed = await store.list_instances(shard, InstanceFilter(limit=_ALL))
    shown: dict[str, Any] = {
        "shard": to_builtins(replace(whole, open_counts=None)),
        "listed": [(each.created_at_ms, each.instance_id) for each in listed],
    }
    for each in listed:
        shown[f"instance {each.instance_id}"] = {
            "stored": to_builtins(each.stored),
            "read": to_builtins(await store.read_instance(shard, each.instance_id)),
            "records": await store.raw_records(shard, each.instance_id, limit=_ALL),
            "custom status": await store.read_custom_status(shard, each.instance_id),
            "whole": to_builtins(await audit.audit_instance(shard, each.instance_id)),
        }
    counts = whole.open_counts
    if counts is not None:
        recount = await _recount(audit, shard, whole.instances)
        assert {version: count for version, count in counts.items() if count} == recount, (counts, recount)
    return shown


async def _recount(audit: AuditedStore, shard: int, instances: Any) -> dict[str, int]:
    """Instances that have not ended, by version, counted one by one."""
    found: dict[str, int] = {}
    for instance_id in instances:
        instance = await audit.audit_instance(shard, instance_id)
        assert instance is not None
        head = instance.stored.head
        if head.status not in TERMINAL:
            found[head.version] = found.get(head.version, 0) + 1
    return found


async def dump(store: Store, *, shards: int) -> dict[int, dict[str, Any]]:
    """Return everything that the store holds of its shards, in an order of its own."""
    audit = audit_of(store)
    await audit.open()
    dumped = {shard: await _dump_shard(audit, store, shard) for shard in range(shards)}
    if isinstance(audit, SqliteAudit):
        await audit.close()  # the others read over what the store itself has open
    return dumped


def without_times(dumped: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return a dump without what depends on the store's clock and on chance.

    That is: when marks were set and ids remembered, which outbox numbers were given, tokens and expiries of leases.
    """
    timeless: dict[int, dict[str, Any]] = {}
    for shard, shown in dumped.items():
        whole = dict(shown["shard"])
        whole["outbox"] = [{**record, "number": place} for place, record in enumerate(whole["outbox"])]
        whole["outbox_last"] = bool(whole["outbox_last"])
        whole["seen"] = [command_id for command_id, _ in whole["seen"]]
        whole["versions"] = {
            version: {
                **part,
                "ready": [each for each, _ in part["ready"]],
                "lease": part["lease"] and part["lease"]["epoch"],
            }
            for version, part in whole["versions"].items()
        }
        timeless[shard] = {**shown, "shard": whole}
    return timeless


def without_lasting(dumped: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return a dump without times, and without what stays when an instance goes.

    That is: leases, remembered ids, and what was sent to others.
    """
    left = without_times(dumped)
    for shown in left.values():
        whole = shown["shard"]
        for name in ("outbox", "outbox_last", "seen"):
            del whole[name]
        for part in whole["versions"].values():
            del part["lease"]
        whole["versions"] = {version: part for version, part in whole["versions"].items() if any(part.values())}
    return left
