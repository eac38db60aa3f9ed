"""Many management calls over one stream: whatever is ready travels together, so a call costs a fraction of an RPC.

Calls run side by side; answers go out as they are ready. A client that opens more calls than the bound is read no
further until some are answered, so it cannot fill this engine's memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from google.protobuf.message import DecodeError

from tenuto_engine.edge.errors import status_of
from tenuto_engine.edge.handlers import END_OF_STREAM, CallContext, refuse_malformed
from tenuto_engine.ports.errors import EngineError
from tenuto_proto.v1 import management_pb2 as pb

_log = structlog.get_logger(__name__)

MAX_OPEN_CALLS = 10_000
_UNIMPLEMENTED = 12
_INTERNAL = 13
_INVALID_ARGUMENT = 3
_BATCH = 500
_BATCH_BYTES = 8 << 20

Method = tuple[Callable[[Any], Awaitable[Any]], type[Any]]


class CallStream:
    """One client's stream of calls."""

    def __init__(self, methods: Mapping[str, Method], context: CallContext) -> None:
        self._methods = methods
        self._context = context
        self._answers: list[tuple[int, int, str, bytes]] = []
        self._ready = asyncio.Event()
        self._slots = asyncio.Semaphore(MAX_OPEN_CALLS)

    async def serve(self) -> None:
        """Take and answer calls until the client ends the stream."""
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self._write())
            calls: set[asyncio.Task[None]] = set()
            while (batch := await self._context.read()) is not END_OF_STREAM:
                await refuse_malformed(batch, self._context)
                for call in batch.calls:
                    await self._slots.acquire()
                    task = group.create_task(self._answer(call.id, call.method, call.request))
                    calls.add(task)
                    task.add_done_callback(calls.discard)
            for task in calls:
                task.cancel()
            writer.cancel()

    async def _answer(self, call_id: int, method: str, request: bytes) -> None:
        code, details, response = 0, "", b""
        try:
            known = self._methods.get(method)
            if known is None:
                code, details = _UNIMPLEMENTED, f"there is no method '{method}' to call over a stream"
            else:
                run, message = known
                response = (await run(message.FromString(request))).SerializeToString()
        except EngineError as error:
            code, details = status_of(error).value[0], str(error)
        except DecodeError as error:
            code, details = _INVALID_ARGUMENT, f"the request of {method} cannot be read: {error}"
        except Exception:  # a fault of ours ends one call, not the stream and all others on it
            _log.exception("a call failed unexpectedly", method=method)
            code, details = _INTERNAL, f"{method} failed unexpectedly; the engine's log says why"
        self._answers.append((call_id, code, details, response))
        self._ready.set()

    async def _write(self) -> None:
        while True:
            await self._ready.wait()
            await asyncio.sleep(0)  # answers that become ready in this turn of the loop join the message
            self._ready.clear()
            while self._answers:
                batch = self._next_batch()
                await self._context.write(batch)
                for _ in batch.answers:  # only now: a client that does not read must not fill this engine's memory
                    self._slots.release()

    def _next_batch(self) -> pb.AnswerBatch:
        """Take the answers of the next message: together they must stay far below the client's limit of a message."""
        batch = pb.AnswerBatch()
        size, count = 0, 0
        for call_id, code, details, response in self._answers[:_BATCH]:
            size += len(response)
            if count and size > _BATCH_BYTES:
                break
            batch.answers.add(id=call_id, code=code, details=details, response=response)
            count += 1
        del self._answers[:count]
        return batch
