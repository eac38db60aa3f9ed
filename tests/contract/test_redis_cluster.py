"""Clusters: slots that move while they are used, and nodes that die, lose nothing that was answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from contract.redis_worlds import RedisWorld, opened, slot_of
from contract.worlds import FAR_MS, SHARDS, message, new_instance
from faulty import until
from redis_groups import RedisCluster
from servers import RECENT_REDIS, RedisServer, free_port
from tenuto_engine.ports.errors import StoreRefused, StoreUnavailable
from tenuto_engine.ports.leases import Lease
from tenuto_engine.ports.operations import Append, Create
from tenuto_engine.ports.outcomes import Appended, Committed, Created, Fenced, Rejected, Unconfirmed
from tenuto_engine.storage.redis import RedisNotifier

NewCluster = Callable[..., RedisCluster]


@pytest.fixture(params=RECENT_REDIS)
def new_cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewCluster]:
    """Start a cluster for one test alone: its nodes may be ended, and its slots moved."""
    with ExitStack() as clusters:
        yield lambda **settings: clusters.enter_context(
            RedisCluster(tmp_path / "cluster", release=request.param, **settings)
        )


@pytest.fixture(params=RECENT_REDIS)
def cluster(request: pytest.FixtureRequest, cluster_of: Callable[[str], RedisCluster]) -> RedisCluster:
    """A cluster that others use, too: with another key prefix, and any slot where it is wanted."""
    return cluster_of(request.param)


@pytest.fixture
async def world(cluster: RedisCluster) -> AsyncIterator[RedisWorld]:
    """A world of its own on it."""
    async with opened(cluster.url, key_prefix=f"t-{uuid4().hex}") as made:
        yield made


async def test_a_group_over_all_nodes_is_answered_in_the_order_given(world: RedisWorld) -> None:
    """The parts of a group travel at the same time; answers come in its order, and so do the messages of a shard."""
    made = await world.store.execute([Create(shard, new_instance(f"order-{shard}")) for shard in range(SHARDS)])
    assert made == [Created(ready=False)] * SHARDS
    group = [
        Append(shard, f"order-{shard}", message(f"{shard}.{i}", remember=True))
        for i in range(3)
        for shard in range(SHARDS)
    ]
    assert await world.store.execute(group) == [Appended(i) for i in range(3) for _ in range(SHARDS)]
    for shard in range(SHARDS):
        expected = [(i, f"{shard}.{i}") for i in range(3)]
        assert await world.inbox(f"order-{shard}", shard=shard) == expected
    marked = await world.store.read_ready_many(range(SHARDS), "", limit=10)
    assert {shard: [name for name, _ in ready] for shard, ready in marked.items()} == {
        shard: [f"order-{shard}"] for shard in range(SHARDS)
    }


def another_than(node: RedisServer, cluster: RedisCluster) -> RedisServer:
    return next(each for each in cluster.primaries if each is not node)


async def test_what_a_slot_on_its_way_has_left_already_is_read_at_its_destination(
    world: RedisWorld, cluster: RedisCluster
) -> None:
    """The source sends the reader on (ASK); leases are found there, too; afterwards the source answers MOVED."""
    slot = slot_of(0)
    source = cluster.owner(slot)
    target = another_than(source, cluster)
    await world.create(messages=[message("m")])
    before, token = world.redis.incarnation(), world.token()
    cluster.begin_migration(slot, source, target)
    cluster.move_keys(slot, source, target)
    assert await world.inbox() == [(0, "m")]
    assert world.leases.renew([world.held[0, ""]], lease_ms=FAR_MS) == [True]
    assert said(source, "ASK") > 0
    cluster.end_migration(slot, target)
    assert await world.inbox() == [(0, "m")]
    assert isinstance(await world.append("after"), Appended)
    assert (await world.commit(consumed=[0])).inbox_next == 2
    assert world.token() == token
    assert said(source, "MOVED") > 0
    assert world.redis.incarnation() == before, "nothing was lost, so nobody need load anew"


def said(node: RedisServer, error: str) -> int:
    """How often a node gave this error."""
    count = node.info("errorstats").get(f"errorstat_{error}")
    return int(count["count"]) if count else 0


async def test_an_operation_on_a_slot_that_is_torn_waits_until_it_is_whole(
    world: RedisWorld, cluster: RedisCluster
) -> None:
    """Keys on both sides: neither node may run the script (TRYAGAIN); it runs once, when one of them has all."""
    slot = slot_of(0)
    source = cluster.owner(slot)
    target = another_than(source, cluster)
    await world.create(messages=[message("m")])
    before = said(source, "TRYAGAIN") + said(target, "TRYAGAIN")
    cluster.begin_migration(slot, source, target)
    source.ask("MIGRATE", "127.0.0.1", target.port, world.store.key_of(0, "order-1"), 0, 5_000)
    group = asyncio.get_running_loop().create_task(
        world.store.execute([Append(0, "order-1", message(f"{i}")) for i in range(3)])
    )
    await until(lambda: said(source, "TRYAGAIN") + said(target, "TRYAGAIN") > before, "a refusal")
    assert not group.done()
    cluster.move_keys(slot, source, target)
    cluster.end_migration(slot, target)
    assert await group == [Appended(1), Appended(2), Appended(3)]
    assert await world.inbox() == [(0, "m"), (1, "0"), (2, "1"), (3, "2")]


async def test_slots_are_moved_under_load(world: RedisWorld, cluster: RedisCluster) -> None:
    """While shards are moved from node to node, every message is stored once and in order, and none is unknown."""
    stored: dict[int, list[str]] = {shard: [] for shard in range(SHARDS)}
    await world.store.execute([Create(shard, new_instance("order-1")) for shard in range(SHARDS)])
    before = world.redis.incarnation()
    is_over = False

    async def write(shard: int) -> None:
        number = 0
        while not is_over:
            texts = [f"{number + i}" for i in range(4)]
            outcomes = await world.store.execute([Append(shard, "order-1", message(text)) for text in texts])
            assert all(isinstance(outcome, Appended | Rejected) for outcome in outcomes), outcomes
            accepted = zip(texts, outcomes, strict=True)
            stored[shard] += [text for text, outcome in accepted if isinstance(outcome, Appended)]
            number += 4

    def move_all() -> None:
        for shard in range(SHARDS):
            owner = cluster.primaries.index(cluster.owner(slot_of(shard)))
            cluster.migrate(slot_of(shard), cluster.primaries[(owner + 1) % 3], count=1)

    async with asyncio.TaskGroup() as tasks:
        for shard in range(SHARDS):
            tasks.create_task(write(shard))
        await asyncio.to_thread(move_all)
        is_over = True
    assert world.redis.incarnation() == before
    for shard in range(SHARDS):
        records = await world.store.read_inbox(shard, "order-1", first=0, end=1_000_000, limit=1_000_000)
        assert [record.body.decode() for record in records] == stored[shard]


async def test_a_dead_nodes_shards_go_on_at_its_replica(new_cluster: NewCluster) -> None:
    """Until the promotion its operations are refused or unknown, the others go on; then another incarnation is told."""
    cluster = new_cluster(replicas=True)
    slot = slot_of(0)
    dead = cluster.owner(slot)
    elsewhere = next(shard for shard in range(SHARDS) if cluster.owner(slot_of(shard)) is not dead)
    async with opened(cluster.url, timeout_s=1.0) as world:
        await world.create(messages=[message("kept")])
        await world.create("order-2", shard=elsewhere)
        stale = await world.next_commit(history=[b"stale"])
        assert dead.ask("WAIT", 1, 5_000) == 1
        before = world.redis.incarnation()
        dead.kill()
        assert isinstance(await world.append("lost"), Rejected | Unconfirmed)
        assert isinstance(await world.append("m", "order-2", shard=elsewhere), Appended)
        assert await world.inbox("order-2", shard=elsewhere) == [(0, "m")]
        with pytest.raises(StoreUnavailable):
            await world.stored()
        await promoted(world)
        assert world.redis.incarnation() != before
        assert (0, "kept") in await world.inbox()
        with pytest.raises(StoreUnavailable):
            world.leases.renew([world.held[0, ""]], lease_ms=FAR_MS)  # it learns of the promotion by this
        (lease,) = world.leases.acquire([0], version="", owner="me", lease_ms=FAR_MS)
        assert isinstance(lease, Lease)
        assert lease.epoch == 2
        assert await world.do(stale) == Fenced()
        world.held[0, ""] = lease
        await world.must(Committed, await world.next_commit(history=[b"new"]))


async def promoted(world: RedisWorld) -> None:
    """Append until it is accepted: a replica has taken over. What was unknown may be there, too."""
    async with asyncio.timeout(60):  # an election takes a second; on a busy machine, several
        while not isinstance(await world.append("accepted"), Appended):  # noqa: ASYNC110 - servers do not tell
            await asyncio.sleep(0.01)


async def test_a_node_that_was_restarted_is_another_incarnation(new_cluster: NewCluster) -> None:
    """One of three nodes suffices, for one cannot tell what it lost."""
    cluster = new_cluster()
    async with opened(cluster.url) as world:
        await world.create()
        before = world.redis.incarnation()
        node = cluster.owner(slot_of(0))
        node.kill()
        assert isinstance(await world.append("lost"), Rejected | Unconfirmed)
        await asyncio.to_thread(node.start)
        await promoted(world)
        assert world.redis.incarnation() != before


async def test_scripts_flushed_on_one_node_are_loaded_there(world: RedisWorld, cluster: RedisCluster) -> None:
    """Also for leases, which are granted once."""
    await world.store.execute([Create(shard, new_instance("order-1")) for shard in range(SHARDS)])
    for node in cluster.nodes:
        node.ask("SCRIPT", "FLUSH")
    outcomes = await world.store.execute([Append(shard, "order-1", message()) for shard in range(SHARDS)])
    assert outcomes == [Appended(0)] * SHARDS
    cluster.nodes[1].ask("SCRIPT", "FLUSH")
    granted = world.leases.acquire(range(SHARDS), version="", owner="me", lease_ms=FAR_MS)
    assert [lease.epoch for lease in granted] == [1] * SHARDS


async def test_nudges_pass_between_nodes(cluster: RedisCluster) -> None:
    """Engines that entered by different nodes hear one another."""
    first, second = (
        RedisNotifier(f"redis+cluster://127.0.0.1:{node.port}", app="one", key_prefix="nudges")
        for node in cluster.nodes[:2]
    )
    heard: list[tuple[str, bytes]] = []
    first.listen(["a"])
    loop = asyncio.get_running_loop()
    tasks = [
        loop.create_task(first.run(lambda topic, body: heard.append((topic, body)))),
        loop.create_task(second.run(lambda topic, body: None)),
    ]

    def arrived() -> bool:
        second.publish("a", b"1")
        return ("a", b"1") in heard

    await until(arrived, "a nudge from another node")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_clusters_node_is_no_single_server(cluster: RedisCluster) -> None:
    """The refusal shows the form for a cluster."""
    with pytest.raises(StoreRefused, match=r"redis\+cluster://"):
        async with opened(f"redis://127.0.0.1:{cluster.nodes[0].port}"):
            pass


async def test_a_single_server_is_no_cluster(new_redis: Callable[..., RedisServer]) -> None:
    """The refusal shows the form for one server."""
    server = new_redis(port=str(free_port()))
    with pytest.raises(StoreRefused, match="write redis://"):
        async with opened(f"redis+cluster://127.0.0.1:{server.port}"):
            pass
