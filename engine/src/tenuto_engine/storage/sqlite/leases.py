"""Leases and membership in the SQLite file, on a connection of their own.

The write transaction of an acquire excludes commits, so a commit reads either the old token or the new one.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from threading import Lock

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease, LeaseHeld, Member, Present, Roll
from tenuto_engine.storage.clock import system_ms
from tenuto_engine.storage.sqlite.gate import WriteGate
from tenuto_engine.storage.sqlite.layout import BUSY_MS, connect
from tenuto_engine.storage.sqlite.sql import QUERIES


class SqliteLeaseStore:
    """Ownership of the shards in one file. The file must have been opened by a `SqliteStore` before.

    Args:
        path: the file.
        clock: the store's clock, Unix milliseconds.
        gate: the store's, so that its groups let leases go first.

    Concurrency: may be called from any thread; calls exclude each other.
    """

    def __init__(self, path: str, *, clock: Callable[[], int] = system_ms, gate: WriteGate | None = None) -> None:
        self._path = path
        self._clock = clock
        self._gate = gate or WriteGate()
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Run one write transaction; a connection that failed is not used again."""
        with self._lock, self._gate.urgent(BUSY_MS / 1000) as entered:
            if not entered:
                raise StoreUnavailable(f"leases in {self._path}: a commit does not end; retry")
            try:
                if self._connection is None:
                    # A lease that a power failure takes back would let its epoch be given twice.
                    self._connection = connect(self._path, synchronous="FULL", busy_ms=BUSY_MS)
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._drop()
                raise StoreUnavailable(f"leases in {self._path} cannot be read or written ({error}); retry") from error

    def _drop(self) -> None:
        if self._connection is not None:
            # Closing rolls back what is open.
            self._connection.close()
            self._connection = None

    def acquire(
        self, shards: Sequence[int], *, version: str, owner: str, lease_ms: int, force: bool = False
    ) -> list[Lease | LeaseHeld]:
        answers: list[Lease | LeaseHeld] = []
        with self._transaction() as connection:
            now_ms = self._clock()
            for shard in shards:
                row = connection.execute(QUERIES["read_lease"], (shard, version)).fetchone()
                holder, epoch, expires_at_ms, cause, released_at_ms = row or ("", 0, 0, "", 0)
                if not force and holder not in ("", owner) and expires_at_ms > now_ms:
                    answers.append(LeaseHeld(shard, holder, epoch, expires_at_ms - now_ms))
                    continue
                token = f"{epoch + 1}-{secrets.token_hex(8)}"
                if holder:
                    cause, released_at_ms = "expiry", expires_at_ms
                free_ms = max(0, now_ms - (released_at_ms or now_ms))
                lease = Lease(shard, version, owner, epoch + 1, token, cause, free_ms)
                values = (shard, version, owner, lease.epoch, lease.token, now_ms + lease_ms)
                connection.execute(QUERIES["write_lease"], values)
                answers.append(lease)
        return answers

    def renew(self, leases: Sequence[Lease], *, lease_ms: int) -> list[bool]:
        with self._transaction() as connection:
            expires_at_ms = self._clock() + lease_ms
            return [
                connection.execute(
                    QUERIES["renew_lease"], (lease.shard, lease.version, lease.token, expires_at_ms)
                ).rowcount
                == 1
                for lease in leases
            ]

    def release(self, leases: Sequence[Lease], *, cause: str) -> None:
        with self._transaction() as connection:
            now_ms = self._clock()
            keys = [(lease.shard, lease.version, lease.token, cause, now_ms) for lease in leases if lease.token]
            connection.executemany(QUERIES["release_lease"], keys)

    def heartbeat(self, member: Member, *, ttl_ms: int) -> Roll:
        with self._transaction() as connection:
            now_ms = self._clock()
            # fmt: off
            connection.execute(QUERIES["write_member"], (
                member.engine_id, member.version, member.capacity, member.draining, member.has_workers, member.address,
                member.shards, now_ms + ttl_ms,
            ))
            # fmt: on
            return Roll(now_ms, _present(connection, now_ms))

    def leave(self, engine_id: str) -> None:
        with self._transaction() as connection:
            connection.execute(QUERIES["delete_member"], (engine_id,))

    def members(self) -> list[Member]:
        with self._transaction() as connection:
            return [each.member for each in _present(connection, self._clock())]

    def close(self) -> None:
        with self._lock:
            self._drop()


def _present(connection: sqlite3.Connection, now_ms: int) -> list[Present]:
    connection.execute(QUERIES["delete_expired_members"], (now_ms,))
    return [
        Present(
            Member(engine_id, version, capacity, bool(draining), bool(has_workers), address, shards),
            expires_at_ms - now_ms,
        )
        for engine_id, version, capacity, draining, has_workers, address, shards, expires_at_ms in connection.execute(
            QUERIES["read_members"], (now_ms,)
        )
    ]
