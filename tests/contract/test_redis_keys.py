"""How the state model is written in Redis: names of keys, what remains after a purge, what is listed where."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis
from redis.crc import key_slot

from contract.backends import APP, RedisBackend
from contract.worlds import SHARDS, World, call, message, new_instance, open_call, timer
from servers import RedisServer
from tenuto_engine.core.status import TERMINAL, Hold, Status
from tenuto_engine.ports.operations import Append, Create, Deliver, Delivery, FireReminder, Purge, RemoveOutbox
from tenuto_engine.ports.outcomes import Appended, Committed, Created, Done, Exists
from tenuto_engine.ports.records import IndexEntry, OutboxSend, ReminderSet
from tenuto_engine.storage.redis import RedisStore
from tenuto_engine.storage.redis.keys import read_metadata, read_text, write_head, write_text

# What a shard keeps when no instance is left: lease and numbering for ever, seen ids for the window, counts.
SHARED = {"lease:", "seen", "outbox-last", "received", "index:open"}


class RedisWorld(World):
    """A world that also sees the server's keys."""

    client: redis.Redis

    @property
    def prefix(self) -> str:
        assert isinstance(self.backend, RedisBackend)
        return f"{self.backend.key_prefix}:{{{APP}/0}}:"

    def names(self) -> set[str]:
        """The shard's keys, without what all share in front."""
        return {key.decode().removeprefix(self.prefix) for key in self.client.scan_iter(f"{self.prefix}*", 1000)}


@pytest.fixture
async def shard(redis_server: RedisServer) -> AsyncIterator[RedisWorld]:
    """An opened store on the shared server."""
    store, leases = (backend := RedisBackend(redis_server.url)).make()
    await store.open(shards=SHARDS, durability="D1")
    world = RedisWorld(backend, store, leases)
    world.client = redis_server.client()
    yield world
    world.client.close()
    leases.close()
    await store.close()


async def live(world: RedisWorld, instance_id: str) -> None:
    """Lead an instance through everything that leaves something, to its end."""
    now = await world.store.now_ms()
    created = new_instance(instance_id, start_id=f"start of {instance_id}", messages=[message("start")])
    await world.do(Create(0, created))
    await world.commit(
        instance_id,
        consumed=[0],
        history=[b"event"] * 3,
        custom_status=b"status",
        activities_set=[open_call(1, instance_id=instance_id), open_call(2, instance_id=instance_id)],
        reminders_set=[ReminderSet(timer(3, instance_id), now - 1), ReminderSet(timer(4, instance_id), now + 99_999)],
        outbox=[OutboxSend(1, b"sent")],
        appends=[(instance_id, message("to itself", remember=True))],
        old_index=created.index,
        index=IndexEntry("ship", Status.RUNNING, 1_000),
    )
    await world.must(Appended, Append(0, instance_id, message("result"), closes=call(1, instance_id), attempt=1))
    await world.must(Appended, FireReminder(0, world.token(), "", timer(3, instance_id), message("fired")))
    await world.must(Committed, await world.next_commit(instance_id, consumed=[1, 2], renew=True, execution_id="e1"))
    await world.finish(
        instance_id,
        activities_removed=[call(2, instance_id)],
        reminders_removed=[timer(4, instance_id)],
        reminders_set=[ReminderSet(timer(0, instance_id, kind="retention"), now + 99_999)],
    )
    for sent in await world.store.read_outbox(0, after=0, limit=10):
        await world.must(Done, RemoveOutbox(0, [sent.number]))


async def test_a_purge_leaves_no_key_behind(shard: RedisWorld) -> None:
    """After a whole life and its purge only what the shard's instances share is there, and no instance is counted."""
    for instance_id in ("order-1", "order 2|{@}'\"*?[a-z]"):
        await live(shard, instance_id)
        assert f"instance:{instance_id}" in shard.names()
        assert await shard.do(Purge(0, instance_id, "e1")) == Done()
        assert shard.names() <= SHARED
    assert shard.client.hgetall(shard.prefix + "index:open") == {b"-": b"0"}


