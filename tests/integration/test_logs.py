"""What an engine logs: one naming, as text or JSON, and who did what to which instance, and why."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

import tenuto as wf
from engines import EngineProcess, short_folder

Steps = Generator[Any, Any, Any]
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def waiting(ctx: wf.WorkflowContext, _: None) -> Steps:
    """Waits for long."""
    yield ctx.create_timer(timedelta(hours=1))


def command_everything(address: str) -> str:
    """Give each command that changes an instance's fate; returns the id of its execution."""
    runtime = wf.WorkflowRuntime(engine=address)
    runtime.register_workflow(waiting)
    with runtime, wf.WorkflowClient(engine=address, requested_by="ada") as client:
        client.schedule_new_workflow(waiting, instance_id="i-1", trace_parent=TRACE)
        execution_id = client.wait_for_workflow_start("i-1", timeout_in_seconds=30).execution_id
        client.pause_workflow("i-1", reason="lunch")
        client.resume_workflow("i-1", reason="back")
        client.terminate_workflow("i-1", reason="obsolete")
        client.wait_for_workflow_completion("i-1", timeout_in_seconds=30)
        client.rerun_workflow_from_event("i-1", 1, new_instance_id="i-2", reason="repaired")
        client.wait_for_workflow_start("i-2", timeout_in_seconds=30)
        client.terminate_workflow("i-2")
        client.wait_for_workflow_completion("i-2", timeout_in_seconds=30)
        client.purge_workflow("i-1", reason="privacy")
    return execution_id


def test_json_lines_name_subject_requester_and_reason() -> None:
    """Every line is JSON; each command that changes a fate names instance, execution, shard, trace, who and why."""
    with short_folder() as folder:
        with EngineProcess(folder, "--log-format", "json", "--app", "shop") as engine:
            execution_id = command_everything(engine.address)
        lines = [json.loads(line) for line in engine.log.read_text().splitlines()]
    assert all({"app": "shop", "version": ""}.items() <= line.items() for line in lines)
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    told = {line["event"]: line for line in lines if line.get("instance") == "i-1"}
    reasons = {
        "suspend": "lunch",
        "resume": "back",
        "terminate": "obsolete",
        "rerun": "repaired",
        "purged": "privacy",
    }
    for event, reason in reasons.items():
        line = told[event]
        assert (line["requested_by"], line["reason"], line["execution"]) == ("ada", reason, execution_id), event
        assert isinstance(line["shard"], int)
    for event in ("suspend", "resume", "terminate", "purged"):
        assert told[event]["trace_id"] == TRACE[3:35]
    assert told["rerun"]["new_instance"] == "i-2"


@pytest.mark.parametrize("level", ["info", "error"])
def test_text_lines_are_for_people(level: str) -> None:
    """Text is the default; a level leaves out what is below it."""
    with short_folder() as folder:
        with EngineProcess(folder, "--log-level", level) as engine:
            command_everything(engine.address)
        text = engine.log.read_text()
    assert ("reason=privacy" in text) == (level == "info")
    assert "{" not in text
