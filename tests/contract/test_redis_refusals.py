"""Servers that refuse: disk full, busy, crowded, emptied, gone back. Nothing is half-written, and all goes on after."""

from __future__ import annotations

import asyncio
import resource
import shutil
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from contract.dumps import dump
from contract.redis_worlds import opened
from contract.test_redis_faults import fill
from contract.worlds import FAR_MS, SHARDS, message, new_instance
from faulty import until
from servers import RedisServer
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease
from tenuto_engine.ports.operations import Create
from tenuto_engine.ports.outcomes import Appended, Committed, Conflict, Created, Fenced, Rejected, Unconfirmed

NewRedis = Callable[..., RedisServer]


async def test_a_full_disk_refuses_whole_operations(new_redis: NewRedis) -> None:
    """While the append-only file cannot grow (MISCONF) nothing is written; with room again all works.

    The server may not let its files grow, which is the same error to it as a full disk, and needs no file system.
    """
    server = new_redis()
    async with opened(server.url) as world:
        growing, shrinking = await fill(world)
        await until(lambda: server.info("persistence")["aof_pending_bio_fsync"] == 0, "all is written")
        before = await dump(world.store, shards=SHARDS)
        _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, most))
        server.ask("PUBLISH", "any", "thing")
        await world.do(Create(0, new_instance("order-9")))  # it is in memory, and its second would be lost (D1)
        await until(lambda: server.info("persistence")["aof_last_write_status"] == "err", "the server noticed")
        after = await dump(world.store, shards=SHARDS)
        for operation in [*growing, *shrinking]:
            outcome = await world.do(operation)
            assert isinstance(outcome, Rejected), outcome
            assert "AOF" in outcome.error
            assert await dump(world.store, shards=SHARDS) == after, operation
        with pytest.raises(StoreUnavailable):
            world.leases.acquire([1], version="", owner="me", lease_ms=FAR_MS)
        assert before.keys() == after.keys()
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))
        await until(lambda: server.info("persistence")["aof_last_write_status"] == "ok", "the server recovered")
        assert isinstance(await world.do(growing[0]), Created)
        assert isinstance(await world.do(growing[3]), Committed)


async def test_a_failed_snapshot_refuses_whole_operations(new_redis: NewRedis) -> None:
    """A server that could not save, and stops writes for it (MISCONF): refused until it could."""
    server = new_redis(save="3600 1", stop_writes_on_bgsave_error="yes")
    async with opened(server.url) as world:
        await world.create()
        _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        server.ask("CONFIG", "SET", "appendonly", "no")
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, most))
        server.ask("BGSAVE")
        await until(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "err", "the failed save")
        outcome = await world.append("refused")
        assert isinstance(outcome, Rejected)
        assert "MISCONF" in outcome.error or "snapshot" in outcome.error
        assert await world.inbox() == []
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))
        server.ask("BGSAVE")
        await until(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "ok", "a save")
        assert await world.append("accepted") == Appended(0)


async def test_a_busy_script_refuses(new_redis: NewRedis) -> None:
    """While somebody's script runs on (BUSY), operations are refused, not executed later; then all goes on."""
    server = new_redis(lua_time_limit="1")
    async with opened(server.url) as world:
        await world.create()
        busy = asyncio.get_running_loop().run_in_executor(None, run_on, server)
        await until(lambda: is_busy(server), "the script runs on")
        outcome = await world.append("refused")
        assert isinstance(outcome, Rejected)
        assert "busy" in outcome.error.lower()
        with pytest.raises(StoreUnavailable):
            world.leases.members()
        with pytest.raises(StoreUnavailable):
            await world.stored()
        server.ask("SCRIPT", "KILL")
        await busy
        assert await world.append("accepted") == Appended(0)
        assert [text for _, text in await world.inbox()] == ["accepted"]


def run_on(server: RedisServer) -> None:
    """Run a script that ends when it is killed."""
    with pytest.raises(redis.ResponseError):
        server.ask("EVAL", "while true do end", 0)


def is_busy(server: RedisServer) -> bool:
    try:
        server.ask("PING")
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


