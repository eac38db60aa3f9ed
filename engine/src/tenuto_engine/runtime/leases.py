"""Keeping leases: a thread of its own with a connection of its own, so that load never costs a shard.

One round (`LeaseKeeper.step`) heartbeats, learns who else is alive, renews what is owned, takes what the shard map
gives to this engine, and names what it gives to others. Rounds come every third of a lease, at once after a nudge,
and just after the heartbeat or lease of another engine will have run out if it is not renewed.

If the store does not answer for almost a whole lease (measured on the monotonic clock, from before the request), the
engine lets go by itself; correctness never depends on that, because every write carries the token.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec
import structlog

from tenuto_engine.core.shard_map import Candidate, assign, eligible, pack_shards, unpack_shards
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease, LeaseHeld, LeaseStore, Member, Roll
from tenuto_engine.runtime.context import Context

_log = structlog.get_logger(__name__)

# Of a lease: after so much of it without a confirmed round, nothing is begun any more.
_CONFIDENT = 0.9
# Of all shards: so many move in one step of a rebalancing; and of the time that members must stay the same: the steps
# are this far apart.
_PACE = 0.1
_PACE_PAUSE = 0.2
_RETRY_SECONDS = 0.5
# Just after an expiry, not at it.
_AFTER_EXPIRY_SECONDS = 0.02
_COALESCE_SECONDS = 0.01


class Ownership(Protocol):
    """Who is told what the keeper learned; called on the event loop."""

    def granted(self, lease: Lease) -> None: ...

    def lost(self, lease: Lease, cause: str) -> None: ...

    def surplus(self, leases: Sequence[Lease], cause: str) -> None:
        """The map gives these shards to others: finish what runs, and give them to `LeaseKeeper.give_up`."""
        ...

    def released(self, shards: Sequence[int]) -> None: ...

    def learned(self, roll: Roll, *, desired: int, unowned: int) -> None:
        """A round has read who is alive, how many shards the map gives to this engine, and how many nobody owns."""
        ...

    def store_was_away(self) -> None: ...


class LeaseKeeper:
    """Acquires, renews and releases this engine's leases.

    `step` and `close` run on one thread; all else may be called from any. Answers go to `ownership` through `call`,
    which runs a function on the event loop. The leases are touched only under the lock.
    """

    def __init__(
        self,
        context: Context,
        store: LeaseStore,
        ownership: Ownership,
        *,
        exclusive: bool,
        call: Callable[..., object],
    ) -> None:
        self._context = context
        self._store = store
        self._ownership = ownership
        self._exclusive = exclusive
        self._call = call
        self._lease_ms = int(context.settings.lease_seconds * 1000)
        self._lock = threading.Lock()
        self._leases: dict[int, Lease] = {}
        self._leaving: set[int] = set()
        # With the cause, and until when it is worth trying.
        self._to_release: list[tuple[Lease, str, float]] = []
        settings = context.settings
        self._self = Member(context.engine_id, settings.version, settings.capacity, draining=False, has_workers=False)
        self._away = False
        self._members: frozenset[Candidate] = frozenset()
        self._stable_since = self._moved_at = self._confirmed_at = context.monotonic()
        self._plan: tuple[object, dict[int, str]] = (None, {})
        self._joined_ms: int | None = None
        self._introduced = False
        self._is_asking = False
        self._jitter = random.Random(context.engine_id)
        self._to_reconnect = False
        self.wake = threading.Event()

    # -- from any thread ------------------------------------------------------------------------------------------

    @property
    def is_confident(self) -> bool:
        """Whether the leases certainly have not run out: they were renewed a while ago."""
        passed = self._context.monotonic() - self._confirmed_at
        return passed < self._context.settings.lease_seconds * _CONFIDENT

    @property
    def knows_members(self) -> bool:
        """Whether no round is between asking who is alive and having told it.

        Once the store has this engine's heartbeat, an engine of another version takes it for informed.
        """
        return not self._is_asking

    @property
    def remaining_seconds(self) -> float:
        """How long the leases last if no renewal succeeds any more, at least; 0 where none is held."""
        left = self._context.settings.lease_seconds - (self._context.monotonic() - self._confirmed_at)
        return max(0.0, left) if self._leases else 0.0

    def describe(self, *, draining: bool, has_workers: bool) -> bool:
        """What the next heartbeats say of this engine; a change makes the next one come at once, and is told."""
        said = msgspec.structs.replace(self._self, draining=draining, has_workers=has_workers)
        if said == self._self:
            return False
        self._self = said
        self.wake.set()
        return True

    def reconnect(self) -> None:
        """The state is on another server than before: ask that one for leases too, not one that lives on beside it."""
        self._to_reconnect = True
        self.wake.set()

    def drop(self, lease: Lease) -> None:
        """A write was refused or is unknown: this lease is void for us; acquire anew soon."""
        with self._lock:
            if self._leases.get(lease.shard) is lease:
                del self._leases[lease.shard]
                self._leaving.discard(lease.shard)
        self.wake.set()

    def give_up(self, leases: Iterable[Lease], cause: str) -> None:
        """Release these soon: nothing of theirs runs here any more."""
        until = self._context.monotonic() + self._context.settings.lease_seconds
        with self._lock:
            for lease in leases:
                if self._leases.get(lease.shard) is lease:
                    del self._leases[lease.shard]
                    self._leaving.discard(lease.shard)
                    self._to_release.append((lease, cause, until))
        self.wake.set()

    # -- on the keeper's thread -----------------------------------------------------------------------------------

    def step(self) -> float:
        """Do one round; returns after how many seconds the next one is due. Never raises."""
        asked_ns, began = self._context.monotonic_ns(), self._context.monotonic()
        try:
            if self._to_reconnect:
                self._to_reconnect = False
                self._store.close()
            self._release()
            self._is_asking = True
            roll = self._store.heartbeat(self._description(), ttl_ms=self._lease_ms)
            self._call(self._context.clock.learn, roll.now_ms, asked_ns, self._context.monotonic_ns())
            if self._away:
                self._away = False
                self._forget_all("store")
                self._call(self._ownership.store_was_away)
            if self._context.monotonic() - self._confirmed_at >= self._context.settings.lease_seconds:
                self._introduce_again(roll)
            self._renew()
            pause = self._follow_map(roll)
            self._confirmed_at = began
            return pause
        except StoreUnavailable as error:
            if not self._away:
                _log.warning("leases cannot be renewed: the store does not answer; trying again", error=str(error))
        except Exception:  # the thread must live: without it leases run out unseen while their shards go on here
            _log.exception("lease keeper failed")
        self._away = True
        self._count("renew", "error", len(self._held()))
        if not self.is_confident:
            self._forget_all("expiry")
        return min(self._context.settings.lease_seconds / 3, _RETRY_SECONDS)

    def close(self) -> None:
        """Release everything and leave. Idempotent; a store that does not answer lets them run out."""
        with self._lock:
            self._to_release += [(lease, "release", math.inf) for lease in self._leases.values()]
            self._leases = {}
        try:
            self._release()
            self._store.leave(self._context.engine_id)
        except StoreUnavailable as error:
            _log.warning("leases could not be released, they will expire", error=str(error))
        finally:
            self._store.close()

    def _description(self) -> Member:
        with self._lock:
            return msgspec.structs.replace(self._self, shards=pack_shards(self._leases))

    def _release(self) -> None:
        """Release what was given up; what the store does not answer is tried again, until it has run out anyway."""
        with self._lock:
            queued, self._to_release = self._to_release, []
        now = self._context.monotonic()
        for cause in dict.fromkeys(cause for _, cause, _ in queued):
            leases = [lease for lease, why, _ in queued if why == cause]
            try:
                self._store.release(leases, cause=cause)
            except StoreUnavailable:
                with self._lock:
                    self._to_release += [each for each in queued if each[2] > now]
                raise
            queued = [each for each in queued if each[1] != cause]
            self._count("release", "ok", len(leases))
            self._call(self._ownership.released, [lease.shard for lease in leases])

    def _renew(self) -> None:
        with self._lock:
            leases = list(self._leases.values())
        if not leases:
            return
        began = self._context.monotonic()
        renewed = self._store.renew(leases, lease_ms=self._lease_ms)
        self._call(self._context.metrics.lease_renewed, self._context.monotonic() - began)
        lost = [lease for lease, kept in zip(leases, renewed, strict=True) if not kept]
        self._count("renew", "ok", len(leases) - len(lost))
        self._count("renew", "lost", len(lost))
        if lost:
            _log.warning("leases lost: others own these shards, or the store has forgotten them", shards=len(lost))
        for lease in lost:
            self.drop(lease)
            self._call(self._ownership.lost, lease, "expiry")

    # -- the map --------------------------------------------------------------------------------------------------

    def _follow_map(self, roll: Roll) -> float:
        """Take what is this engine's, name what is not; returns when to look again."""
        peers = [p for p in roll.present if p.member.version == self._context.settings.version]
        members = frozenset(_candidate(p.member) for p in peers)
        if members != self._members:
            self._members, self._stable_since = members, self._context.monotonic()
        owners = self._owners(p.member for p in peers)
        desired = self._desired(owners)
        mine = {shard for shard, engine_id in desired.items() if engine_id == self._context.engine_id}
        held = self._acquire(sorted(mine - self._held())) if self._is_introduced(roll) else []
        let_go_seconds = self._let_go(mine)
        unowned = self._context.settings.shards - len(owners.keys() | self._held())
        self._call(lambda: self._ownership.learned(roll, desired=len(mine), unowned=unowned))
        self._call(self._told)
        others = [p.remaining_ms for p in peers if p.member.engine_id != self._context.engine_id]
        soon = [ms / 1000 + _AFTER_EXPIRY_SECONDS for ms in (*others, *(h.remaining_ms for h in held))]
        pause = self._context.settings.lease_seconds / 3 * self._jitter.uniform(0.9, 1.1)
        if not self._introduced:
            pause = min(pause, _RETRY_SECONDS)
        return max(min(pause, let_go_seconds, *soon), _AFTER_EXPIRY_SECONDS) if soon else min(pause, let_go_seconds)

    def _told(self) -> None:
        self._is_asking = False

    def _is_introduced(self, roll: Roll) -> bool:
        """Whether every engine of another version has read the roll since this one stands in it.

        Before, one of them would deliver its messages without looking for this engine's in the same shard.
        """
        if self._introduced:
            return True
        now_ms, own = roll.now_ms, self._context.settings.version
        beats = [now_ms + p.remaining_ms - self._lease_ms for p in roll.present if p.member.version != own]
        if self._joined_ms is None:
            self._joined_ms = now_ms
        self._introduced = all(beat_ms > self._joined_ms for beat_ms in beats)
        return self._introduced

    def _introduce_again(self, roll: Roll) -> None:
        """This engine's heartbeat may have run out, and engines of another version have read a roll without it."""
        self._introduced, self._joined_ms = False, None
        if not self._is_introduced(roll):
            self._forget_all("expiry")

    def _owners(self, members: Iterable[Member]) -> dict[int, str]:
        """Who owns what, by the heartbeats; of its own shards this engine knows better."""
        own = self._context.engine_id
        owners = {s: m.engine_id for m in members if m.engine_id != own for s in unpack_shards(m.shards)}
        return owners | dict.fromkeys(self._held(), own)

    def _desired(self, owners: dict[int, str]) -> dict[int, str]:
        """The map; computed anew only when what it follows from has changed."""
        if self._exclusive:
            return dict.fromkeys(
                range(self._context.settings.shards), "" if self._self.draining else self._self.engine_id
            )
        facts = (self._members, owners)
        if self._plan[0] != facts:
            self._plan = (facts, assign(self._context.settings.shards, eligible(self._members), owners))
        return self._plan[1]

    def _held(self) -> set[int]:
        with self._lock:
            return set(self._leases)

    def _acquire(self, wanted: list[int]) -> list[LeaseHeld]:
        """Try to take free shards; returns those that others hold."""
        held: list[LeaseHeld] = []
        if not wanted or self._self.draining:
            return held
        results = self._store.acquire(
            wanted,
            version=self._context.settings.version,
            owner=self._context.engine_id,
            lease_ms=self._lease_ms,
            force=self._exclusive,
        )
        granted = [result for result in results if isinstance(result, Lease)]
        held = [result for result in results if isinstance(result, LeaseHeld)]
        with self._lock:
            self._leases.update((lease.shard, lease) for lease in granted)
            self._leaving.difference_update(lease.shard for lease in granted)
        for cause in dict.fromkeys(lease.cause for lease in granted):
            count = sum(lease.cause == cause for lease in granted)
            _log.info("shards taken over" if cause else "shards taken", shards=count, cause=cause or "free")
        for lease in granted:
            self._count("steal" if lease.cause == "expiry" else "acquire", "ok")
            self._call(self._ownership.granted, lease)
        if held:
            self._count("acquire", "contended", len(held))
        if granted:
            # Said at once, for the others compute their part of the map from it.
            self._store.heartbeat(self._description(), ttl_ms=self._lease_ms)
        return held

    def _let_go(self, mine: set[int]) -> float:
        """Have what belongs to others handed over, a few at a time; returns when to go on.

        An engine without workers hands over all at once: it has nothing to finish. Else the members must have been the
        same for a while, so that a rollout does not move shards to and fro.
        """
        settings = self._context.settings
        never, stable = settings.lease_seconds, settings.rebalance_seconds or settings.lease_seconds / 2
        with self._lock:
            surplus = [lease for shard, lease in self._leases.items() if shard not in mine]
            surplus = [lease for lease in surplus if lease.shard not in self._leaving]
        if not surplus or self._self.draining:  # a drain hands over by itself
            return never
        if self._self.has_workers:
            now = self._context.monotonic()
            due_at = max(self._stable_since + stable, self._moved_at + stable * _PACE_PAUSE)
            if now < due_at:
                return due_at - now
            self._moved_at = now
            surplus = surplus[: max(1, int(settings.shards * _PACE))]
        with self._lock:
            # One that was dropped meanwhile is nothing to hand over.
            self._leaving.update(lease.shard for lease in surplus if self._leases.get(lease.shard) is lease)
        self._call(self._ownership.surplus, surplus, "rebalance" if self._self.has_workers else "release")
        return stable * _PACE_PAUSE

    def _forget_all(self, cause: str) -> None:
        with self._lock:
            leases, self._leases = list(self._leases.values()), {}
            self._leaving.clear()
        if leases:
            _log.warning("all shards let go", shards=len(leases), cause=cause)
        for lease in leases:
            self._call(self._ownership.lost, lease, cause)

    def _count(self, operation: str, result: str, times: int = 1) -> None:
        if times:
            self._call(self._context.metrics.lease_operation, operation, result, times)


class Rounds(Protocol):
    """Runs a keeper's rounds until it is stopped, and closes it then."""

    def start(self) -> None: ...

    async def stop(self) -> None:
        """End the rounds, everything released. Idempotent."""
        ...


class KeeperThread:
    """The rounds on a thread of their own, so that load never costs a lease. Conforms to `Rounds`."""

    def __init__(self, keeper: LeaseKeeper) -> None:
        self._keeper = keeper
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """End the thread, everything released; waits for it. Idempotent."""
        self._stopping.set()
        self._keeper.wake.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        wake = self._keeper.wake
        while not self._stopping.is_set():
            pause = self._keeper.step()
            if wake.wait(pause) and not self._stopping.is_set():
                # Reasons to look again come together: several shards are dropped, or released elsewhere, at once.
                self._stopping.wait(_COALESCE_SECONDS)
            wake.clear()
        self._keeper.close()


def _candidate(member: Member) -> Candidate:
    return Candidate(
        member.engine_id, max(member.capacity, 1), draining=member.draining, has_workers=member.has_workers
    )
