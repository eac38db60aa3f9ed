"""Where the worker of an environment runs: on a thread of its own, or on the loop of an asynchronous test.

It is the worker of every application. A crash drops it where it stands, with its live instances and the results it has
not delivered, and puts another one in its place.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Protocol

from tenuto._worker.worker import Worker


class Home(Protocol):
    """Keeps one worker, or none. All but `stop` may be called from any thread."""

    def begin(self) -> None:
        """Put a new worker in the place of the one that was there, if any, which ends at once."""
        ...

    def leave(self) -> None:
        """End the worker at once; nobody takes its place."""
        ...


class LoopHome:
    """A worker on a loop that others run.

    Args:
        make_worker: called on that loop.
        loop: the loop.
        on_end: called with what ended a worker that nobody told to end.
    """

    def __init__(
        self,
        make_worker: Callable[[], Worker],
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[BaseException], None],
    ) -> None:
        self._make_worker = make_worker
        self._loop = loop
        self._on_end = on_end
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        self._call(self._replace)

    def leave(self) -> None:
        self._call(self._end)

    async def stop(self) -> None:
        """End the worker and wait for that. Called on the loop."""
        tasks = list(self._tasks)
        self._end()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call(self, function: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: there is nothing left to crash
            self._loop.call_soon_threadsafe(function)

    def _replace(self) -> None:
        self._end()
        # This home is its owner, and waits for it in `stop`.
        task = self._loop.create_task(self._work(), name="tenuto-test-worker")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _work(self) -> None:
        await self._make_worker().run()

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_end(error)


class ThreadHome:
    """A worker on a thread and a loop of its own."""

    def __init__(self, make_worker: Callable[[], Worker], on_end: Callable[[BaseException], None]) -> None:
        self._ready: Future[LoopHome] = Future()
        self._make_worker = make_worker
        self._on_end = on_end
        self._stopped: asyncio.Event
        # A daemon: workflow code that never returns must not keep the test run from ending.
        self._thread = threading.Thread(target=self._run, name="tenuto-test-worker", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        self._ready.result().begin()

    def leave(self) -> None:
        self._ready.result().leave()

    def stop(self, patience_s: float) -> bool:
        """End the worker and its thread; False where its code does not let it within so many seconds."""
        home = self._ready.result()
        with suppress(RuntimeError):
            home._loop.call_soon_threadsafe(self._stopped.set)  # pyright: ignore[reportPrivateUsage]  # its own part
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        home = LoopHome(self._make_worker, asyncio.get_running_loop(), self._on_end)
        self._ready.set_result(home)
        await self._stopped.wait()
        await home.stop()
