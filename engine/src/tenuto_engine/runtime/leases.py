"""Keeping leases: a thread of its own with a connection of its own, so that load never costs a shard.

Every third of the lease it heartbeats, renews what is owned and acquires what is free. What it learns is handed to the
event loop. If the store does not answer for almost a whole lease (measured on the monotonic clock, from before the
request), the engine lets go by itself; correctness never depends on that, because every write carries the token.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease, LeaseStore, Member
from tenuto_engine.runtime.context import Context

_log = structlog.get_logger(__name__)


class Ownership(Protocol):
    """Who is told what the keeper learned; called on the event loop."""

    def granted(self, lease: Lease) -> None: ...

    def lost(self, lease: Lease, cause: str) -> None: ...

    def store_was_away(self) -> None: ...

    def member(self) -> Member: ...


class LeaseKeeper:
    """Acquires, renews and releases this engine's leases. The set of leases is touched only under the lock."""

    def __init__(self, context: Context, store: LeaseStore, ownership: Ownership, *, exclusive: bool) -> None:
        self._context = context
        self._store = store
        self._ownership = ownership
        self._exclusive = exclusive
        self._leases: dict[int, Lease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._nudge = threading.Event()
        self._draining = False
        self._lease_ms = int(context.settings.lease_seconds * 1000)
        self._confirmed_at = self._context.monotonic()
        self._away = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def drop(self, lease: Lease) -> None:
        """A write was refused or is unknown: this lease is void for us; acquire anew soon."""
        with self._lock:
            if self._leases.get(lease.shard) is lease:
                del self._leases[lease.shard]
        self._nudge.set()

    async def stop(self) -> None:
        """Release everything, leave, and end the thread. Idempotent."""
        self._draining = True
        self._stop.set()
        self._nudge.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._nudge.wait(self.step())
            if self._nudge.is_set() and not self._stop.is_set():
                time.sleep(0.02)  # several shards are often dropped at once: acquire them together
            self._nudge.clear()
        self._leave()

    def step(self) -> float:
        """Do one round and return the seconds until the next."""
        pause = self._context.settings.lease_seconds / 3
        self._round()
        # After an outage the next try comes soon; the pause is a third of the lease otherwise.
        return min(pause, 0.5) if self._away else pause

    def _round(self) -> None:
        asked_ns, began = self._context.monotonic_ns(), self._context.monotonic()
        try:
            roll = self._store.heartbeat(self._ownership.member(), ttl_ms=self._lease_ms)
            self._call(self._context.membership.learn, roll)
            self._call(self._context.clock.learn, roll.now_ms, asked_ns, self._context.monotonic_ns())
            if self._away:
                self._away = False
                self._forget_all("store")
                self._call(self._ownership.store_was_away)
            self._renew()
            self._acquire()
            self._confirmed_at = began
        except StoreUnavailable as error:
            if not self._away:
                _log.warning("store does not answer the lease keeper", error=str(error))
            self._away = True
            self._let_go_of_expired()
        except Exception:  # the thread must live: without it leases run out unseen while their shards go on here
            _log.exception("lease keeper failed")
            self._let_go_of_expired()

    def _let_go_of_expired(self) -> None:
        if self._context.monotonic() - self._confirmed_at > self._context.settings.lease_seconds * 0.9:
            self._forget_all("expiry")

    def _renew(self) -> None:
        with self._lock:
            leases = list(self._leases.values())
        if not leases:
            return
        for lease, kept in zip(leases, self._store.renew(leases, lease_ms=self._lease_ms), strict=True):
            self._count("renew", "ok" if kept else "lost")
            if not kept:
                _log.warning("shard lost to another owner", shard=lease.shard)
                self.drop(lease)
                self._call(self._ownership.lost, lease, "expiry")

    def _acquire(self) -> None:
        with self._lock:
            wanted = [shard for shard in range(self._context.settings.shards) if shard not in self._leases]
        if not wanted or self._draining:
            return
        results = self._store.acquire(
            wanted,
            version=self._context.settings.version,
            owner=self._context.engine_id,
            lease_ms=self._lease_ms,
            force=self._exclusive,
        )
        for result in results:
            if isinstance(result, Lease):
                with self._lock:
                    self._leases[result.shard] = result
                self._count("acquire", "ok")
                self._call(self._ownership.granted, result)
            else:
                self._count("acquire", "contended")

    def _forget_all(self, cause: str) -> None:
        with self._lock:
            leases, self._leases = list(self._leases.values()), {}
        if leases:
            _log.warning("all shards let go", shards=len(leases), cause=cause)
        for lease in leases:
            self._call(self._ownership.lost, lease, cause)

    def _leave(self) -> None:
        with self._lock:
            leases, self._leases = list(self._leases.values()), {}
        try:
            self._store.release(leases, cause="release")
            self._store.leave(self._context.engine_id)
        except StoreUnavailable as error:
            _log.warning("leases could not be released, they will expire", error=str(error))
        finally:
            self._store.close()

    def _count(self, operation: str, result: str) -> None:
        self._call(self._context.metrics.count, self._context.metrics.leases, operation, result)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)
