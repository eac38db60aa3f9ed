"""A worker in a thread of its own, for programs that are not asynchronous."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from tenuto._worker.worker import Worker

_log = logging.getLogger("tenuto.worker")


class WorkerThread:
    """Runs a worker on a thread with an event loop of its own.

    Args:
        make_worker: called on that loop.
    """

    def __init__(self, make_worker: Callable[[], Worker]) -> None:
        self._make_worker = make_worker
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._failure: BaseException | None = None
        self._begun = threading.Event()
        # A daemon: a program that ends without stopping it must end, and loses nothing that the engine does not know.
        self._thread = threading.Thread(target=self._run, name="tenuto-worker", daemon=True)

    def start(self) -> None:
        """Begins to serve. Raises what making the worker raised."""
        self._thread.start()
        self._begun.wait()
        if self._worker is None and self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Drains the worker and waits until it has stopped."""
        loop, worker = self._loop, self._worker
        if loop is not None and worker is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # The loop may end in this very moment.
                loop.call_soon_threadsafe(worker.stop)
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        except BaseException as error:  # Nothing may end this thread without a word in the log.
            self._failure = error
            _log.critical("the worker ended by a fault; this process serves nothing any more", exc_info=error)
        finally:
            self._begun.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._worker = self._make_worker()
        self._begun.set()
        await self._worker.run()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
