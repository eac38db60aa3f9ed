"""The stores under test, each behind the same few lines: make it, open it again, let its time pass."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from tenuto_engine.ports.leases import LeaseStore
from tenuto_engine.ports.store import Store
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState, MemoryStore
from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore, WriteGate

APP = "shop.orders"
KEY_PREFIX = "tenuto"


@dataclass
class Clock:
    """Time that moves when it is told to; it begins at the machine's."""

    now: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def __call__(self) -> int:
        return self.now


class Backend(Protocol):
    """One database, empty at first. Every pair of stores made by it stands on the same state."""

    name: str
    durability: str

    def make(self, *, app: str = APP, dedup_window_ms: int = 120_000) -> tuple[Store, LeaseStore]: ...

    async def elapse(self, milliseconds: int) -> None:
        """Return when the store's clock has moved on by this much."""
        ...


class MemoryBackend:
    name = "memory"
    durability = "D0"

    def __init__(self) -> None:
        self.clock = Clock()
        self.state: MemoryState | None = None

    def make(self, *, app: str = APP, dedup_window_ms: int = 120_000) -> tuple[Store, LeaseStore]:
        if self.state is None:
            self.state = MemoryState(clock=self.clock, dedup_window_ms=dedup_window_ms)
        return MemoryStore(state=self.state, app=app), MemoryLeaseStore(state=self.state)

    async def elapse(self, milliseconds: int) -> None:
        self.clock.now += milliseconds


class SqliteBackend:
    name = "sqlite"
    durability = "D2"

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.path = str(folder / "state.db")

    def make(self, *, app: str = APP, dedup_window_ms: int = 120_000) -> tuple[Store, LeaseStore]:
        gate = WriteGate()
        store = SqliteStore(
            self.path,
            app=app,
            key_prefix=KEY_PREFIX,
            clock=self.clock,
            dedup_window_ms=dedup_window_ms,
            gate=gate,
        )
        return store, SqliteLeaseStore(self.path, clock=self.clock, gate=gate)

    async def elapse(self, milliseconds: int) -> None:
        self.clock.now += milliseconds


class RedisBackend:
    name = "redis"
    durability = "D1"

    def __init__(self, url: str) -> None:
        self.url = url
        # A prefix of its own makes every test's keyspace empty on a server that all of them share.
        self.key_prefix = f"t-{uuid4().hex}"
        self._now: Callable[[], Awaitable[int]] | None = None

    def make(self, *, app: str = APP, dedup_window_ms: int = 120_000) -> tuple[Store, LeaseStore]:
        from tenuto_engine.storage.redis import RedisLeaseStore, RedisStore

        store = RedisStore(self.url, app=app, key_prefix=self.key_prefix, dedup_window_ms=dedup_window_ms)
        self._now = store.now_ms
        return store, RedisLeaseStore(self.url, app=app, key_prefix=self.key_prefix)

    async def elapse(self, milliseconds: int) -> None:
        assert self._now is not None, "make a store first"
        end = await self._now() + milliseconds
        # The server's clock cannot be moved: it is asked until it says so.
        while await self._now() < end:
            pass


class PostgresBackend:
    name = "postgres"
    durability = "D2"

    def __init__(self, url: str) -> None:
        self.url = url
        # A schema of its own makes every test's database empty on a server that all of them share.
        self.key_prefix = f"t-{uuid4().hex}"
        self._now: Callable[[], Awaitable[int]] | None = None

    def make(self, *, app: str = APP, dedup_window_ms: int = 120_000) -> tuple[Store, LeaseStore]:
        from tenuto_engine.storage.postgres import PostgresLeaseStore, PostgresStore

        store = PostgresStore(self.url, app=app, key_prefix=self.key_prefix, dedup_window_ms=dedup_window_ms)
        self._now = store.now_ms
        return store, PostgresLeaseStore(self.url, app=app, key_prefix=self.key_prefix)

    async def elapse(self, milliseconds: int) -> None:
        assert self._now is not None, "make a store first"
        end = await self._now() + milliseconds
        # The server's clock cannot be moved: it is asked until it says so.
        while await self._now() < end:
            pass
