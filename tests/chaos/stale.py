"""A stale owner on purpose: it learns tokens of leases, waits until others have the shards, and writes with the old.

Engines notice by their own clocks that a lease is over, and mostly stop before they write: whether the store refuses
would hardly be seen. This writer never stops.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from tenuto_engine.ports.errors import EngineError
from tenuto_engine.ports.operations import Commit, DropReminder
from tenuto_engine.ports.outcomes import Fenced, Rejected, Unconfirmed
from tenuto_engine.ports.records import ReminderKey
from tenuto_engine.ports.store import Store
from tenuto_engine.storage.urls import open_audit, open_stores


@dataclass
class StaleWriter:
    """Tries writes with tokens of former owners.

    Args:
        url: of the store.
        shards, durability: as the engines have them.
    """

    url: str
    shards: int
    durability: str
    refused: int = 0
    wrong: list[str] = field(default_factory=list[str])
    _tokens: dict[int, str] = field(default_factory=dict[int, str])
    _store: Store | None = None

    async def look_and_write(self) -> None:
        """Learn the present tokens; write with those that are not present any more. A store that is away waits."""
        with contextlib.suppress(EngineError):
            store = await self._open()
            audit = open_audit(self.url, app="default", key_prefix="tenuto")
            try:
                await audit.open()
                for shard in range(self.shards):
                    held = (await audit.audit_shard(shard)).versions.get("")
                    token = held.lease.token if held is not None and held.lease is not None else ""
                    former = self._tokens.get(shard, "")
                    if former and former != token:
                        reminders = [key for key, _ in held.reminders] if held is not None else []
                        await self._write(store, shard, former, reminders)
                    self._tokens[shard] = token or former
            finally:
                await audit.close()

    async def _open(self) -> Store:
        if self._store is None:
            stores = open_stores(self.url, app="default", key_prefix="tenuto")
            stores.leases.close()
            await stores.store.open(shards=self.shards, durability=self.durability)
            self._store = stores.store
        return self._store

    async def _write(self, store: Store, shard: int, token: str, reminders: list[ReminderKey]) -> None:
        for key in reminders[:1]:
            stored = await store.read_instance(shard, key.instance_id)
            if stored is None:
                continue
            head = stored.head
            commit = Commit(
                shard=shard,
                token=token,
                lease_version="",
                instance_id=key.instance_id,
                base_execution_id=head.execution_id,
                base_commit_id=head.commit_id,
                base_length=head.history_length,
                head=head,
                metadata=b"written by a stale owner",
                history=[b"written by a stale owner"],
            )
            for outcome in await store.execute([DropReminder(shard, token, "", key), commit]):
                if isinstance(outcome, Fenced):
                    self.refused += 1
                elif not isinstance(outcome, Rejected | Unconfirmed):
                    self.wrong.append(f"shard {shard}: a write with a former owner's token was answered {outcome}")

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()
