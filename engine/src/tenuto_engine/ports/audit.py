"""A store read as it stands, for those who check it: every record of a shard, also what no operation would show.

Nothing is written, nobody is told, no lease is asked for, and engines may be at work meanwhile. What one call answers
need not be one moment: an auditor reads again before it believes that something is wrong.

The forms are the same for every driver, so that two stores can be compared and one checker judges them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tenuto_engine.ports.records import ActivityRecord, IndexEntry, OutboxRecord, ReminderKey, Stored


class AuditInfo(msgspec.Struct, frozen=True):
    """What the layout record says, and the store in words."""

    description: str
    layout_version: int
    shards: int


class StoredLease(msgspec.Struct, frozen=True):
    """A lease record as it stands; empty `owner` and `token`: nobody's."""

    owner: str
    epoch: int
    token: str
    expires_at_ms: int


class VersionAudit(msgspec.Struct, frozen=True):
    """What one version of a shard has to look after. `lease`: None where none was ever granted."""

    lease: StoredLease | None = None
    ready: Sequence[tuple[str, int]] = []
    reminders: Sequence[tuple[ReminderKey, int]] = []
    activities: Sequence[ActivityRecord] = []


class Visible(msgspec.Struct, frozen=True, order=True):
    """One entry of a visibility index. `index`: all, status:N or name:NAME."""

    index: str
    instance_id: str
    created_at_ms: int


class Defect(msgspec.Struct, frozen=True, order=True):
    """What stands where no operation puts it: a key or row without its counterpart, or one that nobody knows."""

    where: str
    problem: str


class ShardAudit(msgspec.Struct, frozen=True):
    """All records of a shard but those of its instances, which are read one by one.

    `instances`: ids with a record, whether or not an index names them. `received`: highest number taken, by source
    shard. `open_counts`: stored counts of instances that have not ended, by version; None where the store counts when
    asked. Sequences are sorted.
    """

    instances: Sequence[str]
    versions: dict[str, VersionAudit]
    outbox: Sequence[OutboxRecord]
    outbox_last: int
    received: dict[int, int]
    seen: Sequence[tuple[str, int]]
    visible: Sequence[Visible]
    open_counts: dict[str, int] | None = None
    defects: Sequence[Defect] = []


class InstanceAudit(msgspec.Struct, frozen=True):
    """One instance whole. `records`: all but `metadata`, by name, sorted; `index`: its entry as the record keeps it."""

    instance_id: str
    stored: Stored
    index: IndexEntry
    records: Sequence[tuple[str, bytes]]
    defects: Sequence[Defect] = []


class AuditedStore(Protocol):
    """One app's state in one database, opened to look at. Raises StoreUnavailable where it cannot be read."""

    async def open(self) -> AuditInfo:
        """Connect, and read the layout record. Writes nothing, takes no lock, becomes no member.

        Raises: StoreRefused (there is no such store, or its layout is another one's), LayoutTooNew, StoreUnavailable.
        """
        ...

    async def close(self) -> None: ...

    async def now_ms(self) -> int:
        """The store's clock, Unix milliseconds."""
        ...

    async def audit_shard(self, shard: int) -> ShardAudit: ...

    async def audit_instance(self, shard: int, instance_id: str) -> InstanceAudit | None:
        """None where there is no such instance (any more).

        Raises: UnreadableRecord: what stands there is no instance of this driver's.
        """
        ...

    async def strays(self) -> list[Defect]:
        """What is stored for the app outside the shards it has."""
        ...
