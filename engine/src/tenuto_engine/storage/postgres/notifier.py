"""Nudges by LISTEN and NOTIFY, on two connections of their own: one listens, one sends.

Never in the transaction of a group: transactions that notify are committed one after the other, for the whole database.
A lost connection loses nudges, never work: engines sweep. It is made again with growing pauses, and the topics with it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from itertools import count

import psycopg
import structlog
from psycopg import AsyncConnection, Notify

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.notifier import OnNudge
from tenuto_engine.storage.postgres import layout
from tenuto_engine.storage.postgres.link import Link
from tenuto_engine.storage.postgres.session import connection_text, settings_of, target_of
from tenuto_engine.storage.postgres.wire import texts

_log = structlog.get_logger(__name__)

# Nudges that wait for the server. More would only be news of what the sweep has found by then.
_MOST_WAITING = 10_000
_MOST_AT_ONCE = 500
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
# A connection that says nothing for so long is asked whether it still lives.
_PING_SECONDS = 15
# A payload has less than 8,000 bytes; a longer body goes in pieces.
_PIECE = 7_000
# Bodies of which not all pieces have come. The pieces of one are sent together, so more than a few are not ours.
_MOST_UNFINISHED = 100
# PostgreSQL cuts names, and channels are names, at 63 bytes.
_LONGEST_NAME = 63


class PostgresNotifier:
    """Implements `tenuto_engine.ports.notifier.Notifier`.

    Args:
        timeout_s: how long connecting or one statement may take; seconds.
    """

    def __init__(self, url: str, *, app: str, key_prefix: str, timeout_s: float = 5.0) -> None:
        self._target = target_of(url, app=app, key_prefix=key_prefix, lease_ms=10_000)
        # Channels are the whole database's: apps that share it are kept apart by this.
        self._prefix = f"tenuto-{hashlib.sha256(self._target.schema.encode()).hexdigest()[:8]}-"
        self._timeout_s = timeout_s
        self._sender = Link(self._target, timeout_s=timeout_s, prepare=self._prepare)
        self._topics: dict[str, str] = {}
        self._listening: set[str] = set()
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=_MOST_WAITING)
        self._numbers = count()
        self._to_send = asyncio.Event()
        self._to_read = asyncio.Event()

    def publish(self, topic: str, body: bytes) -> None:
        self._waiting.append((topic, body))
        self._to_send.set()

    def listen(self, topics: Iterable[str]) -> None:
        self._topics.update({self._channel(topic): topic for topic in topics})
        self._to_read.set()

    def unlisten(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self._topics.pop(self._channel(topic), None)
        self._to_read.set()

    async def run(self, on_nudge: OnNudge) -> None:
        try:
            async with asyncio.TaskGroup() as owner:
                owner.create_task(_steadily(self._send), name="nudges-out")
                owner.create_task(_steadily(lambda: self._receive(on_nudge)), name="nudges-in")
        finally:
            await self._sender.close()

    def _channel(self, topic: str) -> str:
        channel = self._prefix + topic
        if len(channel) > _LONGEST_NAME:
            channel = self._prefix + hashlib.sha256(topic.encode()).hexdigest()[:32]
        return channel

    async def _prepare(self, connection: AsyncConnection) -> None:
        # No nudge is worth a wait for the disk.
        await layout.apply_settings(connection, settings_of(self._target) | {"synchronous_commit": "off"})

    async def _send(self) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_MOST_AT_ONCE, len(self._waiting)))]
                pieces = [(self._channel(topic), piece) for topic, body in batch for piece in self._pieces(body)]
                channels, payloads = zip(*pieces, strict=True)
                await self._sender.ask("publish", texts(channels), texts(payloads))

    def _pieces(self, body: bytes) -> list[str]:
        """Cut a body; each piece tells its body and how many follow, for the server drops what it has already seen."""
        text = base64.b64encode(body).decode()
        cut = [text[first : first + _PIECE] for first in range(0, len(text), _PIECE)] or [""]
        number = next(self._numbers)
        return [f"{number} {len(cut) - place} {piece}" for place, piece in enumerate(cut, 1)]

    async def _receive(self, on_nudge: OnNudge) -> None:
        async with asyncio.timeout(self._timeout_s * 2):
            text = connection_text(self._target, timeout_s=self._timeout_s)
            connection = await AsyncConnection.connect(text, autocommit=True, prepare_threshold=None)
        try:
            self._listening, is_silent = set(), False
            unfinished: dict[tuple[str, int], str] = {}
            connection.add_notify_handler(lambda notify: self._take(notify, unfinished, on_nudge))
            while True:
                self._to_read.clear()
                for arrived in _arrivals(connection):
                    self._take(arrived, unfinished, on_nudge)
                if self._topics.keys() != self._listening or is_silent:
                    async with asyncio.timeout(self._timeout_s):
                        await self._ask(connection)
                is_silent = not await self._wait(connection)
        finally:
            connection.pgconn.finish()

    async def _ask(self, connection: AsyncConnection) -> None:
        """Tell the server what changed, or ask for a sign of life; what has arrived is handed over on the way."""
        added, removed = self._topics.keys() - self._listening, self._listening - self._topics.keys()
        statements = [f'LISTEN "{_escaped(channel)}"' for channel in sorted(added)]
        statements += [f'UNLISTEN "{_escaped(channel)}"' for channel in sorted(removed)]
        await connection.execute("; ".join(statements or ["SELECT 1"]).encode())
        self._listening = (self._listening | added) - removed

    async def _wait(self, connection: AsyncConnection) -> bool:
        """Wait until something has arrived or is to be changed; false: a sign of life is due."""
        loop, socket = asyncio.get_running_loop(), connection.pgconn.socket
        loop.add_reader(socket, self._to_read.set)
        try:
            async with asyncio.timeout(_PING_SECONDS):
                return await self._to_read.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(socket)

    def _take(self, notify: Notify, unfinished: dict[tuple[str, int], str], on_nudge: OnNudge) -> None:
        topic = self._topics.get(notify.channel)
        if topic is None:
            return
        number, _, rest = notify.payload.partition(" ")
        following, _, piece = rest.partition(" ")
        key = (f"{notify.channel} {number}", notify.pid)
        text = unfinished.pop(key, "") + piece
        if following != "0":
            if len(unfinished) >= _MOST_UNFINISHED:
                unfinished.clear()
            unfinished[key] = text
            return
        try:
            body = base64.b64decode(text, validate=True)
        except ValueError:
            # Any session of the database may send on any channel.
            _log.debug("a nudge could not be read", topic=topic)
            return
        on_nudge(topic, body)


def _arrivals(connection: AsyncConnection) -> list[Notify]:
    """Read what has arrived, without asking for anything."""
    connection.pgconn.consume_input()
    arrived: list[Notify] = []
    while (each := connection.pgconn.notifies()) is not None:
        arrived.append(Notify(each.relname.decode(), each.extra.decode(), each.be_pid))
    return arrived


def _escaped(channel: str) -> str:
    return channel.replace('"', '""')


async def _steadily(work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` until cancelled, again after every fault of the connection."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await work()
        except (psycopg.Error, OSError, StoreUnavailable) as fault:  # a timeout is an OSError
            _log.debug("nudges wait for the store", error=str(fault))
        if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE_SECONDS:
            pause = _FIRST_PAUSE_SECONDS
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
