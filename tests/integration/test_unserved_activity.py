"""A call whose activity no worker has registered: seen from outside, and mended by starting one that has."""

from __future__ import annotations

from typing import Any

import pytest

import tenuto as wf
from apps import ended, served
from engines import EngineHere
from tenuto._trace.build import build_trace
from tenuto_engine.runtime import views


def calls(ctx: wf.WorkflowContext) -> Any:
    return (yield ctx.call_activity("elsewhere", input=2))


def elsewhere(_ctx: wf.WorkflowActivityContext, number: int) -> int:
    return number * 2


async def test_a_call_without_a_worker_names_its_activity(here: EngineHere, monkeypatch: pytest.MonkeyPatch) -> None:
    """State and trace say which activity is missing; a second process that has it lets the instance complete."""
    monkeypatch.setattr(views, "WAITING_SHOWS_AFTER_SECONDS", 0.0)
    async with served(here, workflows=[calls]) as client:
        await client.schedule_new_workflow(calls, instance_id="one")
        await client.wait_for_workflow_start("one")
        state = await client.get_workflow_state("one")
        assert state is not None
        assert state.status_reason == "waiting_for: worker (activity 'elsewhere')"
        trace = build_trace(state, await client.get_workflow_history("one"), await client.get_workflow_records("one"))
        assert any("a worker that registers the activity 'elsewhere'" in step.what for step in trace.nexts)
        async with served(here, activities=[elsewhere]):
            assert (await ended(client, "one")).result() == 4
