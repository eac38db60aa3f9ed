"""Who owns a shard: leases, members, and the port that grants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Lease(msgspec.Struct, frozen=True):
    """A shard granted. `token` is random and new with every grant; `epoch` rises by one with every grant.

    `cause`: how the former ownership ended: one of the words given to `release`; "expiry" where it ran out or was
    taken by force; empty where nobody owned the shard before. `free_ms`: for how long nobody owned it; milliseconds of
    the store's clock, of an expiry counted from the moment it ran out.
    """

    shard: int
    version: str
    owner: str
    epoch: int
    token: str
    cause: str = ""
    free_ms: int = 0


class LeaseHeld(msgspec.Struct, frozen=True):
    shard: int
    owner: str
    epoch: int
    remaining_ms: int


class Member(msgspec.Struct, frozen=True):
    """One engine process of the app, as its heartbeat describes it.

    `capacity`: its weight in the shard map, >= 1. `shards`: those of its own version that it owns, written by
    `core.shard_map.pack_shards`; what the others compute the map from.
    """

    engine_id: str
    version: str
    capacity: int
    draining: bool
    has_workers: bool
    address: str = ""
    shards: str = ""


class Present(msgspec.Struct, frozen=True):
    """A member, and how long its heartbeat holds without another one."""

    member: Member
    remaining_ms: int


class Roll(msgspec.Struct, frozen=True):
    """Who is alive, at one moment of the store's clock (Unix ms)."""

    now_ms: int
    present: Sequence[Present] = ()


class LeaseStore(Protocol):
    """Ownership, judged by the store's clock. Synchronous: it is called from a thread of its own.

    It has its own connection, so that load on the data path never costs a lease. No hidden retries: a lost reply raises
    `StoreUnavailable`, and the caller acquires anew.
    """

    def acquire(
        self, shards: Sequence[int], *, version: str, owner: str, lease_ms: int, force: bool = False
    ) -> list[Lease | LeaseHeld]:
        """Grant each shard whose lease is free, expired or the caller's own; epoch + 1 (first 1) and a new token.

        Answers in order. `force`: the caller knows that no other process can be alive (an exclusive store).
        """
        ...

    def renew(self, leases: Sequence[Lease], *, lease_ms: int) -> list[bool]:
        """Prolong leases whose token is still the stored one (also expired ones that nobody took)."""
        ...

    def release(self, leases: Sequence[Lease], *, cause: str) -> None:
        """Give up leases whose token is still the stored one; the epoch stays, and `cause` is kept for the next."""
        ...

    def heartbeat(self, member: Member, *, ttl_ms: int) -> Roll:
        """Record the member as alive for `ttl_ms`, and answer all who are, itself included, ordered by id."""
        ...

    def leave(self, engine_id: str) -> None: ...

    def members(self) -> list[Member]:
        """Members whose heartbeat has not run out, ordered by id."""
        ...

    def close(self) -> None:
        """Let go of the connection; a later call makes another one, to whatever server is there by then."""
        ...
