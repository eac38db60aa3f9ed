"""The tools of the chaos run do what their names say: a fault that does not happen would prove nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chaos.faults import LOSSY_FAULTS, PAIR_FAULTS, STORE_FAULTS, make_schedule
from chaos.stores import RedisStoreServer
from chaos.wires import Place, Wire
from engines import short_folder


def test_a_seed_gives_the_same_schedule_again() -> None:
    """The schedule follows from the seed, in order, and another seed gives another."""
    made = [make_schedule(seed, seconds=600, pairs=3, lease_s=2) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert [fault.at_s for fault in made[0]] == sorted(fault.at_s for fault in made[0])


def test_a_long_schedule_has_every_fault() -> None:
    """Each kind happens, the loss of a second only where it was asked for; some pauses outlast the lease."""
    faults = make_schedule(1, seconds=3_600, pairs=3, lease_s=2)
    assert {fault.kind for fault in faults} == {*PAIR_FAULTS, *STORE_FAULTS}
    lossy = make_schedule(1, seconds=3_600, pairs=3, lease_s=2, is_lossy=True)
    assert {fault.kind for fault in lossy} == {*PAIR_FAULTS, *STORE_FAULTS, *LOSSY_FAULTS}
    pauses = [fault.seconds for fault in faults if fault.kind == "pause-engine"]
    assert min(pauses) < 2 < max(pauses)


class Echo:
    """A server that answers each line with itself, and counts what arrived."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.heard = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            self.lines.append(line)
            self.heard.set()
            writer.write(line)
        writer.close()
        self.left.set()


@asynccontextmanager
async def wired() -> AsyncIterator[tuple[Echo, Wire, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server, a wire to it, and a connection over that."""
    with short_folder() as folder:
        echo = Echo()
        server = await asyncio.start_unix_server(echo.serve, f"{folder}/s")
        wire = Wire(Place(path=f"{folder}/w"), Place(path=f"{folder}/s"))
        await wire.start()
        reader, writer = await asyncio.open_unix_connection(f"{folder}/w")
        yield echo, wire, reader, writer
        writer.transport.abort()
        await wire.close()
        await echo.left.wait()
        server.close()


async def test_a_blocked_direction_delivers_later() -> None:
    """What is held back arrives once the block ends, in order; the other direction goes on meanwhile."""
    async with wired() as (echo, wire, reader, writer):
        wire.blocks_down = True
        writer.write(b"one\n")
        await echo.heard.wait()
        assert echo.lines == [b"one\n"]
        wire.heal()
        assert await reader.readline() == b"one\n"
        wire.blocks_up = True
        writer.write(b"two\n")
        await writer.drain()
        assert echo.lines == [b"one\n"]
        wire.heal()
        assert await reader.readline() == b"two\n"


async def test_lost_replies_break_the_connection_after_the_request_arrived() -> None:
    """The server has the request; the client sees the end instead of an answer."""
    async with wired() as (echo, wire, reader, writer):
        wire.loses_replies = True
        writer.write(b"one\n")
        with pytest.raises((ConnectionError, AssertionError)):
            assert await reader.readline() == b"one\n"
        assert echo.lines == [b"one\n"]


async def test_a_cut_wire_breaks_and_refuses() -> None:
    """Connections break, new ones end at once, and after healing they work."""
    async with wired() as (_, wire, reader, _writer):
        wire.is_cut = True
        wire.break_all()
        with pytest.raises((ConnectionError, AssertionError)):
            assert await reader.readline() == b"never"
        again, writer = await asyncio.open_unix_connection(wire.listen.path)
        with pytest.raises((ConnectionError, AssertionError)):
            assert await again.readline() == b"never"
        writer.close()
        wire.heal()
        again, writer = await asyncio.open_unix_connection(wire.listen.path)
        writer.write(b"back\n")
        assert await again.readline() == b"back\n"
        writer.transport.abort()


@pytest.mark.parametrize("release", ["redis-6.2", "redis-8"])
def test_a_store_loses_its_last_second_and_no_more(tmp_path: Path, release: str) -> None:
    """What was written long before the loss is there afterwards, what came just before it is not."""
    store = RedisStoreServer(tmp_path / "store", is_lossy=True, release=release)
    store.start()
    with store._server.client() as client:
        client.set("old", "1")
        store.wait_until_old()
        client.set("new", "1")
    store.lose_second()
    store.heal()
    with store._server.client() as client:
        assert (client.get("old"), client.get("new")) == (b"1", None)
    store.stop()
