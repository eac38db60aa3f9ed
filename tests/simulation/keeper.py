"""The lease keeper's thread on virtual time.

The keeper blocks in its calls to the store, as it does in production, so it runs on a real thread; but the loop and the
thread pass one baton: exactly one of them runs at any moment, so every run of a seed is the same. While the keeper
waits for an answer, the loop goes on, the engine may be paused, and the lease may run out.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, cast

from tenuto_engine.runtime.leases import KeeperThread, LeaseKeeper


class Abandoned(BaseException):
    """The machine is gone: the thread unwinds without doing anything more."""


class Baton:
    """Runs one blocking function at a time on a thread, and carries its requests to the loop."""

    def __init__(self) -> None:
        self._to_thread = threading.Semaphore(0)
        self._to_loop = threading.Semaphore(0)
        self._request: Callable[[], Any] | None = None
        self._answer: Any = None
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._abandoned = False
        self.is_inline = False

    def ask(self, send: Callable[[], Any]) -> Any:
        """On the thread: have the loop call `send`, wait for its future, and return the result."""
        if self._abandoned:
            raise Abandoned
        self._request = send
        self._to_loop.release()
        self._to_thread.acquire()
        if self._abandoned:
            raise Abandoned
        return self._answer

    async def run(self, function: Callable[[], Any], *, inline: bool) -> Any:
        """On the loop: run a function that may ask, and return its result. `inline`: it is answered at once instead."""
        if inline:
            self.is_inline = True
            try:
                return function()
            finally:
                self.is_inline = False
        self._result, self._error, self._request = None, None, None
        context = copy_context()

        def work() -> None:
            try:
                self._result = context.run(function)
            except BaseException as error:  # handed to the loop, whatever it is
                self._error = error
            self._request = None
            self._to_loop.release()

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        self._to_loop.acquire()
        while (request := self._pending()) is not None:
            self._answer = await request()
            self._to_thread.release()
            self._to_loop.acquire()
        self._thread.join()
        self._thread = None
        if self._error is not None:
            raise self._error
        return self._result

    def _pending(self) -> Callable[[], Any] | None:
        return self._request

    def abandon(self) -> None:
        """End a thread that waits for an answer which will not come."""
        self._abandoned = True
        if self._thread is not None:
            self._to_thread.release()
            self._thread.join()


class SimKeeperThread(KeeperThread):
    """Runs the real keeper's rounds by a task on virtual time.

    `is_calm` says whether a round may be answered at once: most are, while nothing disturbs the network, for switching
    threads costs more than all else.
    """

    def __init__(self, keeper: LeaseKeeper, *, baton: Baton, is_calm: Callable[[], bool]) -> None:
        self._keeper = keeper
        self._baton = baton
        self._is_calm = is_calm
        self._wake = asyncio.Event()
        self._keeper.wake = cast(threading.Event, self._wake)
        self._ended = asyncio.Event()
        self._is_stopping = False

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._serve(), name="lease-keeper")

    async def stop(self) -> None:
        self._is_stopping = True
        self._wake.set()
        await self._ended.wait()

    async def _serve(self) -> None:
        while not self._is_stopping:
            pause = await self._baton.run(self._keeper.step, inline=self._is_calm())
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                await asyncio.sleep(0.01)
            except TimeoutError:
                pass
            self._wake.clear()
        await self._baton.run(self._keeper.close, inline=False)
        self._ended.set()
