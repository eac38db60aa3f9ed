"""An event loop whose time is moved by hand, and which knows when nothing happens any more.

Time stands still, however long the loop runs or waits. Where asyncio would wait for a timer, this loop asks `on_idle`
instead: at that moment no callback is ready, and whatever comes next comes from a timer or from another thread. Only
then may anybody move time.

Pauses (`pause`) are timers that nobody need stop at: each ends at the first moment at or after its own.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import selectors
import time
from collections.abc import Callable
from contextlib import suppress

_DAY_S = 86_400.0
# Rounds of a loop in which everything is cancelled; each task takes a handful.
_MOST_ROUNDS = 1_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module.

    Args:
        now_ms: what it shows first; Unix milliseconds.
        on_idle: called when nothing is ready; says whether it made anything ready. It may not await.
    """

    def __init__(self, now_ms: int, on_idle: Callable[[], bool]) -> None:
        self.now_ms = now_ms
        self.moved_at_s = 0.0  # real time
        self._origin_ms = now_ms
        self._pauses: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._selector_of_mine = _Selector(on_idle)
        super().__init__(self._selector_of_mine)
        # Seconds as floats are less exact than milliseconds: what is due within half of one is due.
        self._clock_resolution = 0.0005
        self.slow_callback_duration = math.inf  # time is moved by callbacks, which seem slow by as much

    def time(self) -> float:
        """Virtual seconds since this loop was made."""
        return (self.now_ms - self._origin_ms) / 1000

    def next_timer_ms(self) -> int | None:
        """The moment of the next timer, None where there is none. Asked while idle; a timer may be far, then a day."""
        seconds = self._selector_of_mine.next_timer_s
        return None if seconds is None else self.now_ms + max(1, round(min(seconds, _DAY_S) * 1000))

    def next_pause_ms(self) -> int | None:
        """The moment at which the next pause ends, None where there is none."""
        while self._pauses and self._pauses[0][2].done():
            heapq.heappop(self._pauses)
        return self._pauses[0][0] if self._pauses else None

    def move_to(self, now_ms: int) -> None:
        """Let it be that moment; what is due happens when the loop goes on."""
        assert now_ms >= self.now_ms, "time never goes back"
        self.now_ms = now_ms
        self.moved_at_s = time.monotonic()
        while self._pauses and self._pauses[0][0] <= now_ms:
            ended = heapq.heappop(self._pauses)[2]
            if not ended.done():
                ended.set_result(None)

    async def pause(self, seconds: float, woken: asyncio.Event | None = None) -> None:
        """Conforms to the engine's `Pause`."""
        ended: asyncio.Future[None] = self.create_future()
        heapq.heappush(self._pauses, (self.now_ms + max(1, round(seconds * 1000)), next(self._order), ended))
        if woken is None:
            await ended
            return
        waking = self.create_task(woken.wait())
        try:
            await asyncio.wait((waking, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
            ended.cancel()

    def discard(self) -> None:
        """End all tasks, then the loop. Called by who let it run, after something has ended its running."""
        self.set_exception_handler(lambda _loop, _context: None)  # what the dying still complain of concerns nobody
        for task in asyncio.all_tasks(self):
            task.cancel()
        for _ in range(_MOST_ROUNDS):
            if not asyncio.all_tasks(self):
                break
            self.call_soon(self.stop)
            with suppress(SystemExit):  # what ended the loop's running passes on from child to parent
                self.run_forever()
        self.close()


class _Selector(selectors.DefaultSelector):
    """Waits for other threads alone, never for time to pass."""

    def __init__(self, on_idle: Callable[[], bool]) -> None:
        super().__init__()
        self._on_idle = on_idle
        self.next_timer_s: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the base's, but a wait for a timer becomes the question whether everything is idle."""
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        self.next_timer_s = timeout
        if self._on_idle():
            return found
        return super().select(None)
