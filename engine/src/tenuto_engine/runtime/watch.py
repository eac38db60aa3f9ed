"""The moments at which open calls must be looked at, earliest first."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from tenuto_engine.ports.records import NEVER_MS
from tenuto_engine.runtime.call import Call

_COMPACT_FROM = 1_024


class Watch:
    """A heap of calls by the next moment that concerns them; each call's earliest one counts.

    A call whose moment moved to a later one stays where it is: it is met too early once, and put back.
    """

    def __init__(self, is_wanted: Callable[[Call], bool]) -> None:
        self._is_wanted = is_wanted
        self._heap: list[tuple[int, int, Call]] = []
        self._sequence = itertools.count()
        self._compact_at = _COMPACT_FROM
        self.nudge: Callable[[], None]

    def set(self, call: Call) -> None:
        """Look at a call when its next moment comes, if it has one."""
        at_ms = min(call.owner_looks_at_ms(), call.runner_looks_at_ms())
        if at_ms >= call.watched_ms:
            return
        if len(self._heap) >= self._compact_at:
            self._compact()
        call.watched_ms = at_ms
        is_earliest = not self._heap or at_ms < self._heap[0][0]
        heapq.heappush(self._heap, (at_ms, next(self._sequence), call))
        if is_earliest:
            self.nudge()

    def _compact(self) -> None:
        """Forget calls that ended before their moment: they would stay here, with their inputs, until then."""
        kept: list[tuple[int, int, Call]] = []
        for item in self._heap:
            at_ms, _, call = item
            if at_ms != call.watched_ms:
                continue
            if self._is_wanted(call):
                kept.append(item)
            else:
                call.watched_ms = NEVER_MS  # it may be wanted again, once a worker has it
        self._heap = kept
        heapq.heapify(self._heap)
        self._compact_at = max(_COMPACT_FROM, 2 * len(self._heap))

    def next_ms(self) -> int:
        """The earliest moment; far away where there is none."""
        return self._heap[0][0] if self._heap else NEVER_MS

    def take_due(self, now_ms: int) -> list[Call]:
        """Take the calls whose moment has come; those that moved on are put back."""
        due: list[Call] = []
        while self._heap and self._heap[0][0] <= now_ms:
            at_ms, _, call = heapq.heappop(self._heap)
            if at_ms != call.watched_ms:
                continue
            call.watched_ms = NEVER_MS
            if not self._is_wanted(call):
                continue
            if min(call.owner_looks_at_ms(), call.runner_looks_at_ms()) <= now_ms:
                due.append(call)
            else:
                self.set(call)
        return due
