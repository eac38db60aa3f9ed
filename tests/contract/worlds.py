"""One opened store with the lease of its shards: what the cases of the suite act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from contract.backends import Backend
from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.leases import Lease, LeaseStore
from tenuto_engine.ports.operations import Append, Commit, Create, Operation
from tenuto_engine.ports.outcomes import Committed, Created, Outcome
from tenuto_engine.ports.records import (
    ActivityKey,
    ActivityRecord,
    Head,
    IndexEntry,
    Message,
    NewInstance,
    ReminderKey,
    Stored,
)
from tenuto_engine.ports.store import Store

SHARDS = 4
FAR_MS = 3_600_000
Kind = TypeVar("Kind")


def message(text: str = "hello", **fields: Any) -> Message:
    """A message that carries its text as body and as id."""
    return Message(**{"id": text, "body": text.encode(), **fields})


def head(**fields: Any) -> Head:
    """The head of a running instance that nothing happened to yet."""
    defaults: dict[str, Any] = {
        "status": Status.RUNNING,
        "hold": Hold.NONE,
        "execution_id": "e1",
        "commit_id": "c0",
        "history_length": 0,
        "taken": 0,
        "inbox_low": 0,
        "version": "",
        "start_id": "",
    }
    return Head(**(defaults | fields))


def new_instance(instance_id: str = "order-1", *, messages: Sequence[Message] = (), **fields: Any) -> NewInstance:
    """A new running instance; `fields` are those of its head, but for reminders, replace and history."""
    own = {
        name: fields.pop(name) for name in ("reminders", "replace", "history", "metadata", "index") if name in fields
    }
    made = head(**fields)
    values: dict[str, Any] = {"metadata": b"metadata of a new one", "index": IndexEntry("ship", made.status, 1_000)}
    return NewInstance(instance_id=instance_id, head=made, messages=messages, **(values | own))


def timer(event_id: int, instance_id: str = "order-1", execution_id: str = "e1", kind: str = "timer") -> ReminderKey:
    return ReminderKey(kind, event_id, execution_id, instance_id)


def call(event_id: int, instance_id: str = "order-1", execution_id: str = "e1") -> ActivityKey:
    return ActivityKey(event_id, execution_id, instance_id)


def open_call(event_id: int, *, attempt: int = 1, revision: int = 1, look_at_ms: int = 0, **key: str) -> ActivityRecord:
    return ActivityRecord(call(event_id, **key), attempt, revision, look_at_ms, b"activity")


def _low(low: int, consumed: Sequence[int]) -> int:
    """The number below which every message is gone, once these are."""
    while low in consumed:
        low += 1
    return low


@dataclass
class World:
    """An opened store; shard 0 is where the cases act unless they say otherwise."""

    backend: Backend
    store: Store
    leases: LeaseStore
    held: dict[tuple[int, str], Lease] = field(default_factory=dict[tuple[int, str], Lease])
    commits: int = 0

    def token(self, shard: int = 0, version: str = "") -> str:
        """The token of the shard's lease, taken by force at the first use."""
        if (shard, version) not in self.held:
            (lease,) = self.leases.acquire([shard], version=version, owner="me", lease_ms=FAR_MS, force=True)
            assert isinstance(lease, Lease)
            self.held[shard, version] = lease
        return self.held[shard, version].token

    async def do(self, operation: Operation) -> Outcome:
        (outcome,) = await self.store.execute([operation])
        return outcome

    async def must(self, kind: type[Kind], operation: Operation) -> Kind:
        """Execute and insist on a kind of outcome."""
        outcome = await self.do(operation)
        assert isinstance(outcome, kind), outcome
        return outcome

    async def create(self, instance_id: str = "order-1", *, shard: int = 0, **fields: Any) -> None:
        await self.must(Created, Create(shard, new_instance(instance_id, **fields)))

    async def append(self, text: str, instance_id: str = "order-1", *, shard: int = 0, **fields: Any) -> Outcome:
        return await self.do(Append(shard, instance_id, message(text, **fields)))

    async def stored(self, instance_id: str = "order-1", *, shard: int = 0) -> Stored:
        stored = await self.store.read_instance(shard, instance_id)
        assert stored is not None, instance_id
        return stored

    async def next_commit(self, instance_id: str = "order-1", *, shard: int = 0, **fields: Any) -> Commit:
        """The commit that a well-behaved owner would send next; `fields` are the commit's, or its head's.

        Taken, inbox_low, length and commit id follow from the stored head unless they are given.
        """
        now = (await self.stored(instance_id, shard=shard)).head
        self.commits += 1
        history = fields.get("history", ())
        consumed = fields.get("consumed", ())
        length = len(history) if fields.get("renew") else now.history_length + len(history)
        head_fields: dict[str, Any] = {
            "commit_id": f"commit-{self.commits}",
            "history_length": length,
            "taken": now.taken + len(consumed),
            "inbox_low": _low(now.inbox_low, consumed),
        }
        for name in Head.__struct_fields__:
            if name in fields:
                head_fields[name] = fields.pop(name)
        return Commit(
            **{
                "shard": shard,
                "token": self.token(shard, now.version),
                "lease_version": now.version,
                "instance_id": instance_id,
                "base_execution_id": now.execution_id,
                "base_commit_id": now.commit_id,
                "base_length": now.history_length,
                "head": replace(now, **head_fields),
                "metadata": b"metadata of " + head_fields["commit_id"].encode(),
                **fields,
            }
        )

    async def commit(self, instance_id: str = "order-1", *, shard: int = 0, **fields: Any) -> Committed:
        """Commit what an owner would; must succeed."""
        return await self.must(Committed, await self.next_commit(instance_id, shard=shard, **fields))

    async def finish(self, instance_id: str = "order-1", *, shard: int = 0, **fields: Any) -> Committed:
        """Commit the end of an instance."""
        status = fields.pop("status", Status.COMPLETED)
        index = IndexEntry("ship", status, 1_000)
        return await self.commit(instance_id, shard=shard, status=status, index=index, close=True, **fields)

    async def ready(self, shard: int = 0, version: str = "") -> list[str]:
        """The instances marked ready, oldest first."""
        return [instance_id for instance_id, _ in await self.store.read_ready(shard, version, limit=1_000)]

    async def inbox(self, instance_id: str = "order-1", *, shard: int = 0) -> list[tuple[int, str]]:
        records = await self.store.read_inbox(shard, instance_id, first=0, end=1_000, limit=1_000)
        return [(record.number, record.body.decode()) for record in records]

    async def entry(self, key: ActivityKey, *, shard: int = 0, version: str = "") -> ActivityRecord | None:
        """An open call as stored."""
        (found,) = await self.store.read_calls(version, [(shard, key)])
        return found

    async def history(self, instance_id: str = "order-1", *, shard: int = 0) -> list[bytes]:
        return await self.store.read_history(shard, instance_id, first=0, count=1_000, max_bytes=1 << 20)
