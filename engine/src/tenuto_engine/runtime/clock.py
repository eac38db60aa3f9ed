"""The owner's estimate of the store's clock.

Turn times and due times are the store's. Asking it for each turn would cost a round trip, so the offset to this
process's monotonic clock is learned at every heartbeat. Where precision matters (expiry, due), the store compares.
"""

from __future__ import annotations

import time


class StoreClock:
    """Estimates the store's clock from the last answer; never goes back."""

    def __init__(self) -> None:
        self._offset_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000
        self._last_ms = 0

    def learn(self, store_ms: int, asked_ns: int, answered_ns: int) -> None:
        """Take the store's clock as read between two moments of the monotonic clock."""
        middle_ms = (asked_ns + answered_ns) // 2_000_000
        self._offset_ms = store_ms - middle_ms

    def now_ms(self) -> int:
        """Unix milliseconds of the store's clock, as far as known."""
        now = time.monotonic_ns() // 1_000_000 + self._offset_ms
        if now < self._last_ms:
            return self._last_ms
        self._last_ms = now
        return now
