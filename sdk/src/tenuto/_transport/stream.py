"""The work stream over gRPC: one connection from its first message to its loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from tenuto._transport.client_channel import ClientSettings
from tenuto._wire.worker import (
    WORK_METHOD,
    Greeting,
    Incoming,
    Introduction,
    MalformedMessage,
    decode_message,
    encode_introduction,
)

# An engine answers a greeting at once; this long without one, it is stuck or is none.
_GREETING_SECONDS = 10.0


class StreamLost(ConnectionError):
    """The stream could not be opened or has ended; the text says why, for a log line."""


class WorkStream:
    """An open work stream. One task reads, one writes."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def close(self) -> None:
        """Ends the stream at once."""
        self._call.cancel()

    async def finish(self) -> None:
        """Says that nothing more will be written; the engine then ends the stream. Raises `StreamLost`."""
        try:
            await self._call.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError) as error:
            raise StreamLost(_reason(error)) from error

    async def read(self) -> Incoming:
        """The next message. Raises `StreamLost` at the stream's end, whatever ended it."""
        try:
            data = await self._call.read()
        except grpc.RpcError as error:
            raise StreamLost(_reason(error)) from error
        if not data:  # NB: both the end of the stream and an empty message, which no engine sends.
            raise StreamLost("the engine closed the stream")
        try:
            return decode_message(data)
        except MalformedMessage as error:
            raise StreamLost(str(error)) from error

    async def write(self, data: bytes) -> None:
        """Sends one message, waiting while the other side is busy. Raises `StreamLost`."""
        try:
            await self._call.write(data)
        except (grpc.RpcError, asyncio.InvalidStateError) as error:
            raise StreamLost(_reason(error)) from error


@asynccontextmanager
async def open_stream(
    settings: ClientSettings, introduction: Introduction
) -> AsyncGenerator[tuple[WorkStream, Greeting]]:
    """Connects, introduces the worker and waits for the engine's greeting; closes everything at exit.

    Raises:
        StreamLost: no engine answers there, or it refuses this worker.
    """
    async with settings.open_channel(settings.target, options=settings.options) as channel:
        stream = WorkStream(_open_call(channel, settings))
        try:
            yield stream, await _greet(stream, introduction)
        finally:
            stream.close()


def _open_call(channel: Any, settings: ClientSettings) -> Any:
    """Begins the call. Messages pass as bytes, because `_wire` encodes and decodes them."""
    return channel.stream_stream(WORK_METHOD)(metadata=settings.metadata())


async def _greet(stream: WorkStream, introduction: Introduction) -> Greeting:
    try:
        async with asyncio.timeout(_GREETING_SECONDS):
            await stream.write(encode_introduction(introduction))
            first = await stream.read()
    except TimeoutError:
        raise StreamLost(f"no greeting within {_GREETING_SECONDS:g} seconds") from None
    if first.greeting is None:
        raise StreamLost("the first message is no greeting: this is no Tenuto engine, or a much newer one")
    return first.greeting


def _reason(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error) or type(error).__name__
