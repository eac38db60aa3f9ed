"""Nudges between the engines of one process that stand on one `MemoryState`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tenuto_engine.ports.notifier import OnNudge
from tenuto_engine.storage.memory.state import MemoryState


class MemoryNotifier:
    """Implements `tenuto_engine.ports.notifier.Notifier`. What is published before `run` has begun is lost."""

    def __init__(self, *, state: MemoryState) -> None:
        self._state = state
        self._topics: set[str] = set()

    def publish(self, topic: str, body: bytes) -> None:
        for receive in list(self._state.receivers):
            receive(topic, body)

    def listen(self, topics: Iterable[str]) -> None:
        self._topics.update(topics)

    def unlisten(self, topics: Iterable[str]) -> None:
        self._topics.difference_update(topics)

    async def run(self, on_nudge: OnNudge) -> None:
        loop = asyncio.get_running_loop()

        def receive(topic: str, body: bytes) -> None:
            if topic in self._topics:
                loop.call_soon(on_nudge, topic, body)

        self._state.receivers.append(receive)
        try:
            await loop.create_future()
        finally:
            self._state.receivers.remove(receive)
