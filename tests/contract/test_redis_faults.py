"""What Redis does when it dies, is full, is slow, or forgets: answered means kept, refused means nothing written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from contract.backends import APP, KEY_PREFIX, RedisBackend
from contract.dumps import dump
from contract.worlds import FAR_MS, SHARDS, World, call, message, new_instance, open_call, timer
from servers import LossyProxy, RedisServer
from tenuto_engine.core.status import TERMINAL
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.leases import Lease
from tenuto_engine.ports.operations import (
    Append,
    Commit,
    Create,
    Deliver,
    Delivery,
    DropReminder,
    FireReminder,
    Operation,
    Purge,
    RemoveOutbox,
    ReplaceActivity,
)
from tenuto_engine.ports.outcomes import Appended, Committed, Created, Done, Rejected, Unconfirmed
from tenuto_engine.ports.records import OutboxSend, ReminderSet
from tenuto_engine.storage.redis import RedisLeaseStore, RedisStore, scripts

NewRedis = Callable[..., RedisServer]


@asynccontextmanager
async def opened(url: str, *, durability: str = "D1", timeout_s: float = 20.0) -> AsyncIterator[World]:
    """A store on this server, as a world."""
    store = RedisStore(url, app=APP, key_prefix=KEY_PREFIX, timeout_s=timeout_s)
    leases = RedisLeaseStore(url, app=APP, key_prefix=KEY_PREFIX)
    await store.open(shards=SHARDS, durability=durability)
    try:
        yield World(RedisBackend(url), store, leases)
    finally:
        leases.close()
        await store.close()


async def test_what_was_answered_under_fsync_is_there_after_the_server_was_killed_between_groups(
    new_redis: NewRedis,
) -> None:
    """Every commit answered before SIGKILL is read after the restart; each unconfirmed one happened whole or not."""
    server = new_redis(appendfsync="always")
    async with opened(server.url, durability="D2") as world:
        names = [f"order-{i}" for i in range(16)]
        await world.store.execute([Create(0, new_instance(name)) for name in names])
        answered = dict.fromkeys(names, 0)
        commits = {name: await world.next_commit(name, history=[b"a", b"b"]) for name in names}
        killer = asyncio.get_running_loop().run_in_executor(None, server.kill)
        while True:
            outcomes = await world.store.execute(list(commits.values()))
            if not all(isinstance(outcome, Committed) for outcome in outcomes):
                break
            for name, done in commits.items():
                answered[name] = done.head.history_length
                commits[name] = following(done)
        await killer
        assert all(isinstance(outcome, Committed | Unconfirmed | Rejected) for outcome in outcomes)
        for (name, done), outcome in zip(commits.items(), outcomes, strict=True):
            if isinstance(outcome, Committed):
                answered[name] = done.head.history_length
        await asyncio.to_thread(server.start)
        for name, length in answered.items():
            head = (await world.stored(name)).head
            assert head.history_length in (length, length + 2)
            assert len(await world.history(name)) == head.history_length


def following(done: Commit) -> Commit:
    """A commit of two more events on top of another."""
    head = done.head
    return replace(
        done,
        base_commit_id=head.commit_id,
        base_length=head.history_length,
        head=replace(head, commit_id=f"{head.commit_id}+", history_length=head.history_length + 2),
    )


async def test_a_store_whose_server_came_back_goes_on_and_names_another_incarnation(new_redis: NewRedis) -> None:
    """While the server is away operations are rejected and reads raise; afterwards no restart is needed."""
    server = new_redis(appendfsync="always")
    async with opened(server.url) as world:
        assert isinstance(world.store, RedisStore)
        await world.create()
        before = world.store.incarnation()
        server.kill()
        # The first sees the connection break, the second finds none.
        assert isinstance(await world.append("lost"), Unconfirmed | Rejected)
        assert isinstance(await world.append("refused"), Rejected)
        with pytest.raises(StoreUnavailable):
            await world.stored()
        with pytest.raises(StoreUnavailable):
            world.leases.members()
        await asyncio.to_thread(server.start)
        assert isinstance(await world.append("kept"), Appended)
        assert [text for _, text in await world.inbox()] == ["kept"]
        assert world.leases.members() == []
        assert world.store.incarnation() != before


async def test_a_lost_reply_is_unconfirmed_and_the_same_commit_again_is_a_duplicate(
    new_redis: NewRedis, tmp_path: Path
) -> None:
    """The commit id tells that it happened; its effects happened once."""
    server = new_redis()
    with LossyProxy(server.socket, tmp_path / "proxy.sock") as proxy:
        async with opened(proxy.url) as world:
            await world.create()
            commit = await world.next_commit(history=[b"once"], outbox=[OutboxSend(1, b"sent once")])
            append = Append(0, "order-1", message("remembered", remember=True))
            proxy.loses_replies = True
            assert all(isinstance(outcome, Unconfirmed) for outcome in await world.store.execute([commit, append]))
            proxy.loses_replies = False
            assert await world.store.execute([commit, append]) == [
                Committed(1, duplicate=True),
                Appended(-1, duplicate=True),
            ]
            assert await world.history() == [b"once"]
            assert len(await world.store.read_outbox(0, after=0, limit=10)) == 1


async def test_a_server_that_does_not_answer_in_time_leaves_the_outcome_unknown(new_redis: NewRedis) -> None:
    """A paused server means unconfirmed, not a hang; the repetition has its effect exactly once."""
    server = new_redis()
    async with opened(server.url, timeout_s=0.3) as world:
        await world.create()
        commit = await world.next_commit(history=[b"once"])
        with server.client() as client:
            client.execute_command("CLIENT", "PAUSE", 600_000, "WRITE")
            outcome = await world.do(commit)
            assert isinstance(outcome, Unconfirmed)
            assert "0.3 s" in outcome.error
            client.execute_command("CLIENT", "UNPAUSE")
        assert isinstance(await world.do(commit), Committed)
        assert await world.history() == [b"once"]


async def test_a_cancelled_group_does_not_leave_its_replies_to_the_next(new_redis: NewRedis) -> None:
    """Replies still due belong to nobody: the next group gets its own."""
    server = new_redis()
    async with opened(server.url) as world:
        await world.create()
        server.pause()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):  # cancels; the paused server cannot answer before or after
                await world.store.execute([Append(0, "order-1", message(str(i))) for i in range(5)])
        server.resume()
        assert isinstance(await world.do(Create(0, new_instance("order-2"))), Created)


async def fill(world: World) -> tuple[list[Operation], list[Operation]]:
    """Make an instance with one of everything; answer operations that would grow the store, and that shrink it."""
    now = await world.store.now_ms()
    await world.create(messages=[message("m0"), message("m1")])
    await world.create("order-2")
    await world.finish("order-2", reminders_set=[ReminderSet(timer(0, "order-2", kind="retention"), now)])
    await world.commit(
        history=[b"h0"],
        activities_set=[open_call(1), open_call(2)],
        reminders_set=[ReminderSet(timer(3), now - 1), ReminderSet(timer(4), now - 1)],
        outbox=[OutboxSend(1, b"sent")],
    )
    token = world.token()
    everything: dict[str, Any] = {
        "consumed": [0],
        "custom_status": b"status",
        "activities_removed": [call(1)],
        "activities_set": [open_call(5)],
        "reminders_removed": [timer(3)],
        "reminders_set": [ReminderSet(timer(6), now)],
        "outbox": [OutboxSend(2, b"more")],
        "appends": [("order-1", message("to itself"))],
    }
    growing: list[Operation] = [
        Create(0, new_instance("order-4")),
        Create(0, new_instance("order-2", start_id="s3", replace=TERMINAL)),
        Append(0, "order-1", message("closes", remember=True), closes=call(1), attempt=1),
        await world.next_commit(history=[b"h1"], **everything),
        await world.next_commit(history=[b"h1"], renew=True, execution_id="e2", **everything),
        FireReminder(0, token, "", timer(3), message("fired")),
        ReplaceActivity(0, "", open_call(1, attempt=2, revision=2), 1),
        Deliver(0, 1, [Delivery(7, "order-1", message("delivered")), Delivery(8, create=new_instance("order-5"))]),
    ]
    (sent,) = await world.store.read_outbox(0, after=0, limit=10)
    shrinking: list[Operation] = [
        DropReminder(0, token, "", timer(4)),
        RemoveOutbox(0, [sent.number]),
        Purge(0, "order-2", "e1"),
    ]
    return growing, shrinking


async def test_a_full_server_refuses_whole_operations_and_can_be_emptied(new_redis: NewRedis) -> None:
    """Out of memory: each growing operation is rejected and changes nothing; removals work; then all work again."""
    server = new_redis()
    async with opened(server.url) as world:
        growing, shrinking = await fill(world)
        before = await dump(world.store, shards=SHARDS)
        with server.client() as client:
            client.config_set("maxmemory", 1)
            for operation in growing:
                outcome = await world.do(operation)
                assert isinstance(outcome, Rejected), operation
                assert "OOM" in outcome.error or "maxmemory" in outcome.error
                assert await dump(world.store, shards=SHARDS) == before, operation
            assert await world.store.execute(shrinking) == [Done(), Done(), Done()]
            assert await world.store.read_instance(0, "order-2") is None
            client.config_set("maxmemory", 0)
        assert isinstance(await world.do(growing[0]), Created)
        assert isinstance(await world.do(growing[3]), Committed)


async def test_a_demoted_server_rejects_and_a_promoted_one_goes_on(new_redis: NewRedis) -> None:
    """Each operation on a read-only replica is rejected, nothing is half-written; promotion needs no restart."""
    server = new_redis()
    async with opened(server.url) as world:
        growing, shrinking = await fill(world)
        before = await dump(world.store, shards=SHARDS)
        with server.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", 1)
            for outcome in await world.store.execute([*growing, *shrinking]):
                assert isinstance(outcome, Rejected)
                assert "READONLY" in outcome.error or "read only" in outcome.error
            assert await dump(world.store, shards=SHARDS) == before
            client.execute_command("REPLICAOF", "NO", "ONE")
        assert isinstance(await world.do(growing[0]), Created)


FOREIGN = [
    "instance:order-1", "ready:", "seen", "activities:", "activities-look:", "reminders:", "outbox", "outbox-last",
    "index:all", "index:status:1", "index:open", "index:name:ship", "received", "lease:",
]  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_key_of_another_type_stops_an_operation_before_its_first_write(new_redis: NewRedis, name: str) -> None:
    """Whatever key was overwritten by somebody: an operation that needs it changes nothing, or does not need it."""
    server = new_redis()
    async with opened(server.url) as world:
        growing, _ = await fill(world)
        with server.client() as client:
            key = f"{KEY_PREFIX}:{{{APP}/0}}:{name}"
            client.delete(key)
            client.rpush(key, "not ours")
            for operation in growing:
                before = {each: client.dump(each) for each in client.keys("*")}
                outcome = await world.do(operation)
                if isinstance(outcome, Rejected):
                    assert {each: client.dump(each) for each in client.keys("*")} == before


async def test_flushed_scripts_are_loaded_again_without_a_lost_or_repeated_operation(new_redis: NewRedis) -> None:
    """SCRIPT FLUSH between groups goes unnoticed, also by the leases."""
    server = new_redis()
    async with opened(server.url) as world:
        await world.create()
        with server.client() as client:
            for number in range(3):
                client.script_flush()
                outcomes = await world.store.execute([Append(0, "order-1", message(f"{number}.{i}")) for i in range(4)])
                assert outcomes == [Appended(4 * number + i) for i in range(4)]
            client.script_flush()
        granted = world.leases.acquire([0, 1], version="", owner="me", lease_ms=FAR_MS)
        assert [lease.epoch for lease in granted if isinstance(lease, Lease)] == [1, 1]


async def test_an_operation_is_not_repeated_behind_a_later_one_of_its_shard(new_redis: NewRedis) -> None:
    """Where another engine loaded a script in between, order is kept by rejecting what would come too late."""
    server = new_redis()
    async with opened(server.url) as world:
        await world.create()
        commit = await world.next_commit(history=[b"first"])
        with server.client() as client:
            client.script_flush()
            client.script_load(scripts.COMMIT.source)
        before, done, elsewhere, after = await world.store.execute(
            [
                Append(0, "order-1", message("before")),
                commit,
                Create(1, new_instance("in another shard")),
                Append(0, "order-1", message("after")),
            ]
        )
        assert isinstance(before, Rejected)
        assert done == Committed(0)
        assert elsewhere == Created(ready=False)
        assert after == Appended(0)


def test_a_lease_call_whose_reply_is_lost_is_not_repeated_in_secret(new_redis: NewRedis, tmp_path: Path) -> None:
    """The caller hears of it and acquires anew: each call is one grant, and one epoch."""
    server = new_redis()
    with LossyProxy(server.socket, tmp_path / "proxy.sock") as proxy:
        leases = RedisLeaseStore(proxy.url, app=APP, key_prefix=KEY_PREFIX)

        def acquire() -> int:
            (lease,) = leases.acquire([0], version="", owner="me", lease_ms=FAR_MS)
            assert isinstance(lease, Lease)
            return lease.epoch

        assert acquire() == 1
        proxy.loses_replies = True
        with pytest.raises(StoreUnavailable):
            acquire()
        proxy.loses_replies = False
        assert acquire() == 3
        leases.close()
