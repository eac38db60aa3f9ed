"""Engines that share an app: any of them takes any command, and any of them may go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

import tenuto as wf
from apps import SECONDS, ended, served
from clusters import MakeStores, balanced, on_memory, on_redis, pods
from engines import EngineHere, make_settings
from faulty import until
from servers import RedisServer
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.ports.errors import ShardsDiffer

Steps = Generator[Any, Any, Any]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> MakeStores:
    """Stores that engines share."""
    if request.param == "memory":
        return on_memory()
    server: RedisServer = request.getfixturevalue("one_redis")
    return on_redis(server.url, f"many-{uuid4().hex}")


def chain(ctx: wf.WorkflowContext, count: int) -> Steps:
    total = 0
    for number in range(count):
        total += yield ctx.call_activity("double", input=number)
    return total


def patient(ctx: wf.WorkflowContext) -> Steps:
    first = yield ctx.wait_for_external_event("go")
    yield ctx.create_timer(timedelta(milliseconds=20))
    child = yield ctx.call_child_workflow("chain", input=3)
    return [first, child]


def serving(ran: Counter[str]) -> dict[str, Any]:
    """What every worker serves; `ran` counts each call by its idempotency key."""

    async def double(ctx: wf.WorkflowActivityContext, number: int) -> int:
        ran[ctx.idempotency_key] += 1
        await asyncio.sleep(0.002)
        return 2 * number

    return {"workflows": [chain, patient], "activities": [double]}


async def test_any_engine_serves_any_instance(make: MakeStores) -> None:
    """Starts, events, waits and reads work through an engine that owns nothing of the instance."""
    ran = Counter[str]()
    async with pods(make, 3, serve=lambda _: serving(ran)) as three:
        ids = [f"any-{n}" for n in range(30)]
        for n, instance_id in enumerate(ids):
            await three[n % 3].client.schedule_new_workflow(patient, instance_id=instance_id)
        for n, instance_id in enumerate(ids):
            await three[(n + 1) % 3].client.raise_workflow_event(instance_id, "go", data=n)
        states = await asyncio.gather(*(ended(three[(n + 2) % 3].client, i) for n, i in enumerate(ids)))
        assert [state.result() for state in states] == [[n, 6] for n in range(30)]
        assert set(ran.values()) == {1}
        assert len(ran) == 90


async def test_control_through_another_engine_takes_effect_before_it_is_answered(make: MakeStores) -> None:
    """Suspend, resume and terminate: the read after the command shows it, wherever it is read."""
    async with pods(make, 2, serve=lambda _: serving(Counter())) as two:
        for n in range(8):
            instance_id = f"control-{n}"
            await two[0].client.schedule_new_workflow(patient, instance_id=instance_id)
            await two[1].client.wait_for_workflow_start(instance_id, timeout_in_seconds=SECONDS)
            await two[1].client.pause_workflow(instance_id)
            state = await two[0].client.get_workflow_state(instance_id)
            assert state is not None
            assert state.runtime_status is wf.WorkflowStatus.SUSPENDED
            await two[0].client.terminate_workflow(instance_id)
            state = await two[1].client.get_workflow_state(instance_id)
            assert state is not None
            assert state.runtime_status is wf.WorkflowStatus.TERMINATED


async def test_a_drained_engine_loses_nothing_and_repeats_nothing(make: MakeStores) -> None:
    """Its shards go on elsewhere, activities that run end here and count, and every activity ran once."""
    ran = Counter[str]()
    async with pods(make, 3, serve=lambda _: serving(ran)) as three:
        ids = [await three[n % 3].client.schedule_new_workflow(chain, input=40) for n in range(60)]
        drained = three[0]
        await drained.engine.app.engine.drain()
        assert not drained.shards
        states = await asyncio.gather(*(ended(three[1 + n % 2].client, i) for n, i in enumerate(ids)))
        assert [state.result() for state in states] == [1560] * 60
        assert len(ran) == 60 * 40
        assert set(ran.values()) == {1}
        await balanced(three[1:])


async def test_an_engine_that_owns_nothing_accepts_commands(make: MakeStores) -> None:
    """Also while it drains: the command is a message in the store, and its owner hears of it."""
    async with pods(make, 2, serve=lambda _: serving(Counter())) as two:
        await two[0].engine.app.engine.drain()
        instance_id = await two[0].client.schedule_new_workflow(patient)
        await two[0].client.raise_workflow_event(instance_id, "go", data="late")
        assert (await ended(two[0].client, instance_id)).result() == ["late", 6]


async def test_commands_wait_for_an_owner_and_a_worker(make: MakeStores) -> None:
    """Without any worker, starts and events are accepted by caretakers, and done once a worker comes."""
    async with pods(make, 2) as two:
        ids = [await two[n % 2].client.schedule_new_workflow("patient", instance_id=f"wait-{n}") for n in range(10)]
        for n, instance_id in enumerate(ids):
            await two[(n + 1) % 2].client.raise_workflow_event(instance_id, "go", data=n)
        await two[0].client.schedule_new_workflow("patient", instance_id="ended")
        await two[1].client.terminate_workflow("ended")
        state = await two[0].client.get_workflow_state("ended")
        assert state is not None
        assert state.runtime_status is wf.WorkflowStatus.TERMINATED

        async with served(two[1].engine, **serving(Counter())) as client:
            await until(lambda: len(two[1].shards) == 16, "everything goes to the engine with a worker")
            assert not two[0].shards
            states = await asyncio.gather(*(ended(client, i) for i in ids))
            assert [state.result() for state in states] == [[n, 6] for n in range(10)]


async def test_a_joining_engine_gets_its_part_under_load(make: MakeStores) -> None:
    """Shards move to the newcomer while workflows run; no activity runs twice."""
    ran = Counter[str]()
    async with pods(make, 1, serve=lambda _: serving(ran)) as one:
        ids = [await one[0].client.schedule_new_workflow(chain, input=60) for _ in range(40)]
        async with pods(make, 1, serve=lambda _: serving(ran), balance=False) as other:
            await balanced([*one, *other])
            states = await asyncio.gather(*(ended(other[0].client, i) for i in ids))
            assert [state.result() for state in states] == [3540] * 40
            assert set(ran.values()) == {1}
            assert len(ran) == 40 * 60


async def test_handovers_are_timed_by_cause(make: MakeStores) -> None:
    """A drained shard's taker observes the time between, under its cause."""
    async with pods(make, 2, serve=lambda _: serving(Counter())) as two:
        before = len(two[0].shards)
        await two[0].engine.app.engine.drain()
        await until(lambda: len(two[1].shards) == 16)
        engine = two[1].engine.app.engine
        await until(lambda: _drained(engine.metrics_page("")[0].decode()) == before)


