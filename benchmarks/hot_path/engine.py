"""The yardstick's engine: the hot path of a durable workflow engine, and nothing else.

It shows what grpc.aio, msgspec, redis-py and one Python process allow on this machine at this moment, so that Tenuto's
figures can be read as a ratio. It has the five ideas that make a hot path fast (one stream, group commit, results
stored while the turn they wake already runs, live instances, encoding once) and one fence; it has no leases, inbox,
timers, recovery, limits, checks or metrics. Nothing may be built on it.

Usage: `engine.py REDIS_PORT LISTEN_ADDRESS`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import msgspec
import redis.asyncio
import uvloop

encode = msgspec.msgpack.encode
decode = msgspec.msgpack.decode

FENCE = "yardstick:{0}:lease"
SCRIPT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED') end
redis.call('HSET', KEYS[2], unpack(ARGV, 2))
return 1
"""


@dataclass
class Instance:
    """One running chain: how many records it has, and who waits for its end."""

    done: asyncio.Future[None]
    records: int = 1


@dataclass
class Turn:
    """Records to write for one instance, and what may happen once they are durable."""

    instance_id: str
    fields: list[str | bytes]
    then: Callable[[], None]


@dataclass
class Engine:
    """Instances in memory, records in Redis."""

    client: redis.asyncio.Redis
    instances: dict[str, Instance] = field(default_factory=dict)
    outgoing: asyncio.Queue[list[Any]] = field(default_factory=asyncio.Queue)
    turns: asyncio.Queue[Turn] = field(default_factory=asyncio.Queue)

    async def commit_for_ever(self) -> None:
        """Write whatever is queued as one pipeline; what arrives meanwhile leaves together in the next one."""
        await self.client.set(FENCE, "7")
        sha = await self.client.script_load(SCRIPT)
        while True:
            batch = await drain(self.turns)
            pipeline = self.client.pipeline(transaction=False)
            for turn in batch:
                key = f"yardstick:{{0}}:{turn.instance_id}"
                pipeline.execute_command("EVALSHA", sha, 2, FENCE, key, "7", *turn.fields)
            await pipeline.execute()
            for turn in batch:
                turn.then()

    def commit(self, instance_id: str, records: list[Any], then: Callable[[], None]) -> None:
        """Queue the records of one turn."""
        instance = self.instances[instance_id]
        fields: list[str | bytes] = []
        for record in records:
            instance.records += 1
            fields += [f"history-{instance.records:06d}", encode(record)]
        fields += ["metadata", encode([instance.records])]
        self.turns.put_nowait(Turn(instance_id, fields, then))

    async def run(self, request: bytes, _context: Any) -> bytes:
        """Start a chain, and answer when it has ended."""
        instance_id, length = decode(request)
        instance = Instance(asyncio.get_running_loop().create_future())
        self.instances[instance_id] = instance
        item = ["turn", instance_id, [["start", length]]]
        self.commit(instance_id, [["started", length]], lambda: self.outgoing.put_nowait(item))
        await instance.done
        return b""

    async def stream(self, incoming: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        """Take the app's answers and send it work, many messages at a time."""
        reading = asyncio.get_running_loop().create_task(self.read(incoming))
        try:
            while True:
                yield encode(await drain(self.outgoing))
        finally:
            reading.cancel()

    async def read(self, incoming: AsyncIterator[bytes]) -> None:
        """Take the app's answers."""
        async for message in incoming:
            for answer in decode(message):
                if answer[0] == "turn":
                    self.take_actions(answer[1], answer[2])
                else:
                    self.take_result(answer[1], answer[2], answer[3])

    def take_actions(self, instance_id: str, actions: list[Any]) -> None:
        """Record what a turn asked for; do it once that is durable."""

        def act() -> None:
            for action in actions:
                if action[0] == "done":
                    self.instances.pop(instance_id).done.set_result(None)
                else:
                    self.outgoing.put_nowait(["activity", instance_id, action[1], action[2]])

        self.commit(instance_id, actions, act)

    def take_result(self, instance_id: str, number: int, result: int) -> None:
        """Record a result, and let the turn that it wakes run meanwhile."""
        self.commit(instance_id, [["result", number, result]], lambda: None)
        self.outgoing.put_nowait(["turn", instance_id, [["result", number, result]]])


async def drain(queue: asyncio.Queue[Any]) -> list[Any]:
    """Wait for one entry and take all there are."""
    found = [await queue.get()]
    while not queue.empty():
        found.append(queue.get_nowait())
    return found


async def main(redis_port: int, address: str) -> None:
    """Serve until killed."""
    engine = Engine(redis.asyncio.Redis(port=redis_port))
    server = grpc.aio.server()
    handlers = {
        "Stream": grpc.stream_stream_rpc_method_handler(engine.stream),
        "Run": grpc.unary_unary_rpc_method_handler(engine.run),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("HotPath", handlers),))
    server.add_insecure_port(address)
    await server.start()
    print("ready", flush=True)
    await engine.commit_for_ever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
