"""One connection, used at the level of bytes: a group of commands goes out as one write, replies come in order.

No retry hides here. What became of a command whose reply was lost is unknown, and only the caller knows whether it
may be repeated; redis-py's own retries and pipelines are therefore left out.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.storage.redis.acks import Ack
from tenuto_engine.storage.redis.address import Place

Reply = Any

# The library's stubs leave it partly unknown.
_pack: Callable[[tuple[Any, ...]], bytes] = cast("Any", hiredis).pack_command
_ASKING = ("ASKING",)
# How old the answer of a locator may be while writes go on: what a former primary may still take in.
_LOOK_AGAIN_S = 0.25
_LOOK_TIMEOUT_S = 0.2
_LOOK_LATER_S = 2.0


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


class Locator(Protocol):
    """Says where the server is now."""

    @property
    def may_change(self) -> bool:
        """Whether another server may take the place of one that still answers."""
        ...

    async def __call__(self) -> Place:
        """Raises RedisError, OSError where it cannot be told."""
        ...

    async def close(self) -> None: ...


class Link:
    """A connection that is made on first use and again after it broke, expired, or its server turned read-only.

    Args:
        connection: not connected yet; it belongs to the link.
        timeout_s: how long a write or the replies of one group may take; seconds.
        locate: asked before each connect where the server is now; None: where it always was. Where it `may_change`
            while the connection holds, it is asked again from time to time, before a group is sent: Sentinel leaves a
            former primary writable for seconds, and what it takes in then is lost.
        prepare: run on every new connection before it is used; if it raises, the connection is not used.

    `ack`: what ends a group of writes; `prepare` sets it, for it depends on the server found.

    Concurrency: one exchange at a time, first come, first served. A cancelled exchange closes the connection, for
    the replies still due would be taken for others.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        *,
        timeout_s: float,
        locate: Locator | None = None,
        prepare: Callable[[Link], Awaitable[None]] | None = None,
    ) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._locate = locate
        self._place: Place | None = None
        self._look_at = 0.0
        self._prepare = prepare
        self._is_ready = False
        self._is_closed = False
        self.ack: Ack | None = None
        self._turn = asyncio.Lock()

    async def exchange(
        self, commands: Sequence[tuple[Any, ...]], *, mark: tuple[Any, ...] | None = None, asking: bool = False
    ) -> list[Reply]:
        """Send commands as one write and return their replies in order; a server's error is a reply.

        Args:
            mark: where `ack` is set, a write that comes before its commands: servers wait for what the connection
                wrote itself, not for what another one wrote and this one only saw. These replies are then the last.
            asking: tell a node, before each command, that the slot is on its way to it.

        Raises:
            LinkNotReady: nothing was sent.
            LinkLost: replies are missing; those commands may or may not have been executed.
            StoreRefused: from `prepare`; nothing was sent.
        """
        async with self._turn:
            await self._make_ready()
            tail: Sequence[tuple[Any, ...]] = ()
            if mark is not None and self.ack is not None:
                commands, tail = [*commands, mark], self.ack.commands
            sent = [each for command in commands for each in (_ASKING, command)] if asking else commands
            packed = b"".join(map(_pack, (*sent, *tail) if tail else sent))
            if not asking:
                return await self._exchange(packed, len(sent) + len(tail))
            # The answers to the announcements are left out.
            try:
                replies = await self._exchange(packed, len(sent) + len(tail))
            except LinkLost as lost:
                raise LinkLost(str(lost), lost.replies[1 : len(sent) : 2], not_executed=lost.not_executed) from lost
            return [*replies[1 : len(sent) : 2], *replies[len(sent) :]]

    async def exchange_unprepared(self, commands: Sequence[tuple[Any, ...]]) -> list[Reply]:
        """The exchange that `prepare` itself uses."""
        return await self._exchange(b"".join(map(_pack, commands)), len(commands))

    def expire(self) -> None:
        """Connect and prepare anew before the next exchange; one under way goes on."""
        self._is_ready = False

    async def close(self) -> None:
        """Close for good: later exchanges raise LinkNotReady."""
        async with self._turn:
            self._is_closed = True
            self._is_ready = False
            # TLS says good-bye, which takes a few turns of the loop; a server that does not answer it is left.
            with suppress(RedisError):
                await self._connection.disconnect()

    async def _make_ready(self) -> None:
        # What is readable now is the end of the connection, for no reply is due: nothing is sent into a closed one.
        if (
            self._is_ready
            and self._connection.is_connected
            and not await self._connection.can_read()
            and (self._locate is None or await self._is_still_there(self._locate))
        ):
            return
        if self._is_closed:
            raise LinkNotReady("the store is closed")
        self._is_ready = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._disconnect()
                if self._locate is not None:
                    self._place = await self._locate()
                    self._look_at = time.monotonic() + _LOOK_AGAIN_S
                    self._aim(self._place)
                await self._connection.connect()
            if self._prepare is not None:
                await self._prepare(self)
        except LinkLost as lost:
            raise LinkNotReady(f"the store does not answer: {lost}") from lost
        except (RedisError, OSError) as fault:  # a timeout is an OSError
            await self._disconnect()
            raise LinkNotReady(f"the store cannot be reached: {_say(fault)}") from fault
        except BaseException:
            await self._disconnect()
            raise
        self._is_ready = True

    async def _is_still_there(self, locate: Locator) -> bool:
        now = time.monotonic()
        if now < self._look_at or not locate.may_change:
            return True
        self._look_at = now + _LOOK_AGAIN_S
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_S):
                return await locate() == self._place
        except (RedisError, OSError):  # a timeout is an OSError
            # Nobody knows better than the connection that works.
            self._look_at = now + _LOOK_LATER_S
            return True

    def _aim(self, place: Place) -> None:
        connection = cast("Any", self._connection)
        connection.host, connection.port = place

    async def _exchange(self, packed: bytes, count: int) -> list[Reply]:
        connection, replies = self._connection, list[Reply]()
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.send_packed_command(packed, check_health=False)
                await self._read(replies, count)
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

    async def _read(self, replies: list[Reply], count: int) -> None:
        """Read until there are so many; what arrived before a fault stays."""
        read = self._connection.read_response
        while len(replies) < count:
            try:
                replies.append(await read(timeout=math.inf))
            except ResponseError as error:
                replies.append(error)
                if is_read_only(error):
                    # Another server is the primary now, and a name or Sentinel may already lead to it.
                    self._is_ready = False

    async def _disconnect(self) -> None:
        self._is_ready = False
        # Nothing is said to a broken connection: TLS would wait half a minute for an answer. The library has no name
        # for that.
        writer = getattr(self._connection, "_writer", None)
        if writer is not None:
            writer.transport.abort()
        await self._connection.disconnect(nowait=True)


