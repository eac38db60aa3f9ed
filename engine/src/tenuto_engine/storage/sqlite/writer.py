"""The one writing connection: groups of operations as transactions.

Statements run on the event loop's thread, and only what waits (the commit, with its fsync; another writer) runs on a
thread of its own. The obvious way, one thread for the whole transaction, was measured and rejected: the interpreter's
lock is released around every statement, and beside a busy event loop the thread waits up to 5 ms to get it back, so
that a group of 32 commits took 340 ms instead of 1.2.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tenuto_engine.ports.operations import Operation
from tenuto_engine.ports.outcomes import Outcome, Rejected, Unconfirmed
from tenuto_engine.storage.sqlite.gate import WriteGate
from tenuto_engine.storage.sqlite.layout import BUSY_MS, connect
from tenuto_engine.storage.sqlite.operations import Transaction, execute

Result = TypeVar("Result")

# After these a commit certainly did not happen: the frame that would make it valid is the last one written.
_NOT_COMMITTED = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR_WRITE,
    }
)

# Faults of the file, which every operation of a group would meet; any other fault is that of one operation.
_OF_THE_FILE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_LOCKED,
    }
)

# What a statement raises for values that cannot be stored: too large an integer, text that is not Unicode.
_BAD_VALUES = (OverflowError, ValueError)


class _Group:
    """The operations of one caller, and their answers once they are known."""

    __slots__ = ("operations", "outcomes")

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self.outcomes: list[Outcome] | None = None


class Writer:
    """Executes operations of any number of callers, those that wait together in one transaction.

    Args:
        path: the file, which has its layout.
        synchronous: value of the pragma; OFF commits without leaving the event loop.
        clock: Unix milliseconds.
        window_ms: the de-duplication window.
        gate: shared with the lease store on the same file.
    """

    def __init__(
        self, path: str, *, synchronous: str, clock: Callable[[], int], window_ms: int, gate: WriteGate
    ) -> None:
        self._path = path
        self._synchronous = synchronous
        self._clock = clock
        self._window_ms = window_ms
        self._gate = gate
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tenuto-sqlite-commit")
        self._turn = asyncio.Lock()
        self._waiting: list[_Group] = []
        self._interrupted: asyncio.CancelledError | None = None

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Execute a group in order; answer each.

        Concurrency: a cancelled caller's group may still be executed; a transaction is never left half-way.
        """
        group = _Group(operations)
        self._waiting.append(group)
        async with self._turn:
            if group.outcomes is None:
                groups, self._waiting = self._waiting, []
                await self._run(groups)
            if self._interrupted is not None:
                error, self._interrupted = self._interrupted, None
                raise error
        return group.outcomes or []

    async def close(self) -> None:
        async with self._turn:
            self._drop()
        self._thread.shutdown()

    async def _run(self, groups: Sequence[_Group]) -> None:
        operations = [operation for group in groups for operation in group.operations]
        outcomes = await self._transact(operations)
        if outcomes is None:
            # One of them cannot be stored; alone, each is answered for itself.
            answers = [await self._transact([operation]) for operation in operations]
            outcomes = [outcome for answer in answers for outcome in answer or ()]
        position = 0
        for group in groups:
            end = position + len(group.operations)
            group.outcomes = outcomes[position:end]
            position = end

    async def _transact(self, operations: Sequence[Operation]) -> list[Outcome] | None:
        """Execute operations in one transaction; None where one of several failed by itself, and nothing was done."""
        if not self._gate.try_enter() and not await self._off_loop(lambda: self._gate.enter(BUSY_MS / 1000)):
            return self._reject(operations, "another transaction does not end")
        try:
            connection = await self._begin()
            transaction = Transaction(connection, self._clock(), self._window_ms)
            before = connection.total_changes
            outcomes = [execute(transaction, operation) for operation in operations]
            failure = await self._commit(connection, written=connection.total_changes != before)
            return outcomes if failure is None else [failure] * len(operations)
        except _BAD_VALUES as error:
            return self._reject(operations, f"it cannot be stored: {error}") if len(operations) == 1 else None
        except sqlite3.Error as error:
            if len(operations) > 1 and _primary(error) not in _OF_THE_FILE:
                return None
            return self._reject(operations, str(error))
        finally:
            self._end()
            self._gate.leave()

    async def _begin(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path, synchronous=self._synchronous)
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if _primary(error) != sqlite3.SQLITE_BUSY:
                raise
            await self._off_loop(lambda: _begin_waiting(connection))
        return connection

    async def _commit(self, connection: sqlite3.Connection, *, written: bool) -> Outcome | None:
        """Commit; answer what every operation must be told if that failed."""
        try:
            if written and self._synchronous != "OFF":
                await self._off_loop(lambda: connection.execute("COMMIT"))
            else:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            if error.sqlite_errorcode in _NOT_COMMITTED or _primary(error) in _NOT_COMMITTED:
                return self._rejected(str(error))
            self._drop()
            return Unconfirmed(f"{self._path} failed while committing ({error}); read again what is stored")
        return None

    def _end(self) -> None:
        """Roll back what is still open; a connection that cannot do so is replaced."""
        connection = self._connection
        if connection is None or not connection.in_transaction:
            return
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            # Closing rolls back what is open; the next group connects anew.
            self._connection.close()
            self._connection = None

    def _rejected(self, error: str) -> Rejected:
        return Rejected(f"{self._path} did not take the operation: {error}; try again later")

    def _reject(self, operations: Sequence[Operation], error: str) -> list[Outcome]:
        return [self._rejected(error)] * len(operations)

    async def _off_loop(self, work: Callable[[], Result]) -> Result:
        """Run on the thread, to the end even if the caller is cancelled: the cancellation is kept for `execute`.

        Left half-way, the thread would use the connection beside the next transaction.
        """
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        while not future.done():
            try:
                await asyncio.wait((future,))
            except asyncio.CancelledError as error:
                self._interrupted = error
        return future.result()


def _primary(error: sqlite3.Error) -> int:
    """Return the primary result code, which is the low byte of an extended one; 0 where SQLite gave none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _begin_waiting(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    try:
        connection.execute("BEGIN IMMEDIATE")
    finally:
        connection.execute("PRAGMA busy_timeout = 0")