def _drained(page: str) -> float:
    """How many hand-overs by a drain an engine's counters tell of."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "tenuto_shard_handover_seconds_count" and sample.labels["cause"] == "drain"
    )


def test_ids_of_this_file_fall_into_many_shards() -> None:
    """Else the tests above would prove little."""
    assert len({shard_of(f"any-{n}", 16) for n in range(30)}) > 8


async def test_an_emptied_store_is_noticed_and_marked_anew(one_redis: RedisServer) -> None:
    """All keys are deleted under running engines: they begin anew, and no other number of shards is accepted."""
    prefix = f"emptied-{uuid4().hex}"
    stores = on_redis(one_redis.url, prefix)
    async with pods(stores, 2, serve=lambda _: serving(Counter()), lease_seconds="1") as two:
        await two[0].client.schedule_new_workflow(patient, instance_id="lost")
        with one_redis.client() as redis, redis.pipeline() as pipeline:
            for key in list(redis.scan_iter(match=f"{prefix}:*")):
                pipeline.delete(key)
            pipeline.execute()
        layout = f"{prefix}:{{default}}:layout"
        with one_redis.client() as redis:
            await until(lambda: redis.exists(layout), "the layout written anew")
        other = make_settings(shards="8", lease_seconds="1", durability="D0")
        with pytest.raises(ShardsDiffer):
            async with EngineHere.on(other, stores()):
                pass
        assert await two[0].client.get_workflow_state("lost") is None
        instance_id = await two[1].client.schedule_new_workflow(patient)
        await two[0].client.raise_workflow_event(instance_id, "go", data="anew")
        assert (await ended(two[0].client, instance_id)).result() == ["anew", 6]


# -- versions -----------------------------------------------------------------------------------------------------


def relaying(ctx: wf.WorkflowContext, target: str) -> Steps:
    for number in range(20):
        ctx.raise_event(target, "word", data=number)
        yield ctx.create_timer(timedelta(milliseconds=1))


def collecting(ctx: wf.WorkflowContext, count: int) -> Steps:
    words: list[int] = []
    for _ in range(count):
        words.append((yield ctx.wait_for_external_event("word")))
    return words


async def test_two_versions_send_from_one_shard_and_lose_nothing(make: MakeStores) -> None:
    """Both number their messages in the same outbox; every message arrives once, each sender's in order."""
    serve = {"workflows": [relaying, collecting]}
    async with (
        pods(make, 1, serve=lambda _: serve, balance=False, version="v1", shards="2") as old,
        pods(make, 1, serve=lambda _: serve, balance=False, version="v2", shards="2") as new,
    ):
        target = next(f"target-{n}" for n in range(99) if shard_of(f"target-{n}", 2) == 0)
        senders = [f"sender-{n}" for n in range(40) if shard_of(f"sender-{n}", 2) == 1][:16]
        await new[0].client.schedule_new_workflow(collecting, input=20 * len(senders), instance_id=target)
        clients = [old[0].client, new[0].client]
        for n, sender in enumerate(senders):
            await clients[n % 2].schedule_new_workflow(relaying, input=target, instance_id=sender)
        words = (await ended(new[0].client, target)).result()
        assert sorted(words) == sorted([*range(20)] * len(senders))


