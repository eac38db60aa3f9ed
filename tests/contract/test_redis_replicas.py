"""Replicas that an answer waits for: durability D3 (WAITAOF) and `wait_replicas` (WAIT), with the count checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from contract.redis_worlds import RedisWorld, opened
from contract.worlds import message, new_instance
from faulty import until
from servers import RECENT_REDIS, REDIS_BINARIES, RedisServer, free_port
from tenuto_engine.core.status import Status
from tenuto_engine.ports.errors import DurabilityRefused
from tenuto_engine.ports.operations import Append, Create, Operation
from tenuto_engine.ports.outcomes import Appended, Created, Exists, Rejected, Unconfirmed

NewReplicated = Callable[..., list[RedisServer]]
recent = pytest.mark.parametrize("release", RECENT_REDIS)
every = pytest.mark.parametrize("release", sorted(REDIS_BINARIES))
# Shorter than the replicas' own timeout, so that a paused one still counts as connected.
SECONDS = 1.0


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[NewReplicated]:
    """Start a primary and its replicas, the primary first."""
    with ExitStack() as running:

        def start(release: str, replicas: int = 2, **settings: str) -> list[RedisServer]:
            chosen = {"appendfsync": "always", "repl_diskless_sync_delay": "0"} | settings
            servers = [
                RedisServer(tmp_path / f"{i}", release=release, port=str(free_port()), **chosen)
                for i in range(1 + replicas)
            ]
            for server in servers:
                server.start()
                running.callback(server.kill)
            for server in servers[1:]:
                server.follow(servers[0])
            return servers

        yield start


@recent
async def test_d3_answers_what_every_replica_has_on_disk(replicated: NewReplicated, release: str) -> None:
    """What was answered is on the disk of each replica: it is there after all of them were killed and started."""
    primary, *replicas = replicated(release)
    async with opened(primary.url, durability="D3") as world:
        await world.create(messages=[message("m")])
        assert (world.redis.replica_acks.ok, world.redis.replica_acks.short) == (1, 0)
        key = world.store.key_of(0, "order-1")
        for replica in replicas:
            replica.kill()
        primary.kill()
        for replica in replicas:
            replica.start()
            assert replica.ask("HGET", key, "inbox-000000") == b"m"


@recent
async def test_d3_is_unknown_while_a_replica_does_not_confirm(replicated: NewReplicated, release: str) -> None:
    """A short count leaves each operation of the group unknown, also what is only repeated; then all is confirmed."""
    primary, _, lame = replicated(release)
    async with opened(primary.url, durability="D3") as world:
        await world.create()  # a replica that copied everything rewrites its file first, which takes it a while
    async with opened(primary.url, durability="D3", timeout_s=SECONDS) as world:
        lame.pause()
        group: list[Operation] = [
            Create(0, new_instance("order-2", start_id="s2")),
            Append(0, "order-1", message("m", remember=True)),
        ]
        for _ in range(2):
            outcomes = await world.store.execute(group)
            assert outcomes == [Unconfirmed("1 of 2 replicas confirmed it in time")] * 2
        assert world.redis.replica_acks.short == 2
        lame.resume()
        assert await world.store.execute(group) == [
            Exists(True, Status.RUNNING, "e1"),
            Appended(-1, duplicate=True),
        ]
        assert world.redis.replica_acks.short == 2
        assert await world.inbox() == [(0, "m")]


@recent
async def test_d3_goes_on_with_the_replicas_that_are_left(replicated: NewReplicated, release: str) -> None:
    """A replica that is gone is waited for no longer; without any, operations are refused by name, then accepted."""
    primary, first, second = replicated(release)
    async with opened(primary.url, durability="D3", timeout_s=60.0) as world:
        await world.create()  # once both have rewritten their files
    async with opened(primary.url, durability="D3", timeout_s=3.0) as world:
        first.kill()
        await until_confirmed(world, "one left")
        second.kill()
        assert isinstance(await world.append("none left"), Unconfirmed | Rejected)
        outcome = await world.append("none left")
        assert isinstance(outcome, Rejected)
        assert "D3 needs 1 connected replica" in outcome.error
        first.start()
        first.follow(primary)
        await until_confirmed(world, "back")  # once it has rewritten its file


@recent
async def test_d3_waits_for_a_replica_that_came_later(replicated: NewReplicated, release: str) -> None:
    """It may be promoted as the others may: what it does not confirm is unknown, from its first group on."""
    primary, _, late = replicated(release)
    late.ask("REPLICAOF", "NO", "ONE")
    await until(lambda: primary.info("replication")["connected_slaves"] == 1, "one replica is gone")
    async with opened(primary.url, durability="D3", timeout_s=60.0) as world:
        await world.create()
    async with opened(primary.url, durability="D3", timeout_s=SECONDS) as world:
        await until_confirmed(world, "by one")
        late.follow(primary)
        late.pause()
        outcome = await world.append("by one of two")
        assert outcome == Unconfirmed("1 of 2 replicas confirmed it in time")
        late.resume()
        await until_confirmed(world, "by two")


async def until_confirmed(world: RedisWorld, text: str) -> None:
    """Append until it is confirmed; until then it is unknown, never refused."""
    while not isinstance(outcome := await world.append(text), Appended):
        assert isinstance(outcome, Unconfirmed), outcome


@recent
async def test_d3_needs_a_replica_with_an_append_only_file(replicated: NewReplicated, release: str) -> None:
    """A replica that keeps nothing on disk confirms nothing."""
    primary, replica = replicated(release, replicas=1)
    replica.ask("CONFIG", "SET", "appendonly", "no")
    async with opened(primary.url, durability="D3", timeout_s=SECONDS) as world:
        outcome = await world.do(Create(0, new_instance()))
        assert isinstance(outcome, Unconfirmed)
        assert "0 of 1 replicas" in outcome.error


@recent
async def test_d3_without_a_replica_is_refused_by_name(replicated: NewReplicated, release: str) -> None:
    """At start, with what to do."""
    (primary,) = replicated(release, replicas=0)
    with pytest.raises(DurabilityRefused, match=r"D3 needs 1 connected replica.*start with --durability D2 or D1$"):
        async with opened(primary.url, durability="D3"):
            pass


async def test_d3_is_refused_where_there_is_no_waitaof(replicated: NewReplicated) -> None:
    """Redis before 7.2 cannot tell what its replicas have on disk."""
    primary, _ = replicated("redis-6.2", replicas=1)
    with pytest.raises(DurabilityRefused, match="WAITAOF"):
        async with opened(primary.url, durability="D3"):
            pass


@every
async def test_wait_replicas_counts_who_received_it(replicated: NewReplicated, release: str) -> None:
    """With `wait_replicas` an answer waits for so many replicas, and is unknown where fewer confirm in time."""
    primary, replica = replicated(release, replicas=1)
    async with opened(f"{primary.url}?wait_replicas=1&wait_ms=100") as world:
        assert await world.do(Create(0, new_instance())) == Created(ready=False)
        assert (world.redis.replica_acks.ok, world.redis.replica_acks.short) == (1, 0)
        replica.pause()
        outcome = await world.append("m", remember=True)
        assert isinstance(outcome, Unconfirmed)
        assert "0 of 1 replicas" in outcome.error
        assert isinstance(await world.append("m", remember=True), Unconfirmed), "a repetition is no confirmation"
        replica.resume()
        replica.follow(primary)
        assert await world.append("m", remember=True) == Appended(-1, duplicate=True)


@every
async def test_more_replicas_than_there_are_is_refused(replicated: NewReplicated, release: str) -> None:
    """Such a store would confirm nothing."""
    primary, _ = replicated(release, replicas=1)
    with pytest.raises(DurabilityRefused, match=r"wait_replicas needs 2.*, or leave wait_replicas out of the URL$"):
        async with opened(f"{primary.url}?wait_replicas=2"):
            pass
