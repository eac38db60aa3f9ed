"""Calls of an asynchronous client, many at a time over one stream.

A unary RPC costs a few hundred microseconds of processor time in each process, most of it in gRPC itself. Here whatever
is ready travels in one message, so that a client with many calls open pays a small part of that for each. The stream is
opened with the first call, and opened again by the first call after its loss; calls open at the loss fail as
UNAVAILABLE, and their callers repeat them as they would any other.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio

from tenuto._wire.multiplex import CALLS_METHOD, MalformedAnswers, decode_answers, encode_calls

Metadata = tuple[tuple[str, str], ...] | None

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_BATCH: Final = 500
_BATCH_BYTES: Final = 8 << 20
# Deadlines are looked at this often: precise enough for calls that take seconds to time out, and free for all others.
_SWEEP_SECONDS: Final = 0.25
_FAREWELL_SECONDS: Final = 1.0


class CallStream:
    """The stream of one client. All methods run on the client's event loop.

    Args:
        channel: an open `grpc.aio` channel, which stays the caller's.
    """

    def __init__(self, channel: Any) -> None:
        self._open_call = channel.stream_stream(CALLS_METHOD)
        self._ids = itertools.count(1)
        self._pending: dict[int, tuple[asyncio.Future[bytes], float]] = {}
        self._outgoing: list[tuple[int, str, bytes]] = []
        self._ready = asyncio.Event()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._call: Any = None

    async def invoke(self, method: str, request: bytes, *, timeout_s: float, metadata: Metadata) -> bytes:
        """Send one call and wait for its answer.

        Args:
            method: name of a unary method, without its service.
            request: encoded.
            timeout_s: seconds until the call fails as DEADLINE_EXCEEDED.
            metadata: sent when the stream is opened.

        Raises:
            grpc.aio.AioRpcError: the engine's error, or the loss of the stream.
        """
        loop = asyncio.get_running_loop()
        if self._call is None:
            self._open(metadata)
        call_id = next(self._ids)
        answer: asyncio.Future[bytes] = loop.create_future()
        self._pending[call_id] = (answer, loop.time() + timeout_s)
        self._outgoing.append((call_id, method, request))
        self._ready.set()
        try:
            return await answer
        finally:
            self._pending.pop(call_id, None)

    async def close(self) -> None:
        """End the stream; calls still open fail as CANCELLED.

        The engine is told and its end awaited: gRPC's last events must find this loop still open, or they are
        reported as errors on whichever other loop of the process polls for them.
        """
        call, tasks = self._call, self._tasks
        if call is not None:
            self._fail_pending(grpc.StatusCode.CANCELLED, "the client was closed")
            try:
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await call.done_writing()
                    await asyncio.wait(tasks[:1])
            except (TimeoutError, asyncio.InvalidStateError, grpc.RpcError):
                pass  # No engine to take leave of.
        self._lost(grpc.StatusCode.CANCELLED, "the client was closed")
        await asyncio.gather(*tasks, return_exceptions=True)

    def _open(self, metadata: Metadata) -> None:
        call = self._call = self._open_call(metadata=metadata)
        work: tuple[Callable[[Any], Awaitable[None]], ...] = (self._read, self._write, self._sweep)
        self._tasks = tuple(asyncio.ensure_future(self._guarded(part, call)) for part in work)

    async def _guarded(self, part: Callable[[Any], Awaitable[None]], call: Any) -> None:
        """Run one part of the stream; its failure is the failure of all open calls."""
        try:
            await part(call)
        except grpc.aio.AioRpcError as error:
            code, details = error.code(), error.details() or ""
        except (asyncio.InvalidStateError, MalformedAnswers) as error:
            code, details = grpc.StatusCode.UNAVAILABLE, str(error)
        else:
            code, details = grpc.StatusCode.UNAVAILABLE, "the engine closed the stream"
        if self._call is call:
            self._lost(code, details)

    def _lost(self, code: grpc.StatusCode, details: str) -> None:
        call, self._call = self._call, None
        for task in self._tasks:
            task.cancel()
        self._tasks = ()
        if call is not None:
            call.cancel()
        self._fail_pending(code, details)

    def _fail_pending(self, code: grpc.StatusCode, details: str) -> None:
        pending, self._pending = self._pending, {}
        self._outgoing.clear()
        for answer, _ in pending.values():
            if not answer.done():
                answer.set_exception(_error(code, details))

    async def _read(self, call: Any) -> None:
        while data := await call.read():
            for call_id, code, details, response in decode_answers(data):
                entry = self._pending.get(call_id)
                if entry is None or entry[0].done():
                    continue
                if code:
                    entry[0].set_exception(_error(_CODES.get(code, grpc.StatusCode.UNKNOWN), details))
                else:
                    entry[0].set_result(response)
        # The status of the call says why it ended; reading it raises where that is an error.
        if await call.code() is not grpc.StatusCode.OK:
            raise _error(await call.code(), await call.details() or "")

    async def _write(self, call: Any) -> None:
        while True:
            await self._ready.wait()
            await asyncio.sleep(0)  # calls made in this turn of the loop join the message
            self._ready.clear()
            while batch := self._next_batch():
                await call.write(encode_calls(batch))

    def _next_batch(self) -> list[tuple[int, str, bytes]]:
        """Take the calls of the next message: together they must stay far below the engine's limit of a message."""
        size, count = 0, 0
        for _, _, request in self._outgoing[:_BATCH]:
            size += len(request)
            if count and size > _BATCH_BYTES:
                break
            count += 1
        batch, self._outgoing = self._outgoing[:count], self._outgoing[count:]
        return batch

    async def _sweep(self, _call: Any) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            for answer, deadline in list(self._pending.values()):
                if deadline <= now and not answer.done():
                    answer.set_exception(_error(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time"))


def _error(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details, "")
