"""Nudges by publish and subscribe, on two connections of their own: one listens, one sends.

A lost connection loses nudges, never work: engines sweep. It is made again with growing pauses, and the topics with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.notifier import OnNudge
from tenuto_engine.storage.redis.address import Place, parse_address
from tenuto_engine.storage.redis.keys import Keys
from tenuto_engine.storage.redis.link import Link, Locator
from tenuto_engine.storage.redis.nodes import Rotation, SentinelLocator

_log = structlog.get_logger(__name__)

# Nudges that wait for the server. More would only be news of what the sweep has found by then.
_MOST_WAITING = 10_000
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
# Never published: a connection must listen to something before it can be read.
_ALWAYS = "always"
# A connection that says nothing for so long is asked whether it still lives.
_PING_SECONDS = 15


class RedisNotifier:
    """Implements `tenuto_engine.ports.notifier.Notifier`.

    Args:
        timeout_s: how long one write may take; seconds.
    """

    def __init__(self, url: str, *, app: str, key_prefix: str, timeout_s: float = 5.0) -> None:
        self._prefix = Keys(key_prefix, app).nudge
        self._address = address = parse_address(url)
        self._timeout_s = timeout_s
        self._locator: Locator | None = None
        if address.kind == "sentinel":
            self._locator = SentinelLocator(address)
        elif address.kind == "cluster":
            # What one node is told, all of them are.
            self._locator = Rotation(address.places)
        sending = address.connection(address.first, timeout_s=timeout_s)
        self._sender = Link(sending, timeout_s=timeout_s, locate=self._locator)
        self._topics = {_ALWAYS}
        self._listening: set[str] = set()
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=_MOST_WAITING)
        self._to_send = asyncio.Event()
        self._to_change = asyncio.Event()
        self._changing = asyncio.Lock()
        self._pubsub: Any = None

    def publish(self, topic: str, body: bytes) -> None:
        self._waiting.append((topic, body))
        self._to_send.set()

    def listen(self, topics: Iterable[str]) -> None:
        self._topics.update(topics)
        self._to_change.set()

    def unlisten(self, topics: Iterable[str]) -> None:
        self._topics.difference_update(topics)
        self._to_change.set()

    async def run(self, on_nudge: OnNudge) -> None:
        try:
            async with asyncio.TaskGroup() as owner:
                owner.create_task(self._steadily(self._send), name="nudges-out")
                owner.create_task(self._steadily(lambda: self._receive(on_nudge)), name="nudges-in")
                owner.create_task(self._steadily(self._follow_changes), name="nudge-topics")
        finally:
            await self._sender.close()
            if self._locator is not None:
                await self._locator.close()

    @staticmethod
    async def _steadily(work: Any) -> None:
        """Do `work` until cancelled, again after every fault of the connection."""
        pause = _FIRST_PAUSE_SECONDS
        while not _is_ending():
            began = asyncio.get_running_loop().time()
            try:
                await work()
            # A timeout is an OSError. The library fails by the last two where one task meets a connection that another
            # one has just found broken; nudges must not end by that for the rest of the engine's life.
            except (RedisError, OSError, StoreUnavailable, AttributeError, RuntimeError) as fault:
                _log.debug("nudges wait for the store", error=str(fault))
            if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _send(self) -> None:
        while not _is_ending():
            await self._to_send.wait()
            self._to_send.clear()
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            await self._sender.exchange([("PUBLISH", self._prefix + topic, body) for topic, body in batch])

    async def _receive(self, on_nudge: OnNudge) -> None:
        place = self._address.first if self._locator is None else await self._locator()
        async with self._connect(place) as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
            self._pubsub, self._listening = pubsub, set()
            try:
                await self._change()
                while not _is_ending():
                    message = await pubsub.get_message(timeout=_PING_SECONDS)
                    if message is not None:
                        on_nudge(message["channel"].decode().removeprefix(self._prefix), message["data"])
            finally:
                self._pubsub = None

    def _connect(self, place: Place) -> Any:
        """A client for one subscription; the library's stubs leave much of it unknown."""
        arguments = self._address.arguments(place, timeout_s=self._timeout_s)
        return cast("Any", Redis)(
            **arguments, health_check_interval=_PING_SECONDS, retry=Retry(NoBackoff(), 0), max_connections=1
        )

    async def _follow_changes(self) -> None:
        while not _is_ending():
            await self._to_change.wait()
            await self._change()

    async def _change(self) -> None:
        """Tell the server what changed; a connection made later is told everything by `_receive`."""
        self._to_change.clear()
        async with self._changing:
            pubsub = self._pubsub
            if pubsub is None:
                return
            added, removed = self._topics - self._listening, self._listening - self._topics
            self._listening = (self._listening | added) - removed
            if added:
                await pubsub.subscribe(*(self._prefix + topic for topic in added))
            if removed:
                await pubsub.unsubscribe(*(self._prefix + topic for topic in removed))


def _is_ending() -> bool:
    """Whether this task was told to end, also where the client library has taken the cancellation and gone on.

    Before Python 3.12 `asyncio.wait_for`, by which the library writes, loses a cancellation that comes as the write
    ends: just when an engine hands its shards over and stops. Without this question it would never stop.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