class LinkPool:
    """Links for reads, so that one large read does not hold up the others."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._all = tuple(links)
        self._idle = list(links)
        self._free = asyncio.Semaphore(len(links))

    async def exchange(self, commands: Sequence[tuple[Any, ...]], *, asking: bool = False) -> list[Reply]:
        """Send commands over a free link; a server's error is a reply. Raises StoreUnavailable."""
        async with self._free:
            link = self._idle.pop()
            try:
                return await link.exchange(commands, asking=asking)
            finally:
                self._idle.append(link)

    async def ask(self, *commands: tuple[Any, ...]) -> list[Reply]:
        """Send read commands together; answer their replies.

        Raises:
            StoreUnavailable: no answer, or an error as answer.
        """
        return refuse_errors(await self.exchange(commands))

    async def parts(self) -> list[LinkPool]:
        """One server is one part."""
        return [self]

    def expire(self) -> None:
        for link in self._all:
            link.expire()

    async def close(self) -> None:
        for link in self._all:
            await link.close()


def refuse_errors(replies: list[Reply]) -> list[Reply]:
    """Answer the replies. Raises StoreUnavailable where one of them is a server's error."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise StoreUnavailable(f"the store refused to read: {reply}") from reply
    return replies


def is_read_only(error: ResponseError) -> bool:
    """Whether a server refused a write because it is a replica, or became one; also where a script met it."""
    text = str(error)
    return "READONLY" in text or "read only replica" in text


def _say(fault: BaseException) -> str:
    """A timeout says nothing by itself."""
    return str(fault) or "no answer in time"
