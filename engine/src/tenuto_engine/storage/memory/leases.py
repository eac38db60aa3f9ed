"""Leases and membership in memory: the reference for who may own a shard, and until when."""

from __future__ import annotations

from collections.abc import Sequence

from tenuto_engine.ports.leases import Lease, LeaseHeld, Member, Present, Roll
from tenuto_engine.storage.memory.state import LeaseRecord, MemoryState


class MemoryLeaseStore:
    """Ownership of the shards of one `MemoryState`.

    Concurrency: may be called from any thread, also with other lease stores on the same state. A `MemoryStore` reads
    only the token, which changes in one step.
    """

    def __init__(self, *, state: MemoryState) -> None:
        self._state = state
        self._lock = state.lease_lock

    def acquire(
        self, shards: Sequence[int], *, version: str, owner: str, lease_ms: int, force: bool = False
    ) -> list[Lease | LeaseHeld]:
        with self._lock:
            now_ms = self._state.clock()
            return [
                self._acquire(shard, version, owner=owner, now_ms=now_ms, lease_ms=lease_ms, force=force)
                for shard in shards
            ]

    def _acquire(
        self, shard: int, version: str, *, owner: str, now_ms: int, lease_ms: int, force: bool
    ) -> Lease | LeaseHeld:
        lease = self._state.leases.setdefault((shard, version), LeaseRecord())
        held = lease.owner not in ("", owner) and lease.expires_at_ms > now_ms
        if held and not force:
            return LeaseHeld(shard, lease.owner, lease.epoch, lease.expires_at_ms - now_ms)
        cause, free_since_ms = (
            ("expiry", lease.expires_at_ms) if lease.owner else (lease.cause, lease.released_at_ms or now_ms)
        )
        lease.epoch += 1
        lease.owner = owner
        lease.expires_at_ms = now_ms + lease_ms
        lease.token = f"{lease.epoch}-{self._state.random_hex(8)}"
        return Lease(shard, version, owner, lease.epoch, lease.token, cause, max(0, now_ms - free_since_ms))

    def renew(self, leases: Sequence[Lease], *, lease_ms: int) -> list[bool]:
        with self._lock:
            now_ms = self._state.clock()
            renewed: list[bool] = []
            for lease in leases:
                owned = self._state.owns(lease.shard, lease.version, lease.token)
                if owned:
                    self._state.leases[lease.shard, lease.version].expires_at_ms = now_ms + lease_ms
                renewed.append(owned)
            return renewed

    def release(self, leases: Sequence[Lease], *, cause: str) -> None:
        with self._lock:
            now_ms = self._state.clock()
            for lease in leases:
                if self._state.owns(lease.shard, lease.version, lease.token):
                    stored = self._state.leases[lease.shard, lease.version]
                    stored.token = ""
                    stored.owner = ""
                    stored.expires_at_ms = 0
                    stored.cause, stored.released_at_ms = cause, now_ms

    def heartbeat(self, member: Member, *, ttl_ms: int) -> Roll:
        with self._lock:
            now_ms = self._state.clock()
            self._state.members[member.engine_id] = (member, now_ms + ttl_ms)
            return Roll(now_ms, [Present(each, until_ms - now_ms) for each, until_ms in self._alive(now_ms)])

    def leave(self, engine_id: str) -> None:
        with self._lock:
            self._state.members.pop(engine_id, None)

    def members(self) -> list[Member]:
        with self._lock:
            return [member for member, _ in self._alive(self._state.clock())]

    def _alive(self, now_ms: int) -> list[tuple[Member, int]]:
        members = self._state.members
        for engine_id in [key for key, (_, expires_at_ms) in members.items() if expires_at_ms <= now_ms]:
            del members[engine_id]
        return [members[engine_id] for engine_id in sorted(members)]

    def close(self) -> None:
        """Forget nothing: the state belongs to whoever made it."""