async def test_an_emptied_store_is_noticed_by_its_leases(new_redis: NewRedis) -> None:
    """FLUSHALL: the owner is fenced, what was there is gone whole, the layout is written anew, and work goes on."""
    server = new_redis()
    async with opened(server.url) as world:
        await world.create()
        stale = await world.next_commit(history=[b"h"])
        server.ask("FLUSHALL")
        assert await world.do(stale) == Fenced()
        assert await world.store.read_instance(0, "order-1") is None
        assert world.leases.renew([world.held[0, ""]], lease_ms=FAR_MS) == [False]
        (lease,) = world.leases.acquire([0], version="", owner="me", lease_ms=FAR_MS)
        assert isinstance(lease, Lease)
        assert await world.do(stale) == Fenced(), "the token is another one, though the epoch is the same"
        world.held[0, ""] = lease
        assert await world.do(Create(0, new_instance())) == Created(ready=False)
        await world.commit(history=[b"h"])
        assert server.ask("EXISTS", world.redis._keys.layout) == 1


async def test_a_crowded_server_refuses_until_there_is_room(new_redis: NewRedis) -> None:
    """Without a free connection (maxclients) operations are refused at once, and accepted when one is free."""
    server = new_redis(maxclients="32")
    async with opened(server.url) as world:
        await world.create()
        with ExitStack() as others:
            server.ask("CLIENT", "KILL", "TYPE", "normal")
            crowd(server, others)
            outcome = await world.append("refused")
            if isinstance(outcome, Unconfirmed):  # the closed connection was noticed only by its use
                outcome = await world.append("refused")
            assert isinstance(outcome, Rejected)
            with pytest.raises(StoreUnavailable):
                world.leases.members()
        await until(lambda: server.info("clients")["connected_clients"] < 20, "room")
        assert isinstance(await world.append("accepted"), Appended)
        assert world.leases.members() == []


def crowd(server: RedisServer, others: ExitStack) -> None:
    """Take all connections that there are."""
    for _ in range(64):
        guest = others.enter_context(socket.socket(socket.AF_UNIX))
        guest.connect(str(server.socket))
        try:
            guest.sendall(b"PING\r\n")
            answer = guest.recv(100)
        except OSError:
            return
        if not answer.startswith(b"+PONG"):
            return


async def test_a_server_that_lost_its_last_second_is_another_incarnation(new_redis: NewRedis) -> None:
    """It went back to an earlier moment, whole: what was committed since does not go on top of it."""
    server = new_redis()
    async with opened(server.url) as world:
        await world.create(messages=[message("m")])
        await world.commit(history=[b"kept"])
        before = world.redis.incarnation()
        kept = copy_of_files(server)
        await world.commit(history=[b"lost"], consumed=[0])
        onward = await world.next_commit(history=[b"on top of it"])
        server.kill()
        restore(server, kept)
        await asyncio.to_thread(server.start)
        outcome = await world.do(onward)
        if isinstance(outcome, Unconfirmed | Rejected):
            outcome = await world.do(onward)
        assert outcome == Conflict("commit", "commit-1")
        assert world.redis.incarnation() != before
        assert await world.history() == [b"kept"]
        assert await world.inbox() == [(0, "m")]
        assert await world.ready() == ["order-1"]


def copy_of_files(server: RedisServer) -> Path:
    """What is on the disk now, with all that was answered so far."""
    kept = server.directory.with_name("kept")
    shutil.copytree(server.directory, kept, ignore=shutil.ignore_patterns("*.sock"))
    return kept


def restore(server: RedisServer, kept: Path) -> None:
    shutil.rmtree(server.directory)
    shutil.copytree(kept, server.directory)


async def test_a_server_stopped_beyond_the_timeout_answers_nothing_twice(new_redis: NewRedis) -> None:
    """What was sent into a stopped server is unknown; it may happen when it goes on, and a repetition tells."""
    server = new_redis()
    async with opened(server.url, timeout_s=0.3) as world:
        await world.create()
        commit = await world.next_commit(history=[b"once"])
        server.pause()
        assert isinstance(await world.do(commit), Unconfirmed)
        assert isinstance(await world.append("refused"), Rejected), "a new connection is not answered either"
        with pytest.raises(StoreUnavailable):
            world.leases.members()
        server.resume()
        await world.must(Committed, commit)
        assert await world.history() == [b"once"]
        assert await world.inbox() == []
