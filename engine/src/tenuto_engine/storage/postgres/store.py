"""The PostgreSQL store: opening, and groups of operations as one statement each.

A group is one call of `execute_group`: one message to the server, one transaction, one answer. The server has all of it
before it takes a lock, so that no engine that is paused half-way holds what another one waits for.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

from psycopg import AsyncConnection

from tenuto_engine.ports.errors import StoreRefused, StoreUnavailable
from tenuto_engine.ports.operations import Operation
from tenuto_engine.ports.outcomes import Outcome, Rejected, Unconfirmed
from tenuto_engine.ports.records import ActivityKey, Hint
from tenuto_engine.ports.store import StoreInfo
from tenuto_engine.storage.clock import DEDUP_WINDOW_MS
from tenuto_engine.storage.hints import MOST_HINTS
from tenuto_engine.storage.postgres import layout
from tenuto_engine.storage.postgres.answers import read_outcome
from tenuto_engine.storage.postgres.exchange import Failed, Lost, Row
from tenuto_engine.storage.postgres.link import Link, LinkPool
from tenuto_engine.storage.postgres.reads import PostgresReads, keys_of
from tenuto_engine.storage.postgres.server import Demand, Server, inspect, name_life, refuse_unknown_tier
from tenuto_engine.storage.postgres.session import settings_of, target_of
from tenuto_engine.storage.postgres.wire import Packer, bigint, texts

# Two keep the server busy while the engine digests answers; more would only make smaller groups.
_WRITERS = 2
# A deadlock or serialization failure undoes a whole group, which may then be sent again.
_ATTEMPTS = 3
_UNDONE_BY_OTHERS = ("40001", "40P01")
# Faults of the server or its data, which every operation of a group would meet; any other is that of one operation.
_OF_THE_SERVER = ("08", "25", "26", "28", "3D", "3F", "40", "42", "53", "55", "57", "58", "F0", "XX")
# What packing raises for values that cannot be stored: too large an integer, text that is not Unicode.
_BAD_VALUES = (ValueError, struct.error)


class PostgresStore(PostgresReads):
    """One app's state in PostgreSQL 14 or later, in a schema of its own.

    Args:
        url: `postgresql://user:password@host:port/database`, with the parameters that libpq knows.
        app: the app's name; key_prefix: the other half of the schema's name.
        dedup_window_ms: how long accepted command ids are remembered.
        timeout_s: how long the answer to one group or read may take; seconds. Five, because a checkpoint can hold a
            server for a second or two.
        lease_ms: the length of leases, which bounds how long a lock may be waited for.
        durability_unverified: go on although the server hides its settings.

    Implements `tenuto_engine.ports.store.Store`.
    """

    def __init__(
        self,
        url: str,
        *,
        app: str,
        key_prefix: str,
        dedup_window_ms: int = DEDUP_WINDOW_MS,
        timeout_s: float = 5.0,
        lease_ms: int = 10_000,
        durability_unverified: bool = False,
    ) -> None:
        target = target_of(url, app=app, key_prefix=key_prefix, lease_ms=lease_ms)
        super().__init__(target, LinkPool(target, timeout_s=timeout_s, prepare=self._prepare_reading))
        self._window_ms = dedup_window_ms
        self._may_hide = durability_unverified
        self._writers = [Link(target, timeout_s=timeout_s, prepare=self._prepare_writing) for _ in range(_WRITERS)]
        self._idle = list(self._writers)
        self._free = asyncio.Semaphore(_WRITERS)
        self._demand: Demand | None = None
        self._server: Server | None = None
        self._packer: Packer | None = None
        self._incarnation = ""

    async def open(self, *, shards: int, durability: str) -> StoreInfo:
        """Connect, make or upgrade the tables, check shard count and durability. See the port."""
        refuse_unknown_tier(durability)
        self._demand = Demand(shards, durability, self._may_hide)
        await self._writers[0].connect()
        if self._server is None:
            raise StoreUnavailable("the store was closed while it was opened")
        return StoreInfo(
            description=f"PostgreSQL {self._server.version}",
            durability=durability,
            verified=self._server.is_verified,
            exclusive=False,
        )

    async def close(self) -> None:
        for link in self._writers:
            await link.close()
        await self._links.close()

    def incarnation(self) -> str:
        """The server's identity and life at the last connect for writing; empty before the first."""
        return self._incarnation

    async def recheck(self) -> None:
        for link in self._writers:
            link.expire()
        self._links.expire()
        await self._writers[0].connect()

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Execute a group in order; answer each. See the port."""
        if not operations:
            return []
        async with self._free:
            link = self._idle.pop()
            try:
                return await self._execute(link, operations)
            finally:
                self._idle.append(link)

    async def push_hints(self, version: str, hints: Sequence[Hint]) -> None:
        names = texts([hint.name for hint in hints])
        keys = keys_of([hint.key for hint in hints])
        await self._ask("push_hints", version.encode(), names, *keys, bigint(MOST_HINTS))

    async def take_hints(self, version: str, names: Sequence[str], *, limit: int) -> list[Hint]:
        rows = await self._ask("take_hints", version.encode(), texts(names), bigint(limit))
        return [Hint(name, ActivityKey(*key)) for name, *key in rows]

    async def _ask(self, query: str, *params: bytes) -> list[Row]:
        """Execute a statement that writes, outside the groups."""
        async with self._free:
            link = self._idle.pop()
            try:
                await link.connect()
                return await link.ask(query, *params)
            except StoreRefused as fault:
                raise StoreUnavailable(str(fault)) from fault
            finally:
                self._idle.append(link)

    async def _execute(self, link: Link, operations: Sequence[Operation]) -> list[Outcome]:
        for attempt in range(_ATTEMPTS):
            try:
                return await self._send(link, operations)
            except Lost as fault:
                return _all(Unconfirmed(str(fault)), operations)
            except Failed as fault:
                if fault.code in _UNDONE_BY_OTHERS and attempt + 1 < _ATTEMPTS:
                    continue
                if fault.code.startswith(_OF_THE_SERVER):
                    return _all(Rejected(str(fault)), operations)
                return await self._one_by_one(link, operations, fault)
            except (StoreUnavailable, StoreRefused) as fault:
                return _all(Rejected(str(fault)), operations)
            except _BAD_VALUES as fault:
                return await self._one_by_one(link, operations, fault)
        raise AssertionError("the last attempt answers")

    async def _one_by_one(self, link: Link, operations: Sequence[Operation], fault: Exception) -> list[Outcome]:
        """One of them cannot be stored, and undid the others; alone, each is answered for itself."""
        if len(operations) == 1:
            return [Rejected(f"it cannot be stored: {fault}")]
        outcomes: list[Outcome] = []
        for operation in operations:
            outcomes += await self._execute(link, [operation])
        return outcomes

    async def _send(self, link: Link, operations: Sequence[Operation]) -> list[Outcome]:
        await link.connect()
        assert self._packer is not None, "connecting made it"
        rows = await link.ask("execute_group", *self._packer.group(operations, window_ms=self._window_ms))
        if link.warning and self._demand is not None and self._demand.durability == "D3":
            # A wait for the replicas was cut short: committed here, and perhaps nowhere else.
            raise Lost(f"PostgreSQL warned: {link.warning}")
        return [_read(answer) for (answer,) in rows]

    async def _prepare_writing(self, connection: AsyncConnection) -> None:
        if self._demand is None:
            raise StoreRefused("the store is not open; call open() first")
        settings = settings_of(self._target)
        await layout.apply_settings(connection, settings)
        server = await inspect(connection, self._demand)
        await layout.prepare(connection, self._target, shards=self._demand.shards)
        await layout.apply_settings(connection, {"synchronous_commit": server.synchronous_commit})
        self._packer = Packer(await layout.type_numbers(connection, self._target))
        self._note(server, await name_life(connection))

    def _note(self, server: Server, life: str) -> None:
        """Note which server a link has found. Where it is another than before, all links are made anew.

        The others may lead to the former one, which can live on where a name or an address has passed to another: it
        would go on answering for what is lost. The link that found it is the one that is made anew just now.
        """
        incarnation = f"{server.identity}/{life}"
        if self._incarnation not in ("", incarnation):
            for link in self._writers:
                link.expire()
            self._links.expire()
        self._incarnation, self._server = incarnation, server

    async def _prepare_reading(self, connection: AsyncConnection) -> None:
        await layout.apply_settings(connection, settings_of(self._target) | {"default_transaction_read_only": "on"})


def _read(answer: str) -> Outcome:
    try:
        return read_outcome(answer)
    except ValueError as fault:
        # It was executed: this must not be taken for a value that could not be sent.
        return Unconfirmed(f"PostgreSQL gave an answer that this release cannot read: {fault}")


def _all(outcome: Outcome, operations: Sequence[Operation]) -> list[Outcome]:
    return [outcome] * len(operations)
