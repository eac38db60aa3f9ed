"""Under Sentinel: the primary is found, a failover noticed, and a stale primary writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.dumps import dump
from contract.redis_worlds import RedisWorld, opened
from contract.worlds import FAR_MS, SHARDS, message
from faulty import until
from redis_groups import SentinelGroup
from servers import REDIS_BINARIES
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease
from tenuto_engine.ports.operations import Append
from tenuto_engine.ports.outcomes import Appended, Committed, Fenced, Rejected, Unconfirmed
from tenuto_engine.storage.redis import RedisNotifier


@pytest.fixture(params=sorted(REDIS_BINARIES))
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SentinelGroup]:
    """A primary with two replicas and three sentinels."""
    with SentinelGroup(tmp_path, release=request.param) as started:
        yield started


async def until_accepted(world: RedisWorld) -> None:
    """Append until it is accepted. What was unknown may be there, too."""
    async with asyncio.timeout(60):  # an election takes a second; on a busy machine, several
        while not isinstance(await world.append("accepted"), Appended):  # noqa: ASYNC110 - servers do not tell
            await asyncio.sleep(0.01)


async def test_a_failover_is_noticed_and_survived(group: SentinelGroup) -> None:
    """Operations are refused or unknown until the promotion, then work again; the former owner is fenced.

    The former primary comes back as a replica: whoever still writes to it is refused, and nothing is applied.
    """
    former = group.primary
    async with (
        opened(group.url, timeout_s=1.0) as world,
        opened(f"unix://{former.socket}", timeout_s=1.0) as at_former,
    ):
        await world.create(messages=[message("kept")])
        stale = await world.next_commit(history=[b"stale"])
        assert former.ask("WAIT", 2, 5_000) == 2
        before = world.redis.incarnation()
        former.kill()
        assert isinstance(await world.append("lost"), Rejected | Unconfirmed)
        assert isinstance(await world.append("refused"), Rejected)
        with pytest.raises(StoreUnavailable):
            await world.stored()
        with pytest.raises(StoreUnavailable):
            world.leases.members()
        await until_accepted(world)
        assert world.redis.incarnation() != before
        assert (0, "kept") in await world.inbox()
        (lease,) = world.leases.acquire([0], version="", owner="me", lease_ms=FAR_MS)
        assert isinstance(lease, Lease)
        assert lease.epoch == 2
        assert await world.do(stale) == Fenced()
        world.held[0, ""] = lease
        await world.must(Committed, await world.next_commit(history=[b"new"]))

        await asyncio.to_thread(former.start)
        # Sentinel does the same to it, some ten seconds later.
        await asyncio.to_thread(former.follow, group.primary)
        expected = await dump(world.store, shards=SHARDS)
        outcomes = await at_former.store.execute([stale, Append(0, "order-1", message("late"))])
        assert all(isinstance(outcome, Rejected) and "READONLY" in outcome.error for outcome in outcomes)
        assert await dump(world.store, shards=SHARDS) == expected


async def test_a_planned_failover_mixes_nothing(group: SentinelGroup) -> None:
    """Roles change while the former primary still answers: the new one is found, and no message comes twice or late."""
    former = group.primary
    async with opened(group.url, timeout_s=2.0) as world:
        await world.create()
        before = world.redis.incarnation()
        stored: list[str] = []
        unknown: set[str] = set()
        for number in range(100_000):
            if number == 20:
                group.sentinels[0].ask("SENTINEL", "FAILOVER", group.SERVICE)
            outcome = await world.append(f"{number}")
            if isinstance(outcome, Appended):
                stored.append(f"{number}")
                if world.redis.incarnation() != before:
                    break
            elif isinstance(outcome, Unconfirmed):
                unknown.add(f"{number}")
            else:
                assert isinstance(outcome, Rejected)
        assert group.wait_for_another(former) is not former
        records = await world.store.read_inbox(0, "order-1", first=0, end=1_000_000, limit=1_000_000)
        found = [record.body.decode() for record in records]
        assert len(set(found)) == len(found)
        # What the former primary answered in its last fraction of a second may be missing: D1 says so.
        kept = [text for text in stored[:-1] if text in found]
        assert kept == stored[: len(kept)]
        assert set(found) <= set(stored) | unknown
        assert found[-1] == stored[-1]


async def test_nudges_follow_a_failover(group: SentinelGroup) -> None:
    """Both connections of a notifier find the new primary by themselves."""
    first, second = (RedisNotifier(group.url, app="one", key_prefix="nudges") for _ in range(2))
    heard: list[tuple[str, bytes]] = []
    first.listen(["a"])
    loop = asyncio.get_running_loop()
    tasks = [
        loop.create_task(first.run(lambda topic, body: heard.append((topic, body)))),
        loop.create_task(second.run(lambda topic, body: None)),
    ]

    def arrived(body: bytes) -> bool:
        second.publish("a", body)
        return ("a", body) in heard

    await until(lambda: arrived(b"before"), "a nudge")
    group.servers[0].kill()
    await asyncio.to_thread(group.wait_for_another, group.servers[0])
    await until(lambda: arrived(b"after"), "a nudge over the new primary")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_sentinels_that_are_gone_are_passed_over(group: SentinelGroup) -> None:
    """One sentinel of three suffices to find the primary; with none, operations are refused."""
    primary = group.primary
    async with opened(group.url, timeout_s=1.0) as world:
        await world.create()
        for sentinel in group.sentinels[:2]:
            sentinel.kill()
        primary.ask("CLIENT", "KILL", "TYPE", "normal")
        await until_accepted(world)
        group.sentinels[2].kill()
        primary.ask("CLIENT", "KILL", "TYPE", "normal")
        assert isinstance(await world.append("lost"), Rejected | Unconfirmed)
        refused = await world.append("refused")
        assert isinstance(refused, Rejected)
        assert "none of the sentinels 127.0.0.1:" in refused.error
        assert "redis.asyncio" not in refused.error
