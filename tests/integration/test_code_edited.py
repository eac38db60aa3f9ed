"""Code edited under running instances: each edit is told exactly, harms nothing, and put right the instance goes on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

import tenuto as wf
from apps import ended, served
from determinism_edits import EDITS, ORIGINAL, activities_of, load, paste
from engines import BIN, EngineHere, EngineProcess, make_settings, short_folder
from scrapes import scraped
from tenuto import aio
from tenuto._replay import events
from tenuto.client import WorkflowState
from tenuto_engine.storage.sqlite import SqliteLeaseStore, SqliteStore, WriteGate

Steps = Any


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[EngineHere]:
    """An engine over SQLite: what stalls is read back from a file."""
    path, gate = str(tmp_path / "state.db"), WriteGate()
    store = SqliteStore(path, app="default", key_prefix="tenuto", gate=gate)
    async with EngineHere(make_settings(durability="D2"), (store, SqliteLeaseStore(path, gate=gate))) as engine:
        yield engine


@asynccontextmanager
async def deployed(engine: EngineHere, module: types.ModuleType, **options: Any) -> AsyncIterator[aio.WorkflowClient]:
    """One release of the app: the module's workflow and its activities. The guard only warns: it would come first."""
    activities = activities_of(module)
    async with served(engine, workflows=[module.order], activities=activities, guard="warn", **options) as client:
        yield client


async def reached(client: aio.WorkflowClient, instance_id: str, status: str) -> WorkflowState:
    """Wait for a status."""
    while True:
        state = await client.get_workflow_state(instance_id)
        if state is not None and state.runtime_status.name == status:
            return state


async def waits_for_event(client: aio.WorkflowClient, instance_id: str) -> None:
    """Wait until the three activities are recorded with their results: now it waits to be picked up."""
    while True:
        history = await client.get_workflow_history(instance_id)
        if sum(item.type == "ActivityCompleted" for item in history) == 3:
            return


def first_cause(report: str) -> str:
    """The likeliest cause."""
    return next(line for line in report.splitlines() if line.startswith("  1. "))


CODES = dict.fromkeys(EDITS, "UNEXPECTED_ACTIVITY") | {"timer": "NON_DETERMINISTIC"}
TEXTS = {
    "UNEXPECTED_ACTIVITY": "UNEXPECTED_ACTIVITY: Workflow tried to call different activity than recorded",
    "NON_DETERMINISTIC": "NON_DETERMINISTIC: Workflow code changed or behaves differently",
}
HINTS = {
    "renamed": "activity 'charge' was renamed",
    "reordered": "the order was changed: activity 'pack' is now asked for before activity 'charge'",
    "removed": "activity 'charge' was removed",
    "added": "activity 'inspect' was added before activity 'charge'",
    "timer": "a timer was added before activity 'charge'",
    "clock": "a branch goes another way than when this was recorded",
}


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edit_stalls_and_the_instance_goes_on_when_put_right(
    edit: str, here: EngineHere, tmp_path: Path
) -> None:
    """The exact error with the right hint; what arrives meanwhile is kept; with corrected code it completes.

    Corrected is the patched code where a patch is right, and the original elsewhere.
    """
    async with deployed(here, load(tmp_path / "release_1", ORIGINAL)) as client:
        await client.schedule_new_workflow("order", input="tea", instance_id="o-1")
        await waits_for_event(client, "o-1")
    async with deployed(here, load(tmp_path / "release_2", EDITS[edit])) as client:
        await client.raise_workflow_event("o-1", "picked up")
        report = (await reached(client, "o-1", "STALLED")).status_reason
        assert report.splitlines()[0] == TEXTS[CODES[edit]]
        assert HINTS[edit] in first_cause(report)
        assert "release_1/orders.py:28" in report
        if edit == "clock":
            assert "- release_2/orders.py:28: if datetime.now().year > 2000" in report
        # It is not tried again by itself, and others are not concerned.
        fresh = await client.schedule_new_workflow("order", input="milk")
        await client.raise_workflow_event(fresh, "picked up")
        assert (await ended(client, fresh)).runtime_status.name == "COMPLETED"
        assert (await reached(client, "o-1", "STALLED")).status_reason == report
    async with httpx.AsyncClient(base_url=here.http) as web:
        counted = (await scraped(web)).short
    assert counted["tenuto_nondeterminism_total", CODES[edit].lower()] == 1
    corrected = ORIGINAL if edit == "clock" else paste(report, EDITS[edit])
    async with deployed(here, load(tmp_path / "release_3", corrected)) as client:
        assert (await reached(client, "o-1", "STALLED")).status_reason == report
        await client.resume_workflow("o-1")
        state = await ended(client, "o-1")
        assert state.result()[0] == "tea reserved"
        history = await client.get_workflow_history("o-1")
        codes = [item.event.code_hash for item in history if isinstance(item.event, events.TurnStarted)]
        assert len(set(codes) - {""}) == (1 if edit == "clock" else 2)


