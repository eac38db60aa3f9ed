"""Applications that die alone, and an engine that dies within a turn too large for one commit."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crash import fragile_app
from crash.scenario import SECONDS, App
from engines import EngineProcess, short_folder
from tenuto import aio
from tenuto.client import WorkflowState, WorkflowStatus

WIDE = 2_500
TRIES = 5  # of a turn, after which its instance is stalled


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[EngineProcess]:
    with EngineProcess(folder, "--shards", "4", store=f"sqlite:///{folder}/state.db") as engine:
        yield engine


@pytest.fixture
async def app(engine: EngineProcess, folder: Path) -> AsyncIterator[App]:
    app = App(engine, folder / "ledger", fragile_app.__file__)
    app.start()
    yield app
    app.stop()


@pytest.fixture
async def client(engine: EngineProcess) -> AsyncIterator[aio.WorkflowClient]:
    async with aio.WorkflowClient(engine=engine.address) as client:
        yield client


async def die(app: App, *, times: int) -> None:
    """Wait until the application has killed itself so often, started again each time but the last."""
    for time in range(times):
        if time:
            app.start()
        assert await asyncio.to_thread(app.wait_for_death) == -signal.SIGKILL


async def ended(client: aio.WorkflowClient, instance_id: str) -> WorkflowState:
    return await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)


def mend(folder: Path) -> None:
    """End the dying."""
    (folder / "ledger.mended").touch()


def lines(folder: Path) -> Counter[str]:
    return Counter((folder / "ledger").read_text().splitlines())


async def test_death_in_an_activity(folder: Path, app: App, client: aio.WorkflowClient) -> None:
    """An activity that kills its process is delivered again to the next one, as the same attempt; what ended stays."""
    await client.schedule_new_workflow("dies_in_activity", instance_id="one")
    await die(app, times=3)
    mend(folder)
    app.start()
    assert (await ended(client, "one")).result() == [1, 2]
    assert lines(folder) == {"work 1": 1, "die_working 2 attempt 1": 4}


async def test_death_in_a_turn(folder: Path, app: App, client: aio.WorkflowClient) -> None:
    """Code that kills its process is tried five times; then its instance stalls, until mended code is resumed."""
    await client.schedule_new_workflow("dies_in_turn", instance_id="one")
    await die(app, times=TRIES)
    app.start()
    while (state := await client.get_workflow_state("one")) and state.runtime_status is not WorkflowStatus.STALLED:
        pass
    assert state is not None
    assert f"the turn failed {TRIES} times in a row" in state.status_reason
    assert lines(folder) == {"work 1": 1, "turn": TRIES}
    # Others are not concerned.
    await client.schedule_new_workflow("wide", input=3, instance_id="other")
    assert (await ended(client, "other")).result() == 3
    mend(folder)
    await client.resume_workflow("one")
    assert (await ended(client, "one")).result() == [1, 2]
    assert lines(folder)["turn"] == TRIES + 1


async def test_death_between_turns(folder: Path, app: App, client: aio.WorkflowClient) -> None:
    """An application killed while its instances wait goes on with them from history, and runs nothing again."""
    mend(folder)
    for name in ("dies_in_turn", "dies_in_activity"):
        await client.schedule_new_workflow(name, instance_id=name)
        await client.pause_workflow(name)
    app.kill()
    app.start()
    for name in ("dies_in_turn", "dies_in_activity"):
        await client.resume_workflow(name)
        assert (await ended(client, name)).result() == [1, 2]


@pytest.mark.parametrize("fault", ["commit:after#1", "commit:before#2", "commit:after#2", "commit:before#3"])
async def test_death_within_a_large_turn(fault: str, folder: Path) -> None:
    """A turn recorded in part is completed by the next engine: every activity of it runs, and none twice."""
    engine = EngineProcess(folder, "--shards", "4", store=f"sqlite:///{folder}/state.db")
    app = App(engine, folder / "ledger", fragile_app.__file__)
    engine.start(TENUTO_FAULT=fault, TENUTO_ALLOW_FAULTS="1")
    app.start()
    try:
        async with aio.WorkflowClient(engine=engine.address) as client:
            await client.schedule_new_workflow("wide", input=WIDE, instance_id="wide")
            assert await asyncio.to_thread(engine.wait_for_death) == -signal.SIGKILL
            engine.start()
            assert (await ended(client, "wide")).result() == sum(range(WIDE))
            history = await client.get_workflow_history("wide")
    finally:
        app.stop()
        engine.stop()
    assert lines(folder) == {f"work {number}": 1 for number in range(WIDE)}
    scheduled = Counter(event.event_id for event in history if event.type == "ActivityScheduled")
    assert (len(scheduled), set(scheduled.values())) == (WIDE, {1})
