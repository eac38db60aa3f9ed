"""Caretakers end with their work, and with the engine beside which they live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from engines import EngineHere
from faulty import World, until
from tenuto_engine.core.status import Status
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime import caretakers as caretakers_module
from tenuto_engine.runtime.caretakers import Caretakers
from tenuto_engine.runtime.engine import Engine
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An engine of a later version than the one that is cared for."""
    async with World(
        state=MemoryState(), version="v2", lease_seconds=0.6, drain_seconds=0.5, sweep_seconds=0.05
    ) as made:
        yield made


async def caring(world: World) -> tuple[Caretakers, Engine]:
    """The engine's caretakers, and the one of a version that has an instance and no engine."""
    caretakers = Caretakers(world.engine, cast(Store, world.store), lambda: MemoryLeaseStore(state=world.state))
    await until(lambda: world.engine.context.membership.members, "a roll")
    await world.begin("order-1", version="v1")
    await caretakers.look()
    caretaker = caretakers._by_version["v1"]
    await until(lambda: caretaker.owned.shards, "shards of the old version")
    return caretakers, caretaker


def is_member(world: World, engine: Engine) -> bool:
    """Whether an engine stands in the store as a member."""
    return engine.context.engine_id in world.state.members


async def test_nothing_is_kept_for_a_version_of_which_nothing_is_left(world: World) -> None:
    """A process that sees many versions come and go keeps no engine for each of them."""
    caretakers, caretaker = await caring(world)
    await world.terminate("order-1")
    await until(lambda: world.status("order-1") is Status.TERMINATED)
    await caretakers.look()
    assert is_member(world, caretaker)  # until retention has removed it
    await world.engine.commands.purge("order-1", recursive=False, force=False, requested_by="test")
    await caretakers.look()
    assert not is_member(world, caretaker)


async def test_a_caretaker_that_is_just_ending_is_ended_with_its_engine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its leases are released, although the look that began to end it is cancelled."""
    monkeypatch.setattr(caretakers_module, "_PAUSE_SECONDS", 0.01)
    caretakers, caretaker = await caring(world)
    began, drain = asyncio.Event(), caretaker.drain

    async def slow() -> None:
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()
        await drain()

    monkeypatch.setattr(caretaker, "drain", slow)
    await world.terminate("order-1")
    await until(lambda: world.status("order-1") is Status.TERMINATED)
    await world.engine.commands.purge("order-1", recursive=False, force=False, requested_by="test")
    running = asyncio.create_task(caretakers.run())
    await began.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not is_member(world, caretaker)


async def test_an_engine_that_stops_drains_beside_its_caretakers() -> None:
    """One that takes long to end takes nothing of the time in which the engine's own work may end."""
    gate = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await gate.wait()

    here = await EngineHere().__aenter__()
    here.app._tasks.start(stubborn(), name="caretakers")
    await asyncio.sleep(0)
    stopping = asyncio.create_task(here.__aexit__(None, None, None))
    try:
        await until(lambda: here.app.engine.owned.draining, "a drain")
    finally:
        gate.set()
        await stopping