async def test_a_replaced_instance_leaves_no_key_behind(shard: RedisWorld) -> None:
    """Its successor's keys are all there is."""
    await live(shard, "order-1")
    successor = new_instance(start_id="s2", replace=TERMINAL, index=IndexEntry("pack", Status.RUNNING, 2_000))
    assert await shard.do(Create(0, successor)) == Created(ready=False)
    assert shard.names() - SHARED == {"instance:order-1", "index:all", "index:status:2", "index:name:pack"}
    assert await shard.inbox() == []
    assert await shard.store.read_reminders(0, "", limit=10) == []


@pytest.mark.parametrize("start_id", ["-", "a b", "100%", "%20"])
async def test_a_start_is_recognised_after_its_purge_whatever_its_id(shard: RedisWorld, start_id: str) -> None:
    """The id in the window is the one that was given, not the one that was written."""
    await shard.create(start_id=start_id)
    await shard.finish()
    assert await shard.do(Purge(0, "order-1", "e1")) == Done()
    assert await shard.do(Create(0, new_instance(start_id=start_id))) == Exists(True, Status.COMPLETED, "")
    assert shard.client.zrange(shard.prefix + "seen", 0, -1) == [start_id.encode()]


async def test_keys_are_named_as_the_architecture_says_and_share_the_shards_slot(shard: RedisWorld) -> None:
    """Every key of a shard lies in one slot of a cluster; records have the lesson's names."""
    await shard.create(messages=[message("m")])
    await shard.do(Deliver(0, 1, [Delivery(1, "order-1", message("delivered", remember=True))]))
    await shard.commit(
        consumed=[0],
        history=[b"a", b"b"],
        custom_status=b"status",
        activities_set=[open_call(1)],
        reminders_set=[ReminderSet(timer(2), 1)],
        outbox=[OutboxSend(1, b"sent")],
    )
    assert shard.names() == {
        "instance:order-1", "lease:", "ready:", "reminders:", "activities:", "activities-look:", "outbox",
        "outbox-last", "seen", "received", "index:all", "index:status:2", "index:name:ship", "index:open",
    }  # fmt: skip
    assert len({key_slot((shard.prefix + name).encode()) for name in shard.names()}) == 1
    fields = shard.client.hkeys(shard.prefix + "instance:order-1")
    assert {b"metadata", b"customStatus", b"history-000000", b"history-000001", b"inbox-000001"} <= set(fields)
    assert shard.store.key_of(0, "order-1") == shard.prefix + "instance:order-1"


async def test_seen_ids_are_forgotten_in_passing_after_the_window(redis_server: RedisServer) -> None:
    """The set of seen ids shrinks as new ones come, so it holds about what one window brings."""
    backend = RedisBackend(redis_server.url)
    store, leases = backend.make(dedup_window_ms=1)
    await store.open(shards=SHARDS, durability="D1")
    world = World(backend, store, leases)
    await world.create()
    for number in range(40):
        await backend.elapse(2)
        await world.append(f"m{number}", remember=True)
    with redis_server.client() as client:
        assert client.zcard(f"{backend.key_prefix}:{{{APP}/0}}:seen") == 1
    leases.close()
    await store.close()


async def test_an_instance_passes_to_another_version_with_its_entries_and_its_count(shard: RedisWorld) -> None:
    """Ready mark, entries and the open count move in the owner's commit; appends follow without being told."""
    await shard.create(messages=[message("m")])
    await shard.commit(activities_set=[open_call(1)], reminders_set=[ReminderSet(timer(2), 1)])
    await shard.commit(
        version="v2",
        activities_removed=[call(1)],
        activities_set=[open_call(1, revision=2)],
        reminders_removed=[timer(2)],
        reminders_set=[ReminderSet(timer(2), 1)],
    )
    assert (await shard.ready(version=""), await shard.ready(version="v2")) == ([], ["order-1"])
    assert await shard.store.read_activities(0, "", due_ms=None, limit=9) == []
    assert await shard.store.read_activities(0, "v2", due_ms=None, limit=9) == [open_call(1, revision=2)]
    assert await shard.store.count_reminders([0], "v2") == 1
    assert shard.client.hgetall(shard.prefix + "index:open") == {b"-": b"0", b"v2": b"1"}
    await shard.must(Appended, Append(0, "order-1", message("r"), closes=call(1), attempt=1))
    await shard.finish(reminders_removed=[timer(2)])
    assert shard.client.hgetall(shard.prefix + "index:open") == {b"-": b"0", b"v2": b"0"}


