"""Leases and members in PostgreSQL, over a connection of their own, so that load on the data path never costs a lease.

A grant locks the lease's row against commits, so that each of them is wholly before the grant or sees the new token. A
renewal does not: it waits for no commit, and none waits for it.
"""

from __future__ import annotations

import secrets
import select
import time
from collections.abc import Sequence
from threading import Lock

import msgspec
import psycopg

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease, LeaseHeld, Member, Present, Roll
from tenuto_engine.storage.postgres.exchange import Failed, Late, Lost, Row, Steps, Wait, ask, is_alive
from tenuto_engine.storage.postgres.session import connection_text, reason_of, settings_of, target_of
from tenuto_engine.storage.postgres.wire import Param, bigint, bigints, texts

_encode = msgspec.json.encode
_decode_member = msgspec.json.Decoder(Member).decode


class PostgresLeaseStore:
    """Ownership of the shards of one app. Its schema must have been opened by a `PostgresStore` before.

    Args:
        timeout_s: how long one call may wait for the server; seconds. Two, because a renewal that waits longer is
            better begun anew, well before a lease of a few seconds runs out.

    Concurrency: may be called from any thread; calls exclude each other.
    """

    def __init__(self, url: str, *, app: str, key_prefix: str, timeout_s: float = 2.0, lease_ms: int = 10_000) -> None:
        self._target = target_of(url, app=app, key_prefix=key_prefix, lease_ms=lease_ms)
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._connection: psycopg.Connection | None = None
        self._prepared: set[str] = set()

    def acquire(
        self, shards: Sequence[int], *, version: str, owner: str, lease_ms: int, force: bool = False
    ) -> list[Lease | LeaseHeld]:
        if not shards:
            return []
        nonces = texts([secrets.token_hex(8) for _ in shards])
        rows = self._ask(
            "acquire", bigints(shards), version.encode(), owner.encode(), bigint(lease_ms), nonces, bigint(int(force))
        )  # fmt: skip
        return [_answer(shard, version, row) for shard, row in zip(shards, rows, strict=True)]

    def renew(self, leases: Sequence[Lease], *, lease_ms: int) -> list[bool]:
        if not leases:
            return []
        return [renewed == 1 for (renewed,) in self._ask("renew", *_names(leases), bigint(lease_ms))]

    def release(self, leases: Sequence[Lease], *, cause: str) -> None:
        if leases:
            self._ask("release", *_names(leases), cause.encode())

    def heartbeat(self, member: Member, *, ttl_ms: int) -> Roll:
        rows = self._ask("heartbeat", member.engine_id.encode(), _encode(member), bigint(ttl_ms))
        present = [Present(_decode_member(description), remaining_ms) for _, description, remaining_ms in rows]
        # The one who asks is always among them, unless its time is none.
        return Roll(rows[0][0] if rows else 0, present)

    def leave(self, engine_id: str) -> None:
        self._ask("leave", engine_id.encode())

    def members(self) -> list[Member]:
        return [_decode_member(description) for (description,) in self._ask("roll")]

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _ask(self, query: str, *params: Param) -> list[Row]:
        """Execute one statement. A connection that failed is not used again, and nothing is repeated."""
        with self._lock:
            try:
                return self._exchange(self._ready(), query, *params)
            except psycopg.Error as fault:
                self._drop()
                raise StoreUnavailable(f"PostgreSQL cannot be reached: {reason_of(fault)}") from fault
            except (Failed, Lost) as fault:
                self._drop()
                raise StoreUnavailable(f"PostgreSQL: {fault}") from fault

    def _exchange(self, connection: psycopg.Connection, query: str, *params: Param) -> list[Row]:
        steps = ask(connection.pgconn, self._prepared, query, params)
        return _drive(connection.pgconn.socket, steps, self._timeout_s)

    def _ready(self) -> psycopg.Connection:
        if self._connection is not None and is_alive(self._connection.pgconn):
            return self._connection
        self._drop()
        text = connection_text(self._target, timeout_s=self._timeout_s)
        connection = psycopg.connect(text, autocommit=True, prepare_threshold=None)
        try:
            settings = settings_of(self._target)
            # Not by the library's cursor, which waits without end for a server that stands still.
            self._exchange(connection, "apply_settings", texts(list(settings)), texts(list(settings.values())))
            # A grant that a crash takes back would let its epoch be given twice, whatever the tier of the state.
            self._exchange(connection, "wait_for_own_disk")
        except BaseException:
            connection.pgconn.finish()
            raise
        self._connection = connection
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            # Closes the socket, and asks nothing of a server that may not answer.
            self._connection.pgconn.finish()
            self._connection = None
        self._prepared.clear()


def _answer(shard: int, version: str, row: Row) -> Lease | LeaseHeld:
    granted, holder, epoch, token, remaining_ms, cause, free_ms = row
    if not granted:
        return LeaseHeld(shard, holder, epoch, remaining_ms)
    return Lease(shard, version, holder, epoch, token, cause, free_ms)


def _names(leases: Sequence[Lease]) -> tuple[bytes, bytes, bytes]:
    return (
        bigints([lease.shard for lease in leases]),
        texts([lease.version for lease in leases]),
        texts([lease.token for lease in leases]),
    )


def _drive(socket: int, steps: Steps, timeout_s: float) -> list[Row]:
    """Run steps, waiting for the socket between them until the time is over."""
    deadline = time.monotonic() + timeout_s
    poll = select.poll()
    while True:
        try:
            wait = next(steps)
        except StopIteration as end:
            rows: list[Row] = end.value
            return rows
        poll.register(socket, select.POLLIN | (select.POLLOUT if wait is Wait.BOTH else 0))
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not poll.poll(remaining * 1000):
            raise Late(f"PostgreSQL gave no answer within {timeout_s:g} s")
