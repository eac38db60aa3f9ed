"""The wire between worker and engine inside one process: gRPC's shapes, the real bytes, and no gRPC.

The worker's end looks like a channel of `grpc.aio`, the engine's end like the context of a handler. Each message is
encoded by one side and decoded by the other, and handed from the one's event loop to the other's. So it is on its way
only as a callback that is ready: an idle loop has nothing under way. A real socket could not say that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Self

import grpc
import grpc.aio

_END = object()


class Mailbox:
    """Messages for one event loop, put in on that loop; reading waits for the next, or for the end."""

    def __init__(self) -> None:
        self._messages: deque[Any] = deque()
        self._arrived = asyncio.Event()

    def put(self, message: Any) -> None:
        """Add a message."""
        self._messages.append(message)
        self._arrived.set()

    async def take(self) -> Any:
        """The next message; `_END` stays, whoever reads it."""
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        return self._messages[0] if self._messages[0] is _END else self._messages.popleft()


class ServerEnd:
    """The engine's end of one stream: what its handlers know as their context."""

    def __init__(self, line: Line, read: Callable[[bytes], Any]) -> None:
        self._line = line
        self._decode = read
        self.inbox = Mailbox()

    async def read(self) -> Any:
        """The next message, or gRPC's mark of the end."""
        data = await self.inbox.take()
        return grpc.aio.EOF if data is _END else self._decode(data)  # type: ignore[attr-defined]  # missing in its stub

    async def write(self, message: Any) -> None:
        """Send a message; it is encoded here."""
        self._line.to_worker(message.SerializeToString())

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call with an error."""
        raise CallAborted(code, details)


class CallAborted(Exception):
    """A handler refused its call."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class Line:
    """One stream from the worker's end to the engine's. `cut` may be called on either loop.

    Args:
        worker_loop: where the worker reads.
        engine_loop: where the engine does.
    """

    def __init__(self, worker_loop: asyncio.AbstractEventLoop, engine_loop: asyncio.AbstractEventLoop) -> None:
        self._worker_loop = worker_loop
        self._engine_loop = engine_loop
        self.is_cut = False
        self.worker_inbox = Mailbox()
        self.server: ServerEnd

    def to_worker(self, data: Any) -> None:
        """Hand bytes, or the end, to the worker's loop."""
        if not self.is_cut:
            _hand_over(self._worker_loop, self.worker_inbox.put, data)

    def to_engine(self, data: Any) -> None:
        """Hand bytes, or the end, to the engine's loop."""
        if not self.is_cut:
            _hand_over(self._engine_loop, self._arrive, data)

    def _arrive(self, data: Any) -> None:
        # Asked again: what was on its way when the line was cut never arrives.
        if not self.is_cut:
            self.server.inbox.put(data)

    def cut(self) -> None:
        """Both ends see the end, and nothing that was not read yet."""
        if not self.is_cut:
            self.is_cut = True
            _hand_over(self._worker_loop, self.worker_inbox.put, _END)
            _hand_over(self._engine_loop, self.server.inbox.put, _END)


def _hand_over(loop: asyncio.AbstractEventLoop, call: Callable[[Any], None], data: Any) -> None:
    try:
        loop.call_soon_threadsafe(call, data)
    except RuntimeError:
        return  # that loop is closed: its side is gone, and the other one is told by whoever ended it


class WorkerChannel:
    """What the worker takes for a channel. `connect` makes a line to the engine, waiting until there is one."""

    def __init__(self, connect: Callable[[asyncio.AbstractEventLoop], asyncio.Future[Line]]) -> None:
        self._connect = connect

    def stream_stream(self, _method: str) -> Callable[..., WorkerCall]:
        """As a channel's: a function that begins the call."""

        def begin(metadata: object = None) -> WorkerCall:
            return WorkerCall(self._connect(asyncio.get_running_loop()))

        return begin

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Nothing is held: the call is ended by whoever began it."""


class WorkerCall:
    """The worker's end of one stream, as a call of `grpc.aio`."""

    def __init__(self, connecting: asyncio.Future[Line]) -> None:
        self._connecting = connecting

    async def write(self, data: bytes) -> None:
        (await self._connecting).to_engine(data)

    async def read(self) -> bytes:
        """The next message; empty at the end, as gRPC's mark of it counts as false too."""
        data = await (await self._connecting).worker_inbox.take()
        return b"" if data is _END else data

    async def done_writing(self) -> None:
        (await self._connecting).to_engine(_END)

    def cancel(self) -> None:
        """End the stream at once."""
        if not self._connecting.done():
            self._connecting.cancel()
        elif not self._connecting.cancelled():
            self._connecting.result().cut()
