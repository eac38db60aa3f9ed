"""Stores that die, pause, fill up and come back under load: nothing acknowledged is lost, and no engine restarts."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import tenuto as wf
from apps import SECONDS, ended, result, served
from engines import EngineHere, EngineProcess, make_settings, short_folder
from servers import RedisServer
from tenuto import aio
from tenuto_engine.storage.redis import RedisLeaseStore, RedisStore

Steps = Generator[Any, Any, Any]
Client = aio.WorkflowClient
STEPS = 6
LOAD = 60


class Ledger:
    """Counts the runs of each activity call."""

    def __init__(self) -> None:
        self.runs = Counter[str]()
        self.grew = asyncio.Event()

    async def reaches(self, count: int) -> None:
        while self.runs.total() < count:
            self.grew.clear()
            await self.grew.wait()

    async def step(self, ctx: wf.WorkflowActivityContext, number: int) -> int:
        self.runs[ctx.idempotency_key] += 1
        self.grew.set()
        return number + 1


def chain(ctx: wf.WorkflowContext, first: int) -> Steps:
    number = first
    for _ in range(STEPS):
        number = yield ctx.call_activity("step", input=number)
    yield ctx.create_timer(timedelta(milliseconds=20))
    return number


@asynccontextmanager
async def running(
    server: RedisServer, ledger: Ledger, durability: str = "D1"
) -> AsyncIterator[tuple[EngineHere, Client]]:
    """An engine on that server, with an app and a client that gives up soon."""
    stores = (
        RedisStore(server.url, app="default", key_prefix="tenuto", timeout_s=1.0),
        RedisLeaseStore(server.url, app="default", key_prefix="tenuto"),
    )
    settings = make_settings(lease_seconds="1", durability=durability)
    async with (
        EngineHere(settings, stores) as engine,
        served(engine, workflows=[chain], activities=[ledger.step]) as it,
    ):
        yield engine, it


async def start_load(client: Client) -> list[str]:
    """Start many instances at once; the ids of those acknowledged."""
    starts = (client.schedule_new_workflow(chain, input=i, instance_id=f"load-{i}") for i in range(LOAD))
    return list(await asyncio.gather(*starts))


async def start_until_refused(client: Client, accepted: list[str]) -> None:
    """Start instance after instance, noting those acknowledged, until the engine raises."""
    for number in range(10_000):
        await client.schedule_new_workflow(chain, input=number, instance_id=f"more-{number}")
        accepted.append(f"more-{number}")


async def check_load(client: Client, accepted: list[str]) -> None:
    """Every acknowledged instance ends as if nothing had happened."""
    for instance_id in accepted:
        state = await ended(client, instance_id)
        assert state.result() == int(instance_id.partition("-")[2]) + STEPS
    assert len(accepted) == LOAD


@pytest.fixture
async def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def server(tmp_path: Path) -> Any:
    """A Redis that writes each command to the disk before it answers."""
    server = RedisServer(tmp_path / "redis", appendfsync="always")
    server.start()
    yield server
    server.resume()
    server.stop()


async def test_redis_killed(server: RedisServer, ledger: Ledger) -> None:
    """Redis dies under load and starts again: all goes on, and a call runs again only if its result was in flight."""
    async with running(server, ledger, durability="D2") as (engine, client):
        load = asyncio.create_task(start_load(client))
        await ledger.reaches(LOAD)
        server.kill()
        await asyncio.to_thread(server.start)
        await check_load(client, await load)
        assert (await client.get_engine()).engine_id == engine.app.engine.context.engine_id
    assert len(ledger.runs) == LOAD * STEPS
    assert ledger.runs.total() == LOAD * STEPS, "the application lived, so no attempt runs twice"


async def test_redis_paused(server: RedisServer, ledger: Ledger) -> None:
    """Redis stands still for longer than a lease: commands wait or fail clearly, and all goes on afterwards."""
    async with running(server, ledger) as (engine, client):
        load = asyncio.create_task(start_load(client))
        await ledger.reaches(LOAD)
        server.pause()
        async with aio.WorkflowClient(engine=engine.address, retry_window=timedelta(0)) as hasty:
            with pytest.raises((wf.EngineUnavailable, wf.OutcomeUnknown), match="'during'"):
                await hasty.schedule_new_workflow(chain, input=0, instance_id="during")
        server.resume()
        await check_load(client, await load)


async def test_redis_that_takes_no_writes(server: RedisServer, ledger: Ledger) -> None:
    """While an administrator pauses writes, commands wait; then they are executed, once."""
    async with running(server, ledger) as (_, client):
        load = asyncio.create_task(start_load(client))
        await ledger.reaches(LOAD)
        with server.client() as admin:
            admin.execute_command("CLIENT", "PAUSE", "1500", "WRITE")
        await check_load(client, await load)


async def test_redis_full(server: RedisServer, ledger: Ledger) -> None:
    """A Redis without memory refuses writes; the caller learns it, reads go on, and so does all once there is room."""
    async with running(server, ledger) as (engine, client):
        load = asyncio.create_task(start_load(client))
        await ledger.reaches(LOAD)
        with server.client() as admin:
            admin.config_set("maxmemory-policy", "noeviction")
            admin.config_set("maxmemory", "1mb")
            async with aio.WorkflowClient(engine=engine.address, retry_window=timedelta(0)) as hasty:
                with pytest.raises(wf.EngineUnavailable, match=r"'refused'.*(OOM|memory)"):
                    await hasty.schedule_new_workflow(chain, input=0, instance_id="refused")
                assert await hasty.get_workflow_state("refused") is None
            admin.config_set("maxmemory", "0")
        await check_load(client, await load)
        assert await result(client, chain, 1) == 1 + STEPS


async def test_disk_full(ledger: Ledger) -> None:
    """A file that cannot grow refuses commands with a clear sentence; given room, the same engine goes on."""
    with short_folder() as folder, EngineProcess(folder, "--shards", "4", store=f"sqlite:///{folder}/s.db") as engine:
        runtime = wf.WorkflowRuntime(engine=engine.address)
        runtime.register_workflow(chain)
        runtime.register_activity(ledger.step, name="step")
        async with runtime, aio.WorkflowClient(engine=engine.address, retry_window=timedelta(0)) as client:
            accepted = await start_load(client)
            _, hard = resource.prlimit(engine.pid, resource.RLIMIT_FSIZE)
            size = max(file.stat().st_size for file in folder.iterdir())
            resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (size + 65_536, hard))
            with pytest.raises(wf.EngineUnavailable, match=r"'more-.*(full|disk|I/O)"):
                await start_until_refused(client, accepted)
            assert await client.get_workflow_state("load-0") is not None
            resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (hard, hard))
            for instance_id in accepted:
                state = await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)
                assert state.result() == int(instance_id.partition("-")[2]) + STEPS