async def test_a_version_without_engines_is_taken_care_of(make: MakeStores) -> None:
    """Timers and events of its instances arrive, it can be terminated, and goes on when its version is back."""
    serve = serving(Counter())
    async with pods(make, 1, serve=lambda _: serve, balance=False, version="v2", lease_seconds="1") as new:
        async with pods(make, 1, serve=lambda _: serve, balance=False, version="v1", lease_seconds="1") as old:
            for instance_id in ("kept", "ended"):
                await old[0].client.schedule_new_workflow(patient, instance_id=instance_id)
                await old[0].client.wait_for_workflow_start(instance_id, timeout_in_seconds=SECONDS)
        members, caretakers = new[0].engine.app.engine.context.membership, new[0].engine.app._caretakers
        assert caretakers is not None
        await until(lambda: not members.others("v1"), "the old version's engine gone")
        await caretakers.look()
        await new[0].client.raise_workflow_event("kept", "go", data="while away")
        await new[0].client.terminate_workflow("ended")
        state = await ended(new[0].client, "ended")
        assert state.runtime_status is wf.WorkflowStatus.TERMINATED
        async with pods(make, 1, serve=lambda _: serve, balance=False, version="v1", lease_seconds="1") as back:
            assert (await ended(back[0].client, "kept")).result() == ["while away", 6]
            await until(lambda: members.is_served("v1"))
            await caretakers.look()
            assert {member.engine_id for member in members.others("v1")} >= {
                back[0].engine.app.engine.context.engine_id
            }
            await until(lambda: len(members.others("v1")) == 1, "the caretaker gone")
