"""Threads for synchronous activities.

Not `concurrent.futures`: a future per call and a wake-up of the loop per result cost several times what a short
activity costs. Here finished jobs gather, and the loop is woken once for all that gathered.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


class ThreadPool:
    """At most `size` threads, started as they are needed.

    Args:
        size: number of threads; at least 1.
        wake: called from any thread when results wait to be taken; at least once after each.
    """

    def __init__(self, size: int, wake: Callable[[], None]) -> None:
        self._size = size
        self._wake = wake
        self._jobs: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._results: deque[Any] = deque()
        self._threads = 0
        self._outstanding = 0
        self._is_woken = False
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], Any]) -> None:
        """Runs `job` in a thread; its return value, never an exception, comes through `take`. One caller only."""
        self._outstanding += 1
        if self._threads < min(self._size, self._outstanding):
            self._threads += 1
            # Daemons: an activity that never ends must not keep the process from ending.
            threading.Thread(target=self._run, name=f"tenuto-activity-{self._threads}", daemon=True).start()
        self._jobs.put(job)

    def take(self) -> list[Any]:
        """All results since the last call. Called by the submitting thread."""
        with self._lock:
            self._is_woken = False
        taken: list[Any] = []
        while self._results:
            taken.append(self._results.popleft())
        self._outstanding -= len(taken)
        return taken

    def stop(self) -> None:
        """Ends the threads once the jobs submitted so far are done; does not wait for that."""
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._results.append(job())
            with self._lock:
                must_wake, self._is_woken = not self._is_woken, True
            if must_wake:
                self._wake()
