"""Nudges arrive at those who listen, and only there; a lost connection is made again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from faulty import until
from servers import PostgresServer, RedisServer
from tenuto_engine.ports.notifier import Notifier
from tenuto_engine.storage.memory import MemoryNotifier, MemoryState
from tenuto_engine.storage.postgres import PostgresNotifier
from tenuto_engine.storage.redis import RedisNotifier


@asynccontextmanager
async def _running(notifier: Notifier, *topics: str) -> AsyncIterator[list[tuple[str, bytes]]]:
    """A notifier at work, and what it hears."""
    heard: list[tuple[str, bytes]] = []
    notifier.listen(topics)
    task = asyncio.get_running_loop().create_task(notifier.run(lambda topic, body: heard.append((topic, body))))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _heard(sender: Notifier, heard: list[tuple[str, bytes]], topic: str, body: bytes) -> None:
    """Publish until it arrives, as nudges sent before the other side listens are lost."""

    def arrived() -> bool:
        sender.publish(topic, body)
        return (topic, body) in heard

    await until(arrived, f"a nudge on {topic}")


async def _check(first: Notifier, second: Notifier) -> None:
    async with _running(first, "a", "b") as at_first, _running(second, "b") as at_second:
        await _heard(second, at_first, "a", b"1")
        await _heard(first, at_second, "b", b"2")
        await _heard(first, at_first, "b", b"3")
        assert "a" not in {topic for topic, _ in at_second}
        first.unlisten(["b"])
        second.listen(["c"])
        await _heard(first, at_second, "c", b"4")
        await _unheard(second, at_first, gone="b", kept="a")


async def _unheard(sender: Notifier, heard: list[tuple[str, bytes]], *, gone: str, kept: str) -> None:
    """Publish on both topics until one round comes with the kept one alone."""
    rounds = 0

    def passed_over() -> bool:
        nonlocal rounds
        last = str(rounds).encode()
        if (kept, last) in heard:
            if (gone, last) not in heard:
                return True
            rounds += 1
        sender.publish(gone, str(rounds).encode())
        sender.publish(kept, str(rounds).encode())
        return False

    await until(passed_over, f"a nudge on {kept} without one on {gone}")


async def test_nudges_in_memory() -> None:
    """Engines of one process hear one another."""
    state = MemoryState()
    await _check(MemoryNotifier(state=state), MemoryNotifier(state=state))


async def test_nudges_over_redis(redis_server: RedisServer) -> None:
    """Engines of one app hear one another, and nothing of another app."""
    first, second, other = (
        RedisNotifier(redis_server.url, app=app, key_prefix="nudges") for app in ("one", "one", "two")
    )
    async with _running(other, "a", "b", "c") as elsewhere:
        await _check(first, second)
        await _heard(other, elsewhere, "a", b"own")
        assert set(elsewhere) == {("a", b"own")}


async def test_nudges_go_on_after_the_server_did(new_redis: Callable[..., RedisServer]) -> None:
    """A server that was killed and started again carries nudges again, to the same topics."""
    server = new_redis()
    first, second = (RedisNotifier(server.url, app="one", key_prefix="nudges") for _ in range(2))
    async with _running(first, "a") as heard, _running(second):
        await _heard(second, heard, "a", b"before")
        server.kill()
        server.start()
        await _heard(second, heard, "a", b"after")


async def test_a_notifier_ends_while_its_topics_change(redis_server: RedisServer) -> None:
    """Told to end together with a change of topics, as when an engine hands its shards over and stops, it ends."""
    for _ in range(10):
        notifier = RedisNotifier(redis_server.url, app="one", key_prefix="ending")
        heard: list[bytes] = []
        notifier.listen(["a"])

        def hear(_topic: str, body: bytes, heard: list[bytes] = heard) -> None:
            heard.append(body)

        def arrived(sender: RedisNotifier = notifier, heard: list[bytes] = heard) -> bool:
            sender.publish("a", b"1")
            return bool(heard)

        task = asyncio.get_running_loop().create_task(notifier.run(hear))

        await until(arrived, "a nudge")
        notifier.unlisten(["a"])
        task.cancel()
        ended, _ = await asyncio.wait([task], timeout=20)
        assert ended, "the notifier goes on"


async def test_nudges_over_postgres(postgres_server: PostgresServer) -> None:
    """Engines of one app hear one another, and nothing of another app in the same database."""
    first, second, other = (
        PostgresNotifier(postgres_server.url, app=app, key_prefix="nudges") for app in ("one", "one", "two")
    )
    async with _running(other, "a", "b", "c") as elsewhere:
        await _check(first, second)
        await _heard(other, elsewhere, "a", b"own")
        assert set(elsewhere) == {("a", b"own")}


async def test_long_nudges_and_topics_over_postgres(postgres_server: PostgresServer) -> None:
    """A body beyond what one notification holds, and a topic beyond what a channel's name holds, arrive whole."""
    first, second = (PostgresNotifier(postgres_server.url, app="long", key_prefix="nudges") for _ in range(2))
    topic = "spill:" + "v" * 63
    async with _running(first, topic, 'a "b"') as heard, _running(second):
        await _heard(second, heard, topic, bytes(range(256)) * 100)
        await _heard(second, heard, topic, b"\0" * 20_000)
        await _heard(second, heard, 'a "b"', b"")


async def test_what_others_send_on_a_channel_ends_nothing(postgres_server: PostgresServer) -> None:
    """Any session of the database may send anything: it is passed over, and nudges go on."""
    notifier = PostgresNotifier(postgres_server.url, app="shop", key_prefix="tenuto")
    async with _running(notifier, "a") as heard:
        await _heard(notifier, heard, "a", b"1")
        with postgres_server.client() as client:
            for payload in (
                "",
                "nonsense",
                "1 0 A",
                "1 x y",
                "1 0 \u00fc",
                *(f"{number} 1 AAAA" for number in range(300)),
            ):
                client.execute("SELECT pg_notify(%s, %s)", [notifier._channel("a"), payload])
        await _heard(notifier, heard, "a", b"2")


async def test_nudges_go_on_after_postgres_did(new_postgres: Callable[..., PostgresServer]) -> None:
    """A server that was killed and started again carries nudges again, to the same topics."""
    server = new_postgres()
    first, second = (PostgresNotifier(server.url, app="one", key_prefix="nudges") for _ in range(2))
    async with _running(first, "a") as heard, _running(second):
        await _heard(second, heard, "a", b"before")
        server.kill()
        server.start()
        await _heard(second, heard, "a", b"after")
