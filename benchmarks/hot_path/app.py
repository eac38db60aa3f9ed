"""The yardstick's app and client, in one process: chains of activities that add one.

Usage: `app.py ENGINE_ADDRESS`. It reads one JSON object a line, `{"length": 10, "count": 100, "in_flight": 32}`, and
answers with how long all took, and how long each.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Generator
from typing import Any

import grpc
import grpc.aio
import msgspec
import uvloop

encode = msgspec.msgpack.encode
decode = msgspec.msgpack.decode
Chain = Generator[list[Any], int, int]


def chain(length: int) -> Chain:
    """The workflow."""
    value = 0
    for number in range(length):
        value = yield ["activity", number, value]
    return value


class App:
    """Live chains, and the stream to the engine."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        # The stubs ask for serializers, but without them bytes are sent as they are.
        untyped: Any = channel
        self._stream = untyped.stream_stream("/HotPath/Stream")()
        self._run = untyped.unary_unary("/HotPath/Run")
        self._chains: dict[str, Chain] = {}
        self._outgoing: asyncio.Queue[list[Any]] = asyncio.Queue()

    async def write(self) -> None:
        """Send whatever is queued as one message."""
        while True:
            messages = [await self._outgoing.get()]
            while not self._outgoing.empty():
                messages.append(self._outgoing.get_nowait())
            await self._stream.write(encode(messages))

    async def read(self) -> None:
        """Run turns and activities as they arrive."""
        while True:
            for item in decode(await self._stream.read()):
                if item[0] == "turn":
                    actions = [self.step(item[1], event) for event in item[2]]
                    self._outgoing.put_nowait(["turn", item[1], actions])
                else:
                    self._outgoing.put_nowait(["result", item[1], item[2], item[3] + 1])

    def step(self, instance_id: str, event: list[Any]) -> list[Any]:
        """Let a chain go on until it asks for something."""
        try:
            if event[0] == "start":
                self._chains[instance_id] = chain(event[1])
                return next(self._chains[instance_id])
            return self._chains[instance_id].send(event[2])
        except StopIteration as end:
            del self._chains[instance_id]
            return ["done", end.value]

    async def measure(self, length: int, count: int, in_flight: int) -> dict[str, Any]:
        """Run `count` chains, so many at a time."""
        free = asyncio.Semaphore(in_flight)
        latencies: list[float] = []

        async def one() -> None:
            async with free:
                began = time.perf_counter()
                await self._run(encode([uuid.uuid4().hex, length]))
                latencies.append(time.perf_counter() - began)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as clients:
            for _ in range(count):
                clients.create_task(one())
        return {"seconds": time.perf_counter() - began, "latencies": latencies}


async def main(address: str) -> None:
    """Answer requests until standard input ends."""
    async with grpc.aio.insecure_channel(address) as channel:
        app = App(channel)
        loop = asyncio.get_running_loop()
        requests = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
        async with asyncio.TaskGroup() as owner:
            tasks = [owner.create_task(app.write()), owner.create_task(app.read())]
            while line := await requests.readline():
                print(json.dumps(await app.measure(**json.loads(line))), flush=True)
            for task in tasks:
                task.cancel()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
