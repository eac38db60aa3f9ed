"""A command that was answered shows in the next read."""

from __future__ import annotations

from typing import Any

import tenuto as wf
from apps import served
from engines import EngineHere
from tenuto.client import WorkflowState, WorkflowStatus


def waits(ctx: wf.WorkflowContext) -> Any:
    return (yield ctx.wait_for_external_event("go"))


async def test_pause_resume_and_terminate_show_at_once(on_store: EngineHere) -> None:
    """After each of them the state says so, as it does in Dapr's sample programs."""
    async with served(on_store, workflows=[waits]) as client:

        async def status() -> WorkflowStatus:
            state: WorkflowState | None = await client.get_workflow_state("one")
            assert state is not None
            return state.runtime_status

        await client.schedule_new_workflow(waits, instance_id="one")
        await client.wait_for_workflow_start("one")
        for _ in range(5):
            await client.pause_workflow("one")
            assert await status() is WorkflowStatus.SUSPENDED
            await client.resume_workflow("one")
            assert await status() is WorkflowStatus.RUNNING
        await client.terminate_workflow("one")
        assert await status() is WorkflowStatus.TERMINATED


async def test_commands_without_a_worker(here: EngineHere) -> None:
    """An instance that no worker runs is paused, resumed and terminated all the same."""
    async with served(here) as client:
        await client.schedule_new_workflow("nobody's", instance_id="one")
        for command, wanted in (
            (client.pause_workflow, "SUSPENDED"),
            (client.resume_workflow, "RUNNING"),
            (client.terminate_workflow, "TERMINATED"),
        ):
            await command("one")
            state = await client.get_workflow_state("one")
            assert state is not None
            assert state.runtime_status.name == wanted
