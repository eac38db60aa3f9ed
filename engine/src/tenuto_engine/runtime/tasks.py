"""Every background task has an owner that ends it and reports its failure: nothing runs unobserved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from tenuto_engine.runtime.sources import Pause

_log = structlog.get_logger(__name__)


class TaskOwner:
    """Starts tasks, keeps them alive, logs those that fail, cancels all when closed.

    A failing task does not take its siblings down: one instance that cannot be loaded must not stop a shard.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> None:
        """Run `work` until it ends or the owner is closed. After `close` it is dropped unrun."""
        if self._closed:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task failed", task=task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Cancel all tasks and wait for them."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def forever(
    step: Callable[[], Coroutine[Any, Any, None]], *, pause_seconds: float, pause: Pause, name: str
) -> None:
    """Run `step` again and again with a pause between; a failing step is logged and does not end the loop."""
    while True:
        try:
            await step()
        except Exception:  # the loop is the last line of defence: whatever a step could not do, the next one tries
            _log.exception("background step failed", step=name)
        await pause(pause_seconds)
