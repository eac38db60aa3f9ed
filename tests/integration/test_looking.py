"""What clients see: lists, states, custom status, history, the engine itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tenuto as wf
from apps import SECONDS, ended, run, served
from engines import EngineHere, make_settings
from tenuto import aio
from tenuto.client import WorkflowStatus
from tenuto_engine.runtime import views

Steps = Generator[Any, Any, Any]
Client = aio.WorkflowClient
S = WorkflowStatus


def note(ctx: wf.WorkflowActivityContext, number: int) -> int:
    return number


def good(ctx: wf.WorkflowContext, number: int) -> Steps:
    ctx.set_custom_status({"at": number})
    return (yield ctx.call_activity(note, input=number))


def bad(ctx: wf.WorkflowContext, number: int) -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError(f"outer {number}") from error


def open_ended(ctx: wf.WorkflowContext) -> Steps:
    yield ctx.wait_for_external_event("never")


def long(ctx: wf.WorkflowContext, steps: int) -> Steps:
    for number in range(steps):
        yield ctx.call_activity(note, input=number)


@pytest.fixture
async def client(on_store: EngineHere) -> AsyncIterator[Client]:
    async with served(on_store, workflows=[good, bad, open_ended, long], activities=[note]) as client:
        yield client


async def test_listing(client: Client) -> None:
    """Instances are listed newest first, filtered by name, status, time and prefix, in pages without gap or double."""
    began = datetime.now(UTC) - timedelta(seconds=1)
    for number in range(7):
        await run(client, good, number, instance_id=f"good-{number}")
    await run(client, bad, 1, instance_id="bad-1")
    await client.schedule_new_workflow(open_ended, instance_id="open-1")
    await client.wait_for_workflow_start("open-1", timeout_in_seconds=SECONDS)

    async def ids(**wanted: Any) -> set[str]:
        return {state.instance_id async for state in client.iter_workflows(**wanted)}

    goods = {f"good-{number}" for number in range(7)}
    assert await ids() == goods | {"bad-1", "open-1"}
    assert await ids(name="good") == goods
    assert await ids(statuses=[S.FAILED, S.RUNNING]) == {"bad-1", "open-1"}
    assert await ids(id_prefix="good-") == goods
    assert await ids(name="good", statuses=[S.FAILED]) == set()
    assert await ids(created_from=began) == goods | {"bad-1", "open-1"}
    assert await ids(created_to=began) == set()
    pages = [await client.list_workflows(page_size=4)]
    while token := pages[-1].next_page_token:
        pages.append(await client.list_workflows(page_size=4, page_token=token))
    assert [len(page) for page in pages] == [4, 4, 1]
    times = [state.created_at for page in pages for state in page]
    assert times == sorted(times, reverse=True)


async def test_state(client: Client) -> None:
    """A state tells input, output, custom status, and a failure with its causes."""
    state = await run(client, good, 3)
    assert (state.input, state.result(), state.custom_status) == (3, 3, {"at": 3})
    failed = await run(client, bad, 4)
    assert failed.failure_details is not None
    assert failed.failure_details.cause is not None
    assert (failed.failure_details.error_type, failed.failure_details.cause.error_type) == ("ValueError", "KeyError")
    with pytest.raises(wf.WorkflowFailed, match="outer 4"):
        failed.result()
    short = await client.get_workflow_state(state.instance_id, fetch_payloads=False)
    assert short is not None
    assert (short.input, short.output, short.custom_status) == (None, None, None)
    assert await client.get_workflow_state("nobody") is None


async def test_waiting(client: Client) -> None:
    """A wait ends in time where nothing happens, and says for whom."""
    await client.schedule_new_workflow(open_ended, instance_id="open")
    with pytest.raises(wf.WaitTimeout, match="'open'"):
        await client.wait_for_workflow_completion("open", timeout_in_seconds=0.2)
    with pytest.raises(wf.InstanceNotFound, match="'nobody'"):
        await client.wait_for_workflow_completion("nobody", timeout_in_seconds=5)


async def test_history_in_pages(client: Client) -> None:
    """A history longer than a page arrives whole, in order, each event with its index."""
    await run(client, long, 400, instance_id="long")
    history = await client.get_workflow_history("long")
    assert [event.index for event in history] == list(range(len(history)))
    assert [event.type for event in history].count("ActivityCompleted") == 400
    state = await client.get_workflow_state("long")
    assert state is not None
    assert state.history_length == len(history)


async def test_ten_thousand_events() -> None:
    """A history of ten thousand events is recorded, replayed by a worker that does not know it, and read."""
    async with EngineHere(make_settings()) as engine:
        async with served(engine, workflows=[long], activities=[note]) as client:
            await client.schedule_new_workflow(long, input=3_400, instance_id="long")
            await client.wait_for_workflow_start("long", timeout_in_seconds=SECONDS)
            while (state := await client.get_workflow_state("long")) and state.history_length < 5_000:
                pass
        async with served(engine, workflows=[long], activities=[note]) as client:
            state = await client.wait_for_workflow_completion("long", timeout_in_seconds=60)
            assert state.runtime_status is S.COMPLETED
            assert len(await client.get_workflow_history("long")) == state.history_length > 10_000


async def test_waiting_for_a_worker(here: EngineHere, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance whose workflow no worker has registered says so, and runs once one has."""
    monkeypatch.setattr(views, "WAITING_SHOWS_AFTER_SECONDS", 0.0)
    async with aio.WorkflowClient(engine=here.address) as client:
        await client.schedule_new_workflow("good", input=1, instance_id="waits")
        while not (state := await client.get_workflow_state("waits")) or not state.status_reason:
            pass
        assert state.status_reason == "waiting_for: worker"
        assert [each.status_reason async for each in client.iter_workflows()] == ["waiting_for: worker"]
    async with served(here, workflows=[good], activities=[note]) as client:
        state = await ended(client, "waits")
        assert (state.result(), state.status_reason) == (1, "")


async def test_engine_facts(on_store: EngineHere, client: Client) -> None:
    """The engine tells what it serves, on what store, at which durability."""
    facts = await client.get_engine()
    assert (facts.app, facts.shards, facts.workers, facts.is_draining) == ("default", 4, 1, False)
    assert facts.durability == on_store.settings.durability
    assert facts.is_durability_verified
