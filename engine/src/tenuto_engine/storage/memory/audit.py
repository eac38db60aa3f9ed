"""The memory store, opened to look at: the canonical forms of the port, from which other drivers are told apart."""

from __future__ import annotations

from tenuto_engine.ports.audit import (
    AuditInfo,
    Defect,
    InstanceAudit,
    ShardAudit,
    StoredLease,
    VersionAudit,
    Visible,
)
from tenuto_engine.ports.errors import StoreRefused
from tenuto_engine.ports.records import Stored
from tenuto_engine.storage.memory.state import Entries, MemoryState, Shard
from tenuto_engine.storage.records import CUSTOM_STATUS, history_name, inbox_name, visible_in


class MemoryAudit:
    """Implements `tenuto_engine.ports.audit.AuditedStore` over the state that stores in this process share."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def open(self) -> AuditInfo:
        if self._state.shard_count is None:
            raise StoreRefused("no engine has opened this memory store yet; there is nothing to verify")
        return AuditInfo("memory", 1, self._state.shard_count)

    async def close(self) -> None:
        """Forget nothing: the state belongs to whoever made it."""

    async def now_ms(self) -> int:
        return self._state.clock()

    async def audit_shard(self, shard: int) -> ShardAudit:
        held = self._state.shards[shard]
        leases = {
            version: StoredLease(each.owner, each.epoch, each.token, each.expires_at_ms)
            for (number, version), each in self._state.leases.items()
            if number == shard
        }
        versions: dict[str, VersionAudit] = {}
        for version in sorted({*held.entries, *leases}):
            audit = _version(held.entries[version], leases.get(version))
            if audit != VersionAudit():
                versions[version] = audit
        return ShardAudit(
            instances=sorted(held.instances),
            versions=versions,
            outbox=[held.outbox[number] for number in sorted(held.outbox)],
            outbox_last=held.outbox_last,
            received=dict(sorted(held.taken_from.items())),
            seen=sorted(held.seen.remembered()),
            visible=_visible(held),
            defects=sorted(_unpaired(held)),
        )

    async def audit_instance(self, shard: int, instance_id: str) -> InstanceAudit | None:
        instance = self._state.shards[shard].instances.get(instance_id)
        if instance is None:
            return None
        records = [(history_name(index), record) for index, record in enumerate(instance.history)]
        records += [(inbox_name(number), body) for number, body in instance.inbox.items()]
        if instance.custom_status is not None:
            records.append((CUSTOM_STATUS, instance.custom_status))
        stored = Stored(instance.head, instance.metadata, instance.inbox_next)
        return InstanceAudit(instance_id, stored, instance.index, sorted(records))

    async def strays(self) -> list[Defect]:
        count = self._state.shard_count or 0
        return [
            Defect(f"shard {number}", f"holds records, but the store has {count} shards")
            for number, held in sorted(self._state.shards.items())
            if number >= count and (held.instances or held.outbox)
        ]


def _version(entries: Entries, lease: StoredLease | None) -> VersionAudit:
    return VersionAudit(
        lease=lease,
        ready=sorted(entries.ready.first(len(entries.ready))),
        reminders=sorted(entries.reminders.first(len(entries.reminders))),
        activities=[entries.activities[key] for key in sorted(entries.activities)],
    )


def _visible(held: Shard) -> list[Visible]:
    listed = held.created.newest(first_ms=0, before=None)
    return sorted(
        Visible(index, instance_id, created_at_ms)
        for created_at_ms, instance_id in listed
        for index in visible_in(held.instances[instance_id].index if instance_id in held.instances else None)
    )


def _unpaired(held: Shard) -> list[Defect]:
    return [
        Defect(f"activities:{version}", f"the call {key} and its time to look are not stored together")
        for version, entries in held.entries.items()
        for key in {*entries.activities} ^ {key for key, _ in entries.looks.first(len(entries.looks))}
    ]
