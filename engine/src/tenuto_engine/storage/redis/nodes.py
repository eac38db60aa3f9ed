"""Servers as the store uses them: some links to write through, some to read through, and what is known of the server.

One `Node` is a server, or the primary that Sentinel names at the moment. A cluster is many of them (`cluster`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, cast

from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff

from tenuto_engine.storage.redis.address import CLIENT_NAME, Address, Place
from tenuto_engine.storage.redis.link import Link, LinkPool, Locator, Reply
from tenuto_engine.storage.redis.server import Server

# Two keep the server busy while the engine digests answers; more would only make smaller groups.
_WRITERS = 2
_READERS = 4
# A sentinel is asked before each connect, and the next one if it does not answer.
_SENTINEL_TIMEOUT_S = 0.5


class Reading(Protocol):
    """What reads are asked of: one node's links, or a cluster."""

    async def ask(self, *commands: tuple[Any, ...]) -> list[Reply]:
        """Answer commands that read, in order. Raises StoreUnavailable."""
        ...

    async def parts(self) -> Sequence[Reading]:
        """Each server by itself, for questions about all its keys."""
        ...

    async def close(self) -> None: ...


class Node:
    """One server.

    Args:
        locate: where it is now, asked before each connect; None: at `place`, for ever.
        prepare: makes a link for writes ready; it calls `accept`.
        prepare_read: the same for a link for reads.
    """

    def __init__(
        self,
        address: Address,
        place: Place,
        *,
        timeout_s: float,
        prepare: Callable[[Node, Link], Awaitable[None]],
        prepare_read: Callable[[Link], Awaitable[None]] | None,
        locate: Locator | None = None,
    ) -> None:
        def connect() -> Any:
            return address.connection(place, timeout_s=timeout_s)

        async def prepare_write(link: Link) -> None:
            await prepare(self, link)

        self.place = place
        self.server: Server | None = None
        self.must_load = False
        self._writers = [
            Link(connect(), timeout_s=timeout_s, locate=locate, prepare=prepare_write) for _ in range(_WRITERS)
        ]
        self._idle = list(self._writers)
        self._free = asyncio.Semaphore(_WRITERS)
        self.readers = LinkPool(
            [Link(connect(), timeout_s=timeout_s, locate=locate, prepare=prepare_read) for _ in range(_READERS)]
        )

    async def borrow(self) -> Link:
        """Wait for a link to write through; give it back. Groups of different shards may be under way together."""
        await self._free.acquire()
        return self._idle.pop()

    def give_back(self, link: Link) -> None:
        self._idle.append(link)
        self._free.release()

    def accept(self, server: Server, link: Link) -> bool:
        """Note what `link` found; answer whether it is another server than before.

        Then the other links may lead to the former one, which can live on cut off from the rest: they connect anew
        before they are used, so that no two groups are written to different servers.
        """
        is_another = self.server is not None and self.server.incarnation != server.incarnation
        self.server = server
        if is_another:
            self.expire(but=link)
        return is_another

    def expire(self, *, but: Link | None = None) -> None:
        """Connect all links anew before they are used."""
        for each in self._writers:
            if each is not but:
                each.expire()
        self.readers.expire()

    async def check(self) -> None:
        """Connect, if need be, and prepare. Raises StoreUnavailable, StoreRefused."""
        link = await self.borrow()
        try:
            await link.exchange([("PING",)])
        finally:
            self.give_back(link)

    async def close(self) -> None:
        for link in self._writers:
            await link.close()
        await self.readers.close()


class Rotation:
    """Any of several servers will do: another one at each asking."""

    may_change = False

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = itertools.cycle(places)

    async def __call__(self) -> Place:
        return next(self._places)

    async def close(self) -> None:
        """Nothing is held."""


class SentinelLocator:
    """Asks sentinels which server is the primary. The asking is redis-py's; it holds a connection to each sentinel."""

    may_change = True

    def __init__(self, address: Address) -> None:
        settings = sentinel_arguments(address) | {"retry": Retry(NoBackoff(), 0)}
        # The library's stubs leave much of it unknown.
        self._sentinel: Any = cast("Any", Sentinel)(list(address.places), sentinel_kwargs=settings)
        self._service = address.service
        self._asked = ", ".join(f"{place.host}:{place.port}" for place in address.places)

    async def __call__(self) -> Place:
        """Raises redis-py's MasterNotFoundError, a connection error, where no sentinel names one."""
        try:
            return Place(*await self._sentinel.discover_master(self._service))
        except MasterNotFoundError:
            # The library shows how its connections look inside.
            raise MasterNotFoundError(no_primary(self._service, self._asked)) from None

    async def close(self) -> None:
        await self._sentinel.aclose()


def no_primary(service: str, asked: str) -> str:
    """What is said where no sentinel named a primary: it did not answer, or has none of that name that is up."""
    return f"none of the sentinels {asked} answers and knows a primary of service '{service}'"


def sentinel_arguments(address: Address) -> dict[str, Any]:
    """redis-py's arguments for connections to sentinels, without the retry, of which there are two kinds."""
    return {
        **address.sentinel,
        "protocol": 2,
        "client_name": CLIENT_NAME,
        "socket_timeout": _SENTINEL_TIMEOUT_S,
        "socket_connect_timeout": _SENTINEL_TIMEOUT_S,
        "driver_info": None,
    }
