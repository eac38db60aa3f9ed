"""The state store as the engine sees it: operations that are each atomic, checked before their first write.

A driver executes operations and holds no policy: it compares what it is told to compare, writes what it is told
to write, and answers which comparison failed. Everything that an operation touches belongs to one shard, so a
driver can keep a shard on one node (Redis Cluster) or in one table partition.

Three rules hold for every operation:

* **Check, then write.** All that can fail is checked first; an operation that is refused has changed nothing.
* **Independent answers.** Operations executed as a group (one pipeline, one transaction) are answered one by one;
  a refused one does not undo the others. They take effect in the order given.
* **Time is the store's.** Due times, expiries and windows are judged by the store's clock, never the engine's.

Bytes given in `history`, `messages`, `metadata`, `entries` are opaque here: `codec` makes and reads them.
Source: architecture sections 2, 3, 5, 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

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


class StoreInfo(msgspec.Struct, frozen=True):
    """What `open` found. `exclusive`: this process alone can have the store open, so leases need not run out.

    `durability`: the tier delivered (D0..D3); `verified` false where the server hides its settings.
    """

    description: str
    durability: str
    verified: bool
    exclusive: bool


class Store(Protocol):
    """One app's state in one database. All methods are coroutines on one event loop.

    Raises `StoreUnavailable` from reads when the store cannot be reached; `execute` never raises for that: it
    answers `Unconfirmed` or `Rejected` for the operations concerned.
    """

    async def open(self, *, shards: int, durability: str) -> StoreInfo:
        """Connect, check or write the layout record, check shard count and durability.

        Raises: LayoutTooNew, ShardsDiffer, DurabilityRefused (naming the setting), StoreUnavailable.
        """
        ...

    async def close(self) -> None: ...

    def incarnation(self) -> str:
        """Which server answered last, as far as it can be told: changes when it restarted or another took its place.

        Writes may be lost then: the caller drops all memory and leases, and acquires anew. Constant where a store
        cannot lose what it answered while this process lives.
        """
        ...

    async def recheck(self) -> None:
        """Check again, on every connection, what `open` checks: the store was emptied, or went back, unnoticed.

        The layout record is compared, or written where it is gone. Raises as `open` does.
        """
        ...

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Execute a group in order; answer each. Never raises for a fault of the store."""
        ...

    async def now_ms(self) -> int:
        """The store's clock, Unix milliseconds."""
        ...

    async def read_instance(self, shard: int, instance_id: str) -> Stored | None: ...

    async def read_instances(self, shard: int, instance_ids: Sequence[str]) -> list[Stored | None]: ...

    async def read_custom_status(self, shard: int, instance_id: str) -> bytes | None: ...

    async def read_inbox(self, shard: int, instance_id: str, *, first: int, end: int, limit: int) -> list[InboxRecord]:
        """Unread messages numbered in [first, end), by computed names, rising, at most `limit`."""
        ...

    async def read_history(
        self, shard: int, instance_id: str, *, first: int, count: int, max_bytes: int
    ) -> list[bytes]:
        """Records [first, first + count) up to the first missing; at least one, else within `max_bytes` together."""
        ...

    async def read_ready(self, shard: int, version: str, *, limit: int) -> list[tuple[str, int]]:
        """Instances marked ready, oldest first, with their marks (Unix ms)."""
        ...

    async def read_ready_many(
        self, shards: Sequence[int], version: str, *, limit: int
    ) -> dict[int, list[tuple[str, int]]]:
        """`read_ready` for several shards in one round trip; shards without marks are left out."""
        ...

    async def read_reminders(self, shard: int, version: str, *, limit: int) -> list[tuple[ReminderKey, int]]:
        """The earliest reminders, due or not, with their due times."""
        ...

    async def read_versions(self, shards: Sequence[int]) -> list[str]:
        """Versions that may have something in these shards, in any order: at least all that have instances there."""
        ...

    async def count_reminders(self, shards: Sequence[int], version: str) -> int: ...

    async def count_stock(self, shards: Sequence[int], version: str, *, due_ms: int) -> dict[int, Stock]:
        """What each of these shards holds, in few round trips. Costs a pass over the reminders: for seldom use."""
        ...

    async def read_activities(
        self, shard: int, version: str, *, due_ms: int | None, limit: int
    ) -> list[ActivityRecord]:
        """Open entries by `look_at_ms`, earliest first; only those due by `due_ms` where it is given."""
        ...

    async def read_calls(self, version: str, calls: Sequence[tuple[int, ActivityKey]]) -> list[ActivityRecord | None]:
        """The entries of (shard, key) in one round trip and in order; None where there is none (any more)."""
        ...

    async def read_events(self, events: Sequence[tuple[int, str, int]]) -> list[bytes | None]:
        """Single history records by (shard, instance id, index) in one round trip and in order; None where missing."""
        ...

    async def push_hints(self, version: str, hints: Sequence[Hint]) -> None:
        """Put hints at the end of the list of their activity's name. They are app-wide, and never the only copy.

        A list is bounded (at least 10,000 hints; what exceeds the bound is dropped), and may be forgotten once nobody
        has touched it for a minute. Raises StoreUnavailable; then some of the hints may have been pushed.
        """
        ...

    async def take_hints(self, version: str, names: Sequence[str], *, limit: int) -> list[Hint]:
        """Take at most `limit` hints off the lists of these names, the lists in the order given, oldest hints first.

        A hint is given to one taker; it is lost if the answer is.
        """
        ...

    async def read_outbox(self, shard: int, *, after: int, limit: int) -> list[OutboxRecord]:
        """Undelivered messages numbered above `after`, in order."""
        ...

    async def list_instances(self, shard: int, wanted: InstanceFilter) -> list[Listed]: ...

    async def raw_records(self, shard: int, instance_id: str, *, limit: int) -> list[tuple[str, bytes]]:
        """At most `limit` records by name (`customStatus`, `history-000000`, `inbox-000000`, `metadata`: the body)."""
        ...

    def key_of(self, shard: int, instance_id: str) -> str:
        """The name under which the store keeps an instance, for people."""
        ...
