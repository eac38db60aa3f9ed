"""Says which workflow code blocks the worker: turns must take milliseconds, since nothing else runs meanwhile."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback

_log = logging.getLogger("tenuto.worker")


class Watchdog:
    """Watches one thread, from a thread of its own.

    Args:
        limit_s: seconds that a turn may take before its stack is logged, once.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._thread_id = threading.get_ident()
        self._turn: tuple[str, float] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tenuto-watchdog", daemon=True)

    def start(self) -> None:
        """Begins to watch the thread that made this object."""
        self._thread.start()

    def stop(self) -> None:
        """Ends watching."""
        self._stopped.set()

    def enter(self, instance_id: str) -> None:
        """A turn begins."""
        self._turn = (instance_id, time.monotonic())

    def leave(self) -> None:
        """The turn is over."""
        self._turn = None

    def _watch(self) -> None:
        reported: tuple[str, float] | None = None
        while not self._stopped.wait(self._limit_s / 2):
            turn = self._turn
            if turn is None or turn is reported or time.monotonic() - turn[1] < self._limit_s:
                continue
            reported = turn
            frame = sys._current_frames().get(self._thread_id)  # pyright: ignore[reportPrivateUsage]  # the only way
            stack = "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)"
            _log.error(
                "a turn of instance '%s' blocks this worker for more than %g s: workflow code must not wait or compute "
                "for long, activities may. It stands here:\n%s",
                turn[0],
                self._limit_s,
                stack,
            )
