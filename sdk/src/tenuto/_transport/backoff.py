"""How long to wait before trying to connect again."""

from __future__ import annotations

from collections.abc import Callable
from random import random

FIRST_SECONDS = 0.1
# Short enough that a restarted engine is found at once; each try costs an engine next to nothing.
LONGEST_SECONDS = 3.0


class Backoff:
    """Exponential growth with full jitter, so that workers which lost an engine together do not return together.

    Args:
        draw: gives a number from 0 to 1.
    """

    def __init__(self, draw: Callable[[], float] = random) -> None:
        self._draw = draw
        self._tries = 0

    def next_seconds(self) -> float:
        """The next pause: anything up to twice the last one's bound, at most 3 seconds."""
        bound: float = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._tries, 16))
        self._tries += 1
        return bound * self._draw()

    def reset(self) -> None:
        """Begins anew, after a success."""
        self._tries = 0
