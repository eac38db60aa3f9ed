"""Hints of the spill list for stores in one process: bounded, and gone with the process."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

from tenuto_engine.ports.records import Hint

# Of one activity. What exceeds it is told again by the owners, once these are taken.
MOST_HINTS = 20_000


class Hints:
    """Lists of hints by version and activity name, oldest first."""

    def __init__(self) -> None:
        self._lists: defaultdict[tuple[str, str], deque[Hint]] = defaultdict(deque)

    def push(self, version: str, hints: Sequence[Hint]) -> None:
        for hint in hints:
            waiting = self._lists[version, hint.name]
            if len(waiting) < MOST_HINTS:
                waiting.append(hint)

    def take(self, version: str, names: Sequence[str], limit: int) -> list[Hint]:
        taken: list[Hint] = []
        for name in names:
            waiting = self._lists.get((version, name))
            while waiting and len(taken) < limit:
                taken.append(waiting.popleft())
        return taken
