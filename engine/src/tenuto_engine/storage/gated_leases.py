"""Leases in one store over leases in another: the *gate* decides who tries, the *fence* decides who owns.

For state in PostgreSQL with leases in Redis. The fence is the state store's own: its epoch and token are the ones that
commits compare, and it grants nothing that is held there. So a gate that forgets everything, answers two engines that
both won, or comes back with old content costs a needless try, and never makes two writers; one that does not answer
costs availability, for then nobody's round of lease keeping succeeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from tenuto_engine.ports.leases import Lease, LeaseHeld, LeaseStore, Member, Roll


class GatedLeaseStore:
    """Implements `tenuto_engine.ports.leases.LeaseStore`. Leases given out are the fence's.

    Args:
        gate: asked first, and for who is alive.
        fence: asked with what the gate grants, and for the clock; the lease store of the state.

    Concurrency: as of the two stores; what is remembered of the gate is guarded.
    """

    def __init__(self, *, gate: LeaseStore, fence: LeaseStore) -> None:
        self._gate = gate
        self._fence = fence
        self._lock = Lock()
        self._passes: dict[tuple[int, str], Lease] = {}

    def acquire(
        self, shards: Sequence[int], *, version: str, owner: str, lease_ms: int, force: bool = False
    ) -> list[Lease | LeaseHeld]:
        answers: dict[int, Lease | LeaseHeld] = {}
        passes: dict[int, Lease] = {}
        for shard, answer in zip(
            shards,
            self._gate.acquire(shards, version=version, owner=owner, lease_ms=lease_ms, force=force),
            strict=True,
        ):
            if isinstance(answer, Lease):
                passes[shard] = answer
            else:
                answers[shard] = answer
        granted = self._fence.acquire(
            list(passes), version=version, owner=owner, lease_ms=lease_ms, force=force
        )  # fmt: skip
        answers |= dict(zip(passes, granted, strict=True))
        refused = [passes[shard] for shard in passes if isinstance(answers[shard], LeaseHeld)]
        with self._lock:
            self._passes |= {(shard, version): each for shard, each in passes.items() if each not in refused}
        # The owner that the fence names still lives: let it pass again.
        self._gate.release(refused, cause="")
        return [answers[shard] for shard in shards]

    def renew(self, leases: Sequence[Lease], *, lease_ms: int) -> list[bool]:
        kept = self._fence.renew(leases, lease_ms=lease_ms)
        owned = [lease for lease, is_kept in zip(leases, kept, strict=True) if is_kept]
        with self._lock:
            passes = [self._passes.get((lease.shard, lease.version)) for lease in owned]
        known = [each for each in passes if each is not None]
        passed = {each.token for each, ok in zip(known, self._gate.renew(known, lease_ms=lease_ms), strict=True) if ok}
        lost = [
            lease for lease, each in zip(owned, passes, strict=True) if each is None or each.token not in passed
        ]  # fmt: skip
        self._pass_again(lost, lease_ms)
        return kept

    def _pass_again(self, leases: Sequence[Lease], lease_ms: int) -> None:
        """Take the gate for what the fence says is owned: the gate forgot it, or somebody tries in vain."""
        for version, owner in dict.fromkeys((lease.version, lease.owner) for lease in leases):
            shards = [lease.shard for lease in leases if (lease.version, lease.owner) == (version, owner)]
            answers = self._gate.acquire(shards, version=version, owner=owner, lease_ms=lease_ms)
            with self._lock:
                self._passes |= {(each.shard, version): each for each in answers if isinstance(each, Lease)}

    def release(self, leases: Sequence[Lease], *, cause: str) -> None:
        # The fence first: whoever passes the gate next finds it open.
        self._fence.release(leases, cause=cause)
        with self._lock:
            passes = [self._passes.pop((lease.shard, lease.version), None) for lease in leases]
        self._gate.release([each for each in passes if each is not None], cause=cause)

    def heartbeat(self, member: Member, *, ttl_ms: int) -> Roll:
        """See the port. The clock is the one of the state, for turns and due times follow it."""
        clock = self._fence.heartbeat(member, ttl_ms=ttl_ms)
        return Roll(clock.now_ms, self._gate.heartbeat(member, ttl_ms=ttl_ms).present)

    def leave(self, engine_id: str) -> None:
        self._gate.leave(engine_id)
        self._fence.leave(engine_id)

    def members(self) -> list[Member]:
        return self._gate.members()

    def close(self) -> None:
        self._gate.close()
        self._fence.close()
