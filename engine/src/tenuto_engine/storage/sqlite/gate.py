"""Whose turn it is to write: leases before groups.

SQLite lets one connection write at a time and lets the others poll. Under load the gap between two groups is shorter
than any poll, so a renewal could starve and the shard be lost. Both connections of one process therefore share this
gate: who waits urgently is let in before the next group. SQLite's own lock stays what makes it correct.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from threading import Condition, Lock


class WriteGate:
    """One place at the gate; it is left by whoever entered, from any thread."""

    def __init__(self) -> None:
        self._place = Lock()
        self._changed = Condition()
        self._urgent = 0

    @contextmanager
    def urgent(self, timeout_seconds: float) -> Generator[bool]:
        """Enter before any group that has not entered yet; gives False, without the place, after the timeout."""
        with self._changed:
            self._urgent += 1
        entered = False
        try:
            entered = self._place.acquire(timeout=timeout_seconds)
            yield entered
        finally:
            if entered:
                self._place.release()
            with self._changed:
                self._urgent -= 1
                self._changed.notify_all()

    def try_enter(self) -> bool:
        """Enter if the place is free and nobody waits urgently; never blocks."""
        return self._urgent == 0 and self._place.acquire(blocking=False)

    def enter(self, timeout_seconds: float) -> bool:
        """Enter once nobody waits urgently; blocks, so never on an event loop's thread. False after the timeout."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._urgent == 0, timeout_seconds):
                return False
        return self._place.acquire(timeout=timeout_seconds)

    def leave(self) -> None:
        self._place.release()
