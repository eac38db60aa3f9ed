"""The owner's estimate of the store's clock.

Turn times and due times are the store's. Asking it for each turn would cost a round trip, so the offset to this
process's monotonic clock is learned at every heartbeat. Where precision matters (expiry, due), the store compares.
"""

from __future__ import annotations

from tenuto_engine.runtime.sources import Sources

# Two estimates differ by less, unless the clock was set.
_SET_BACK_MS = 1_000


class StoreClock:
    """Estimates the store's clock from the last answer.

    It does not go back by the little that two estimates differ, but follows a store's clock that is set back: timers
    would be late by as much otherwise. The times of an instance's turns never fall; `turns` sees to that.
    """

    def __init__(self, sources: Sources | None = None) -> None:
        sources = sources or Sources()
        self._monotonic_ns = sources.monotonic_ns
        self._offset_ms = sources.unix_ns() // 1_000_000 - sources.monotonic_ns() // 1_000_000
        self._last_ms = 0

    def learn(self, store_ms: int, asked_ns: int, answered_ns: int) -> None:
        """Take the store's clock as read between two moments of the monotonic clock."""
        middle_ms = (asked_ns + answered_ns) // 2_000_000
        self._offset_ms = store_ms - middle_ms

    def now_ms(self) -> int:
        """Unix milliseconds of the store's clock, as far as known."""
        now = self._monotonic_ns() // 1_000_000 + self._offset_ms
        if self._last_ms - _SET_BACK_MS < now < self._last_ms:
            return self._last_ms
        self._last_ms = now
        return now
