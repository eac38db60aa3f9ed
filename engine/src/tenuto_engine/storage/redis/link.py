"""One connection, used at the level of bytes: a group of commands goes out as one write, replies come in order.

No retry hides here. What became of a command whose reply was lost is unknown, and only the caller knows whether it
may be repeated; redis-py's own retries and pipelines are therefore left out.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from tenuto_engine.ports.errors import StoreUnavailable

Reply = Any

# The libraries' stubs leave both of these partly unknown.
_pack: Callable[[tuple[Any, ...]], bytes] = cast("Any", hiredis).pack_command
_pool_from_url: Callable[..., ConnectionPool] = cast("Any", ConnectionPool).from_url


class LinkNotReady(StoreUnavailable):
    """No connection could be made ready: nothing was sent."""


class LinkLost(StoreUnavailable):
    """The connection broke while replies were due.

    `replies`: those that arrived, in order. `not_executed`: the server said that it did not run the one after them.
    """

    def __init__(self, message: str, replies: list[Reply], *, not_executed: bool) -> None:
        super().__init__(message)
        self.replies = replies
        self.not_executed = not_executed


class Link:
    """A connection that is made on first use and again after it broke.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout_s: how long a write or the replies of one group may take; seconds.
        prepare: run on every new connection before it is used; if it raises, the connection is not used.

    Concurrency: one exchange at a time, first come, first served. A cancelled exchange closes the connection, for
    the replies still due would be taken for others.
    """

    def __init__(self, url: str, *, timeout_s: float, prepare: Callable[[Link], Awaitable[None]] | None = None) -> None:
        # The pool only reads the URL and makes the fitting kind of connection; it never lends one.
        pool = _pool_from_url(
            url,
            protocol=2,
            # A timeout here would cost a task for each write; each exchange has one of its own.
            socket_timeout=None,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
        self._connection: AbstractConnection = pool.make_connection()
        self._timeout_s = timeout_s
        self._prepare = prepare
        self._is_ready = False
        self._is_closed = False
        self._turn = asyncio.Lock()

    async def exchange(self, commands: Sequence[tuple[Any, ...]]) -> list[Reply]:
        """Send commands as one write and return their replies in order; a server's error is a reply.

        Raises:
            LinkNotReady: nothing was sent.
            LinkLost: replies are missing; those commands may or may not have been executed.
            StoreRefused: from `prepare`; nothing was sent.
        """
        packed = b"".join(map(_pack, commands))
        async with self._turn:
            await self._make_ready()
            return await self._exchange(packed, len(commands))

    async def exchange_unprepared(self, commands: Sequence[tuple[Any, ...]]) -> list[Reply]:
        """The exchange that `prepare` itself uses."""
        return await self._exchange(b"".join(map(_pack, commands)), len(commands))

    async def close(self) -> None:
        """Close for good: later exchanges raise LinkNotReady."""
        async with self._turn:
            self._is_closed = True
            await self._disconnect()

    async def _make_ready(self) -> None:
        # What is readable now is the end of the connection, for no reply is due: nothing is sent into a closed one.
        if self._is_ready and self._connection.is_connected and not await self._connection.can_read():
            return
        if self._is_closed:
            raise LinkNotReady("the store is closed")
        self._is_ready = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connection.disconnect(nowait=True)
                await self._connection.connect()
            if self._prepare is not None:
                await self._prepare(self)
        except LinkLost as lost:
            raise LinkNotReady(f"the store does not answer: {lost}") from lost
        except (RedisError, OSError) as fault:  # a timeout is an OSError
            await self._disconnect()
            raise LinkNotReady(f"the store cannot be reached: {fault}") from fault
        except BaseException:
            await self._disconnect()
            raise
        self._is_ready = True

    async def _exchange(self, packed: bytes, count: int) -> list[Reply]:
        connection, replies = self._connection, list[Reply]()
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.send_packed_command(packed, check_health=False)
                while len(replies) < count:
                    try:
                        replies.append(await connection.read_response(timeout=math.inf))
                    except ResponseError as error:
                        replies.append(error)
        except TimeoutError as fault:
            await self._disconnect()
            waited = f"no reply within {self._timeout_s:g} s"
            raise LinkLost(waited, replies, not_executed=False) from fault
        except (RedisError, OSError) as fault:
            await self._disconnect()
            is_loading = isinstance(fault, BusyLoadingError)
            raise LinkLost(str(fault), replies, not_executed=is_loading) from fault
        except BaseException:
            await self._disconnect()
            raise
        return replies

    async def _disconnect(self) -> None:
        self._is_ready = False
        await self._connection.disconnect(nowait=True)


class LinkPool:
    """Up to `size` links for reads, so that one large read does not hold up the others."""

    def __init__(self, url: str, *, timeout_s: float, size: int = 4) -> None:
        self._idle = [Link(url, timeout_s=timeout_s) for _ in range(size)]
        self._all = tuple(self._idle)
        self._free = asyncio.Semaphore(size)

    async def ask(self, *commands: tuple[Any, ...]) -> list[Reply]:
        """Send read commands together; answer their replies.

        Raises:
            StoreUnavailable: no answer, or an error as answer.
        """
        async with self._free:
            link = self._idle.pop()
            try:
                replies = await link.exchange(commands)
            finally:
                self._idle.append(link)
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise StoreUnavailable(f"the store refused to read: {reply}") from reply
        return replies

    async def close(self) -> None:
        for link in self._all:
            await link.close()
