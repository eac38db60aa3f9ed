"""A way between two processes that can be cut, delayed, blocked in one direction, or made to lose replies.

It carries bytes between unix sockets or loopback ports, on the loop of whoever made it.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Place:
    """Where to listen or connect: a unix socket's path, or a port of the loopback (0: a free one)."""

    path: str = ""
    port: int = 0


@dataclass
class Wire:
    """One way; `target` is where it leads.

    Attributes:
        blocks_up: what comes from the client goes nowhere, and is delivered once this ends.
        blocks_down: the same for what the server answers.
        delay_s: each piece waits so long, in both directions; seconds.
        loses_replies: requests arrive, and the connection breaks before the answer.
        is_cut: connections break, and new ones are refused.
    """

    listen: Place
    target: Place
    blocks_up: bool = False
    blocks_down: bool = False
    delay_s: float = 0.0
    loses_replies: bool = False
    is_cut: bool = False
    connections: int = 0
    _server: asyncio.Server | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _carriers: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])
    _writers: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    async def start(self) -> None:
        if self.listen.path:
            self._server = await asyncio.start_unix_server(self._connected, self.listen.path)
        else:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.listen.port)

    @property
    def place(self) -> Place:
        """Where it listens."""
        if self.listen.path:
            return self.listen
        assert self._server is not None
        return Place(port=self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self.heal()
        if self._server is not None:
            self._server.close()
        self.break_all()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    def heal(self) -> None:
        """End every fault; what was held back goes on."""
        self.blocks_up = self.blocks_down = self.loses_replies = self.is_cut = False
        self.delay_s = 0.0
        self._changed.set()
        self._changed = asyncio.Event()

    def break_all(self) -> None:
        """Break the connections there are."""
        for writer in list(self._writers):
            transport = writer.transport
            transport.abort()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrier = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._carriers.add(carrier)
        carrier.add_done_callback(self._carriers.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        self.connections += 1
        try:
            if self.target.path:
                there_in, there_out = await asyncio.open_unix_connection(self.target.path)
            else:
                there_in, there_out = await asyncio.open_connection("127.0.0.1", self.target.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there_out}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, there_out, is_up=True))
                tasks.create_task(self._pump(there_in, writer, is_up=False))
        finally:
            self._writers -= {writer, there_out}

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_up: bool) -> None:
        """Carry one direction until either side ends, and end the other with it."""
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if self.loses_replies and not is_up:
                    break
                while self.blocks_up if is_up else self.blocks_down:
                    await self._changed.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                sink.write(data)
                await sink.drain()
        if self.loses_replies:
            self.break_all()
        sink.close()