async def test_the_commands_show_the_whole_report(tmp_path: Path) -> None:
    """`workflow get` and `trace` print it as it was told, a list the beginning of its first line."""
    with short_folder() as folder, EngineProcess(folder) as process:
        here = cast(EngineHere, process)  # the address is all that is asked of it
        async with deployed(here, load(tmp_path / "release_1", ORIGINAL)) as client:
            await client.schedule_new_workflow("order", input="tea", instance_id="o-1")
            await waits_for_event(client, "o-1")
        async with deployed(here, load(tmp_path / "release_2", EDITS["renamed"])) as client:
            await client.raise_workflow_event("o-1", "picked up")
            report = (await reached(client, "o-1", "STALLED")).status_reason

        def said(*words: str) -> str:
            command = [str(BIN / "tenuto"), *words]
            return subprocess.run(command, env=process.environment, capture_output=True, text=True, check=True).stdout

        for words in (("workflow", "get", "o-1"), ("trace", "o-1")):
            shown = [line.rstrip() for line in said(*words).splitlines()]
            assert [line for line in report.splitlines() if len(line) < 140 and line.rstrip() not in shown] == []
        assert "STALLED (UNEXPECTED_ACTIVITY: Workflow tried" in said("workflow", "list")
        assert json.loads(said("--output", "json", "workflow", "get", "o-1"))["status_reason"] == report
        assert "code " in said("workflow", "history", "o-1")


