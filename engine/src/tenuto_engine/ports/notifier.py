"""Nudges between engines: news that something is in the store, so that nobody need wait for the next sweep.

A nudge is a hint. It may be lost, repeated, late or meant for somebody else; whoever gets one looks into the store,
and whoever gets none finds the same by sweeping. So nothing here is acknowledged, ordered or durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

OnNudge = Callable[[str, bytes], None]


class Notifier(Protocol):
    """Publishes and receives nudges of one app, on connections of its own. Used from one event loop.

    Topics are short ASCII texts; the driver puts the app's prefix before them.
    """

    def publish(self, topic: str, body: bytes) -> None:
        """Send to all engines that listen to `topic`, this one included. Never blocks and never raises.

        What cannot be sent at once is dropped once a bounded queue is full.
        """
        ...

    def listen(self, topics: Iterable[str]) -> None:
        """Receive these topics from now on, and again after every reconnection."""
        ...

    def unlisten(self, topics: Iterable[str]) -> None: ...

    async def run(self, on_nudge: OnNudge) -> None:
        """Send and receive until cancelled; reconnects by itself. `on_nudge` is called on the event loop."""
        ...


class SilentNotifier:
    """For stores that no other process can open: there is nobody to nudge."""

    def publish(self, topic: str, body: bytes) -> None:
        """Nobody listens."""

    def listen(self, topics: Iterable[str]) -> None:
        """Nothing will come."""

    def unlisten(self, topics: Iterable[str]) -> None:
        """Nothing came."""

    async def run(self, on_nudge: OnNudge) -> None:
        """Return at once."""
