"""One connection of the event loop: a statement goes out, its answer comes in, within a time.

What became of a statement whose answer was lost is unknown, and only the caller knows whether it may be repeated, so
nothing is repeated here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import ConnStatus, TransactionStatus

from tenuto_engine.storage.postgres.exchange import Failed, Late, Lost, NotReady, Row, Steps, Wait, ask, is_alive
from tenuto_engine.storage.postgres.session import Target, connection_text, reason_of
from tenuto_engine.storage.postgres.wire import Param

# Failures after which a connection stands as before: those of a value, of a limit, of a lock, of a full disk. After
# any other one the connection is made anew, and with it everything about the server is checked again.
_HARMLESS = ("21", "22", "23", "40", "53", "54", "55P03", "57014")

Prepare = Callable[[AsyncConnection], Awaitable[None]]


class Link:
    """A connection that is made on first use and again after it broke.

    Args:
        target: the database.
        timeout_s: how long connecting, or the answer of one statement, may take; seconds.
        prepare: run on every new connection before it is used; if it raises, the connection is not used.
        sessions: which servers among several hosts will do: libpq's `target_session_attrs`.

    Concurrency: one statement at a time, first come, first served. A cancelled one closes the connection, for the
    answer still due would be taken for another.
    """

    def __init__(self, target: Target, *, timeout_s: float, prepare: Prepare, sessions: str = "read-write") -> None:
        self._target = target
        self._sessions = sessions
        self._timeout_s = timeout_s
        self._prepare = prepare
        self._connection: AsyncConnection | None = None
        self._prepared: set[str] = set()
        self._is_closed = False
        self._is_expired = False
        self._turn = asyncio.Lock()
        self.warning = ""

    async def ask(self, query: str, *params: Param) -> list[Row]:
        """Execute a named query and return its rows.

        Raises:
            NotReady: nothing was sent. StoreRefused: from `prepare`; nothing was sent.
            Failed: the server refused, and undid all of it. Lost: the outcome is unknown.
        """
        async with self._turn:
            connection = await self._ready()
            self.warning = ""
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await _drive(connection.pgconn.socket, ask(connection.pgconn, self._prepared, query, params))
            except TimeoutError as fault:
                self._drop()
                raise Late(f"PostgreSQL gave no answer within {self._timeout_s:g} s") from fault
            except Failed as fault:
                if not fault.code.startswith(_HARMLESS) or not _is_idle(connection):
                    self._drop()
                raise
            except BaseException:
                self._drop()
                raise

    async def connect(self) -> None:
        """Make the connection ready now. Raises NotReady, and StoreRefused from `prepare`."""
        async with self._turn:
            await self._ready()

    def expire(self) -> None:
        """Connect anew before the next statement; one under way goes on."""
        self._is_expired = True

    async def close(self) -> None:
        """Close for good: later statements raise."""
        self._is_closed = True
        async with self._turn:
            self._drop()

    async def _ready(self) -> AsyncConnection:
        if self._is_closed:
            raise NotReady("the store is closed")
        if self._connection is not None and not self._is_expired and is_alive(self._connection.pgconn):
            return self._connection
        self._drop()
        connection: AsyncConnection | None = None
        try:
            async with asyncio.timeout(self._timeout_s * 2):
                text = connection_text(self._target, timeout_s=self._timeout_s, sessions=self._sessions)
                connection = await AsyncConnection.connect(text, autocommit=True, prepare_threshold=None)
                await self._prepare(connection)
        except TimeoutError as fault:
            _finish(connection)
            raise NotReady("PostgreSQL cannot be reached: no answer in time") from fault
        except psycopg.Error as fault:
            _finish(connection)
            raise NotReady(f"PostgreSQL cannot be reached: {reason_of(fault)}") from fault
        except BaseException:
            _finish(connection)
            raise
        connection.add_notice_handler(self._note)
        self._connection, self._is_expired = connection, False
        return connection

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self.warning = notice.message_primary or "a warning without words"

    def _drop(self) -> None:
        _finish(self._connection)
        self._connection = None
        self._prepared.clear()


def _is_idle(connection: AsyncConnection) -> bool:
    pgconn = connection.pgconn
    return pgconn.status == ConnStatus.OK and pgconn.transaction_status == TransactionStatus.IDLE


def _finish(connection: AsyncConnection | None) -> None:
    # Closes the socket, and asks nothing of a server that may not answer.
    if connection is not None:
        connection.pgconn.finish()


async def _drive(socket: int, steps: Steps) -> list[Row]:
    """Run steps, waiting for the socket between them."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    is_writing = False
    loop.add_reader(socket, wake)
    try:
        while True:
            try:
                wait = next(steps)
            except StopIteration as end:
                rows: list[Row] = end.value
                return rows
            if (wait is Wait.BOTH) != is_writing:
                is_writing = not is_writing
                if is_writing:
                    loop.add_writer(socket, wake)
                else:
                    loop.remove_writer(socket)
            woken = loop.create_future()
            await woken
    finally:
        loop.remove_reader(socket)
        if is_writing:
            loop.remove_writer(socket)


class LinkPool:
    """Up to `size` links for reads, so that one large read does not hold up the others."""

    def __init__(
        self, target: Target, *, timeout_s: float, prepare: Prepare, size: int = 4, sessions: str = "read-write"
    ) -> None:
        self._idle = [Link(target, timeout_s=timeout_s, prepare=prepare, sessions=sessions) for _ in range(size)]
        self._all = tuple(self._idle)
        self._free = asyncio.Semaphore(size)

    async def ask(self, query: str, *params: Param) -> list[Row]:
        """Execute a reading query. Raises StoreUnavailable."""
        async with self._free:
            link = self._idle.pop()
            try:
                return await link.ask(query, *params)
            except Late:
                raise
            except Lost:
                # A read may be repeated, and on a new connection it is answered.
                return await link.ask(query, *params)
            finally:
                self._idle.append(link)

    def expire(self) -> None:
        for link in self._all:
            link.expire()

    async def close(self) -> None:
        for link in self._all:
            await link.close()
