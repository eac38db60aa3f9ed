"""The engine's doors: tokens, unix sockets, probes, drain; and counters that tell the truth."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import tenuto as wf
from apps import SECONDS, ended, served
from engines import EngineHere, make_settings, short_folder
from scrapes import scraped
from tenuto import aio
from tenuto_engine.core.sharding import shard_of

Steps = Generator[Any, Any, Any]


def fail_twice(ctx: wf.WorkflowActivityContext) -> int:
    if ctx.attempt < 3:
        raise ConnectionError("not yet")
    return ctx.attempt


def everything(ctx: wf.WorkflowContext, fails: bool) -> Steps:
    policy = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=1), max_number_of_attempts=3)
    ctx.set_custom_status("under way")
    yield ctx.call_activity(fail_twice, retry_policy=policy)
    yield ctx.create_timer(timedelta(milliseconds=1))
    yield ctx.wait_for_external_event("go")
    if fails:
        raise ValueError("as asked")


@pytest.fixture
async def web(here: EngineHere) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=here.http) as web:
        yield web


async def test_unix_socket() -> None:
    """An engine on a unix socket serves worker and client."""
    with short_folder() as folder:
        settings = make_settings(listen=f"unix:{folder}/engine.sock")
        async with (
            EngineHere(settings) as engine,
            served(engine, workflows=[everything], activities=[fail_twice]) as it,
        ):
            await it.schedule_new_workflow(everything, input=False, instance_id="one")
            await it.raise_workflow_event("one", "go")
            assert (await ended(it, "one")).runtime_status.name == "COMPLETED"


@pytest.mark.parametrize(("folder_mode", "group_may"), [(0o2770, True), (0o770, False)])
async def test_unix_socket_is_shared_where_its_folder_is(folder_mode: int, group_may: bool) -> None:
    """In a setgid folder, as a pod's volume with an fsGroup is, the group may connect; elsewhere only the owner."""
    with short_folder() as folder:
        folder.chmod(folder_mode)
        async with EngineHere(make_settings(listen=f"unix:{folder}/engine.sock")):
            mode = (folder / "engine.sock").stat().st_mode
            assert bool(mode & 0o020) is group_may
            assert not mode & 0o002


async def test_token(tmp_path: Path) -> None:
    """With a token file nobody is served without the token, and everybody with it: by value or by file."""
    token = tmp_path / "token"
    token.write_text("secret-word\n")
    async with EngineHere(make_settings(token_file=str(token))) as engine:
        for wrong in ("", "other"):
            async with aio.WorkflowClient(engine=engine.address, token=wrong) as client:
                with pytest.raises(wf.AccessDenied, match=r"asks for a token.*TENUTO_TOKEN"):
                    await client.get_engine()
        runtime = wf.WorkflowRuntime(engine=engine.address, token_file=str(token))
        runtime.register_workflow(everything)
        runtime.register_activity(fail_twice)
        async with runtime, aio.WorkflowClient(engine=engine.address, token="secret-word") as client:
            await client.schedule_new_workflow(everything, input=False, instance_id="one")
            await client.raise_workflow_event("one", "go")
            await ended(client, "one")


async def test_probes_and_drain(here: EngineHere, web: httpx.AsyncClient) -> None:
    """A live engine is ready until it drains; then it is alive, not ready, and says why."""
    assert [(await web.get(path)).status_code for path in ("/livez", "/readyz")] == [200, 200]
    assert (await web.put("/drain")).status_code == 405
    assert (await web.get("/nothing")).status_code == 404
    assert (await web.post("/drain")).text == "drained\n"
    ready = await web.get("/readyz")
    assert (ready.status_code, "draining" in ready.text) == (503, True)
    assert (await web.get("/livez")).status_code == 200


async def test_counters(here: EngineHere, web: httpx.AsyncClient) -> None:
    """Every counter equals what was done, and what the store holds."""
    async with served(here, workflows=[everything], activities=[fail_twice]) as client:
        for number in range(4):
            await client.schedule_new_workflow(everything, input=number == 3, instance_id=f"i-{number}")
            await client.raise_workflow_event(f"i-{number}", "go")
        history = sum([(await ended(client, f"i-{number}")).history_length for number in range(4)])
        await client.raise_workflow_event("i-0", "too late")
        assert await client.purge_workflow("i-1") == 1
        seen = (await scraped(web)).short
    shown = {
        ("tenuto_workflow_started_total", "everything"): 4,
        ("tenuto_workflow_completed_total", "completed", "everything"): 3,
        ("tenuto_workflow_completed_total", "failed", "everything"): 1,
        ("tenuto_activity_completed_total", "3-5", "completed", "fail_twice"): 4,
        ("tenuto_activity_retries_total",): 8,
        ("tenuto_activity_deliveries_total",): 12,
        ("tenuto_reminder_fired_total", "timer", "ok"): 4,
        ("tenuto_messages_dropped_total", "terminal"): 1,
        ("tenuto_instances_purged_total",): 1,
        ("tenuto_state_records_total", "history"): history,
        ("tenuto_shards_owned",): 4,
        ("tenuto_sdk_streams",): 1,
        ("tenuto_fenced_writes_total",): 0,
        ("tenuto_nondeterminism_total", "non_deterministic"): 0,
        ("tenuto_nondeterminism_total", "unexpected_activity"): 0,
        ("tenuto_guard_refused_total",): 0,
    }
    assert {name: seen.get(name) for name in shown} == shown


async def test_retention() -> None:
    """Ended instances are erased by themselves once their retention and the window of known commands are over."""
    runtime = {"retain_completed_seconds": 0.0, "retain_failed_seconds": 3_600.0, "dedup_window_seconds": 0.1}
    async with (
        EngineHere(make_settings(runtime=runtime)) as engine,
        served(engine, workflows=[everything], activities=[fail_twice]) as client,
    ):
        for number in range(2):
            await client.schedule_new_workflow(everything, input=number == 1, instance_id=f"i-{number}")
            await client.raise_workflow_event(f"i-{number}", "go")
            await ended(client, f"i-{number}")
        while await client.get_workflow_state("i-0") is not None:
            pass
        shard = shard_of("i-0", 4)
        assert await engine.store.raw_records(shard, "i-0", limit=10) == []
        assert await client.get_workflow_state("i-1") is not None


async def test_state_records(here: EngineHere) -> None:
    """The raw records show the lesson's keys and, while it runs, what the shard keeps beside them."""
    async with served(here, workflows=[everything], activities=[fail_twice]) as client:
        await client.schedule_new_workflow(everything, input=False, instance_id="one")
        await client.wait_for_workflow_start("one", timeout_in_seconds=SECONDS)
        await client.raise_workflow_event("one", "go")
        await ended(client, "one")
        shown = await client.get_workflow_records("one")
        names = [record.key for record in shown.records]
        assert names[:3] == ["customStatus", "history-000000", "history-000001"]
        assert names[-1] == "metadata"
        assert shown.shard == shard_of("one", 4)
        assert [record.key for record in shown.related] == ["reminder retention 0"]