async def test_an_engine_that_believes_in_another_version_is_corrected(shard: RedisWorld) -> None:
    """Messages to instances of versions this engine never saw arrive once, in order, and mark the right version."""
    versions = {"order-1": "", "order-2": "v2", "order-3": "v3"}
    for name, version in versions.items():
        await shard.create(name, version=version)
    assert isinstance(shard.backend, RedisBackend)
    stranger, leases = shard.backend.make()
    assert isinstance(stranger, RedisStore)
    await stranger.open(shards=SHARDS, durability="D1")
    outcomes = await stranger.execute([Append(0, name, message(f"{i}")) for i in range(3) for name in versions])
    assert outcomes == [Appended(i) for i in range(3) for _ in versions]
    for name, version in versions.items():
        assert await shard.inbox(name) == [(i, str(i)) for i in range(3)]
        assert await shard.ready(version=version) == [name]
    await shard.finish("order-2", consumed=[0, 1, 2])
    assert await stranger.execute([Purge(0, "order-2", "e1")]) == [Done()]
    assert "ready:v2" not in shard.names()
    leases.close()
    await stranger.close()


async def test_a_group_may_make_end_remove_and_make_an_instance_again(shard: RedisWorld) -> None:
    """What a removal must know is read between the parts of the group, so the order given is kept."""
    first = new_instance(start_id="s1")
    await shard.do(Create(0, first))
    end = await shard.next_commit(status=Status.FAILED, index=IndexEntry("ship", Status.FAILED, 1_000), close=True)
    again = new_instance(start_id="s2", version="v2")
    outcomes = await shard.store.execute(
        [end, Purge(0, "order-1", "e1"), Create(0, again), Append(0, "order-1", message("m"))]
    )
    assert outcomes == [Committed(0), Done(), Created(ready=False), Appended(0)]
    assert await shard.ready(version="v2") == ["order-1"]


async def test_a_large_commit_passes_the_limits_of_lua(shard: RedisWorld) -> None:
    """20,000 events, 3,000 reminders and 3,000 activities in one commit: no stack is too small."""
    now = await shard.store.now_ms()
    await shard.create(messages=[message(str(i)) for i in range(3_000)])
    await shard.commit(
        consumed=list(range(3_000)),
        history=[b"event"] * 20_000,
        activities_set=[open_call(i) for i in range(3_000)],
        reminders_set=[ReminderSet(timer(i), now) for i in range(3_000)],
    )
    await shard.finish(
        activities_removed=[call(i) for i in range(3_000)], reminders_removed=[timer(i) for i in range(3_000)]
    )
    assert await shard.do(Purge(0, "order-1", "e1")) == Done()
    assert shard.names() <= SHARED


TEXTS = ["", "-", "--", "-a", "a", "a-b", "1.2.3", "e|{x}", "a b", " ", "%20", "100%\n"]


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_survives_the_header(text: str) -> None:
    """An empty text and one of hyphens are different, and none is written as nothing."""
    assert " " not in write_text(text)
    assert write_text(text).strip() != ""
    assert read_text(write_text(text)) == text


def test_a_header_is_one_line_in_front_of_an_opaque_body() -> None:
    """The body may hold anything, newlines too; head and body come back as they were."""
    head = new_instance(hold=Hold.STALLED, start_id="", version="-", taken=7, inbox_low=5).head
    body = bytes(range(256)) + b"\n\n"
    assert read_metadata(write_head(head).encode() + body) == (head, body)