async def test_the_log_has_each_difference_once(
    here: EngineHere, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of many instances that meet the same difference, the first one's report is logged whole, then a line for each."""
    names = ["o-1", "o-2", "o-3"]
    async with deployed(here, load(tmp_path / "release_1", ORIGINAL)) as client:
        for name in names:
            await client.schedule_new_workflow("order", input="tea", instance_id=name)
            await waits_for_event(client, name)
    async with deployed(here, load(tmp_path / "release_2", EDITS["removed"])) as client:
        for name in names:
            await client.raise_workflow_event(name, "picked up")
            await reached(client, name, "STALLED")
    lines = [record.getMessage() for record in caplog.records if "stalls" in record.getMessage()]
    assert [len(line.splitlines()) > 20 for line in lines] == [True, False, False]
    assert "'o-3' stalls with UNEXPECTED_ACTIVITY like instance 'o-1'" in lines[2]


async def test_it_goes_on_at_the_version_that_wrote_it(here: EngineHere, tmp_path: Path) -> None:
    """The old code need only come back; results and events that arrived while it stalled are there."""
    first = load(tmp_path / "release_1", ORIGINAL)
    async with deployed(here, first) as client:
        await client.schedule_new_workflow("order", input="tea", instance_id="o-1")
        await waits_for_event(client, "o-1")
    async with deployed(here, load(tmp_path / "release_2", EDITS["removed"])) as client:
        await client.raise_workflow_event("o-1", "other")
        await reached(client, "o-1", "STALLED")
        await client.raise_workflow_event("o-1", "picked up")
    async with deployed(here, first) as client:
        await client.resume_workflow("o-1")
        assert (await ended(client, "o-1")).result() == ["tea reserved", "tea charged", "tea packed"]
        history = await client.get_workflow_history("o-1")
        raised = [item.event.name for item in history if isinstance(item.event, events.EventRaised)]
        assert raised == ["other", "picked up"]


async def test_what_arrives_while_stalled_is_kept(here: EngineHere) -> None:
    """An activity's result, a timer and an event wait in the inbox, and are taken in one go when it is resumed."""
    may_end = asyncio.Event()

    async def first(ctx: wf.WorkflowActivityContext) -> None: ...

    async def second(ctx: wf.WorkflowActivityContext) -> None: ...

    async def slow(ctx: wf.WorkflowActivityContext) -> str:
        await may_end.wait()
        return "slow"

    def release(name: str) -> Any:
        def flow(ctx: wf.WorkflowContext) -> Steps:
            pending = ctx.call_activity(slow)
            yield ctx.call_activity(name)
            begun = yield ctx.wait_for_external_event("begin")
            timer = ctx.create_timer(timedelta(milliseconds=50))
            yield timer
            return [begun, (yield ctx.wait_for_external_event("go")), (yield pending)]

        return flow

    async with served(here, activities=[first, second, slow]) as client:
        async with served(here, workflows=[release("first")]):
            await client.schedule_new_workflow("flow", instance_id="f")
            while "ActivityCompleted" not in [item.type for item in await client.get_workflow_history("f")]:
                pass
        async with served(here, workflows=[release("second")]):
            await client.raise_workflow_event("f", "begin", data=1)
            await reached(client, "f", "STALLED")
        await client.raise_workflow_event("f", "go", data=2)
        may_end.set()
        while len([r for r in (await client.get_workflow_records("f")).records if r.key.startswith("inbox-")]) < 3:
            pass
        assert (await reached(client, "f", "STALLED")).status_reason.startswith(TEXTS["UNEXPECTED_ACTIVITY"])
        async with served(here, workflows=[release("first")]):
            await client.resume_workflow("f")
            assert (await ended(client, "f")).result() == [1, 2, "slow"]


async def test_a_stalled_instance_is_rerun_from_where_the_report_says(here: EngineHere, tmp_path: Path) -> None:
    """Terminated, it runs again with the new code from the operation that the report names."""
    async with deployed(here, load(tmp_path / "release_1", ORIGINAL)) as client:
        await client.schedule_new_workflow("order", input="tea", instance_id="o-1")
        await waits_for_event(client, "o-1")
    async with deployed(here, load(tmp_path / "release_2", EDITS["renamed"])) as client:
        await client.raise_workflow_event("o-1", "other")
        report = (await reached(client, "o-1", "STALLED")).status_reason
        command = report.rpartition("tenuto workflow rerun ")[2].split()
        assert command == ["o-1", "1", "--id", "o-1-again"]
        await client.terminate_workflow("o-1")
        await ended(client, "o-1")
        await client.rerun_workflow_from_event("o-1", int(command[1]), new_instance_id=command[3])
        await client.raise_workflow_event("o-1-again", "picked up")
        assert (await ended(client, "o-1-again")).result() == ["tea reserved", "tea charged by card", "tea packed"]


async def test_a_hostile_report_is_cut(here: EngineHere) -> None:
    """What a worker says of a stall is bounded by the engine, so that lists and commits stay small."""
    names = ["n" * 500 + str(number) for number in range(60)]

    async def nothing(ctx: wf.WorkflowActivityContext) -> None: ...

    def version(order: list[str]) -> Any:
        def fan_out(ctx: wf.WorkflowContext) -> Steps:
            yield wf.when_all([ctx.call_activity(name) for name in order])

        return fan_out

    async with served(here, workflows=[version(names)]) as client:
        await client.schedule_new_workflow("fan_out", instance_id="f")
        while not (state := await client.get_workflow_state("f")) or state.history_length < 60:
            pass
    async with served(here, workflows=[version(names[::-1])]) as client:
        await client.raise_workflow_event("f", "wake")
        state = await reached(client, "f", "STALLED")
        assert 1_000 < len(state.status_reason) <= 8_192
        (listed,) = await client.list_workflows()
        assert listed.status_reason == state.status_reason


async def test_children_and_renewed_executions_are_checked(here: EngineHere) -> None:
    """A child's own change stalls the child alone; its parent goes on once it is put right, in each execution."""

    def release(child_name: str, second: str) -> list[Any]:
        def child(ctx: wf.WorkflowContext, rounds: int) -> Steps:
            yield ctx.call_activity(second)
            yield ctx.wait_for_external_event("go")
            if rounds:
                ctx.continue_as_new(rounds - 1)
                return None
            return second

        child.__name__ = child_name

        def parent(ctx: wf.WorkflowContext) -> Steps:
            return (yield ctx.call_child_workflow(child_name, input=1, instance_id="c"))

        return [child, parent]

    async def one(ctx: wf.WorkflowActivityContext) -> None: ...

    async def two(ctx: wf.WorkflowActivityContext) -> None: ...

    async def settled(client: aio.WorkflowClient, generation: int) -> None:
        while True:
            state = await client.get_workflow_state("c")
            if state and state.generation == generation and state.history_length >= 5:
                return

    async with served(here, workflows=release("child", "one"), activities=[one, two]) as client:
        await client.schedule_new_workflow("parent", instance_id="p")
        await settled(client, 1)
        await client.raise_workflow_event("c", "go")
        await settled(client, 2)
    async with served(here, workflows=release("child", "two"), activities=[one, two]) as client:
        await client.raise_workflow_event("c", "go")
        report = (await reached(client, "c", "STALLED")).status_reason
        assert report.startswith(TEXTS["UNEXPECTED_ACTIVITY"])
        assert "  workflow:  'child'" in report
        assert (await client.get_workflow_state("p")).runtime_status.name == "RUNNING"  # type: ignore[union-attr]
    async with served(here, workflows=release("child", "one"), activities=[one, two]) as client:
        await client.resume_workflow("c")
        assert (await ended(client, "p")).result() == "one"


async def test_a_parent_that_calls_another_child_stalls(here: EngineHere) -> None:
    """Children are compared by name; activities under a name of their own too."""

    def release(name: str) -> Any:
        def parent(ctx: wf.WorkflowContext) -> Steps:
            yield ctx.call_child_workflow(name, instance_id=f"child-{name}")
            yield ctx.wait_for_external_event("go")

        return parent

    def first(ctx: wf.WorkflowContext) -> None: ...

    def second(ctx: wf.WorkflowContext) -> None: ...

    async with served(here, workflows=[release("first"), first, second]) as client:
        await client.schedule_new_workflow("parent", instance_id="p")
        while not (state := await client.get_workflow_state("p")) or state.history_length < 5:
            pass
    async with served(here, workflows=[release("second"), first, second]) as client:
        await client.raise_workflow_event("p", "go")
        report = (await reached(client, "p", "STALLED")).status_reason
        assert report.startswith(TEXTS["NON_DETERMINISTIC"])
        assert "child workflow 'first'" in report
    async with served(here, workflows=[release("first"), first, second]) as client:
        await client.resume_workflow("p")
        await ended(client, "p")


async def test_inputs_are_checked_by_option(here: EngineHere, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime's option and the variable both do it; a word that is neither yes nor no is refused."""
    value = ["old"]

    async def one(ctx: wf.WorkflowActivityContext, text: str) -> str:
        return text

    def flow(ctx: wf.WorkflowContext) -> Steps:
        yield ctx.call_activity(one, input=value[0])
        yield ctx.wait_for_external_event("go")

    async with served(here, workflows=[flow], activities=[one]) as client:
        for name in ("a", "b"):
            await client.schedule_new_workflow("flow", instance_id=name)
            while not (state := await client.get_workflow_state(name)) or state.history_length < 5:
                pass
    value[0] = "new"
    async with served(here, workflows=[flow], activities=[one]) as client:
        await client.raise_workflow_event("a", "go")
        assert (await ended(client, "a")).runtime_status.name == "COMPLETED"
    monkeypatch.setenv("TENUTO_CHECK_INPUTS", "1")
    async with served(here, workflows=[flow], activities=[one]) as client:
        await client.raise_workflow_event("b", "go")
        report = (await reached(client, "b", "STALLED")).status_reason
        assert report.startswith(TEXTS["NON_DETERMINISTIC"])
    monkeypatch.setenv("TENUTO_CHECK_INPUTS", "maybe")
    with pytest.raises(ValueError, match="TENUTO_CHECK_INPUTS is 'maybe'; give 1 or 0"):
        wf.WorkflowRuntime()
    async with served(here, workflows=[flow], activities=[one], check_inputs=False) as client:
        await client.resume_workflow("b")
        assert (await ended(client, "b")).runtime_status.name == "COMPLETED"
