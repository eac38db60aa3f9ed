"""All that a store shows through its port, as plain values: two dumps are equal if no caller could tell them apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import to_builtins

from tenuto_engine.ports.records import InstanceFilter
from tenuto_engine.ports.store import Store

_ALL = 1_000_000


async def _dump_shard(store: Store, shard: int, versions: Iterable[str]) -> dict[str, Any]:
    listed = await store.list_instances(shard, InstanceFilter(limit=_ALL))
    shown: dict[str, Any] = {
        "outbox": to_builtins(await store.read_outbox(shard, after=0, limit=_ALL)),
        "listed": [(each.created_at_ms, each.instance_id) for each in listed],
    }
    for each in listed:
        shown[f"instance {each.instance_id}"] = {
            "stored": to_builtins(each.stored),
            "read": to_builtins(await store.read_instance(shard, each.instance_id)),
            "records": await store.raw_records(shard, each.instance_id, limit=_ALL),
            "custom status": await store.read_custom_status(shard, each.instance_id),
        }
    for version in versions:
        reminders = await store.read_reminders(shard, version, limit=_ALL)
        activities = await store.read_activities(shard, version, due_ms=None, limit=_ALL)
        shown[f"version {version}"] = {
            "ready": sorted(await store.read_ready(shard, version, limit=_ALL)),
            "reminders": sorted((to_builtins(key), due_at_ms) for key, due_at_ms in reminders),
            "activities": sorted([*to_builtins(each.key), to_builtins(each)] for each in activities),
        }
    return shown


async def dump(store: Store, *, shards: int, versions: Iterable[str] = ("",)) -> dict[int, dict[str, Any]]:
    """Return everything that the store shows of its shards, in an order of its own."""
    return {shard: await _dump_shard(store, shard, versions) for shard in range(shards)}


def without_times(dumped: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return a dump without what depends on the store's clock: when marks were set, which outbox numbers were given."""
    timeless: dict[int, dict[str, Any]] = {}
    for shard, shown in dumped.items():
        timeless[shard] = dict(shown)
        timeless[shard]["outbox"] = [{**record, "number": place} for place, record in enumerate(shown["outbox"])]
        for name, part in shown.items():
            if name.startswith("version "):
                timeless[shard][name] = {**part, "ready": sorted(instance_id for instance_id, _ in part["ready"])}
    return timeless
