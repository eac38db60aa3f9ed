"""The task pipeline: validate a task, assign it, notify the person it was given to.

Every activity appends a line to a ledger file, as a real one would call a service: whoever counts the lines knows how
often each activity ran, whatever was killed meanwhile. The ledger's path is part of the input, because a workflow
must not read its environment: what it reads would not be the same in a replay.

Run it beside an engine (`tenuto-engine`, or `tenuto dev`): `python examples/pipeline/app.py`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypedDict

import tenuto as wf

wfr = wf.WorkflowRuntime()


class Task(TypedDict):
    """What the workflow is started with."""

    id: str
    title: str
    ledger: str


class Validated(TypedDict):
    """The verdict of `validate_task`."""

    valid: bool
    effort_hours: int


class Assignment(TypedDict):
    """Whom `assign_task` chose."""

    assignee: str
    effort_hours: int


class Notice(TypedDict):
    """What `send_notification` did."""

    recipient: str
    message: str


@wfr.workflow
def task_pipeline(ctx: wf.DaprWorkflowContext, task: Task) -> Generator[Any, Any, dict[str, Any]]:
    """Run the three activities one after the other, each on what the one before it returned."""
    validated: Validated = yield ctx.call_activity(validate_task, input=task)
    if not validated["valid"]:
        return {"task": task["id"], "status": "rejected"}
    assignment: Assignment = yield ctx.call_activity(assign_task, input={**task, **validated})
    notice: Notice = yield ctx.call_activity(send_notification, input={**task, **assignment})
    return {"task": task["id"], "status": "assigned", **assignment, "notified": notice["recipient"]}


@wfr.activity
def validate_task(ctx: wf.WorkflowActivityContext, task: dict[str, Any]) -> Validated:
    """Check the task and estimate it."""
    note_run(ctx, task["ledger"])
    return {"valid": bool(task["title"].strip()), "effort_hours": 2 + len(task["title"]) % 6}


@wfr.activity
def assign_task(ctx: wf.WorkflowActivityContext, task: dict[str, Any]) -> Assignment:
    """Choose who does it."""
    note_run(ctx, task["ledger"])
    people = ("Ada", "Grace", "Katherine")
    return {"assignee": people[task["effort_hours"] % len(people)], "effort_hours": task["effort_hours"]}


@wfr.activity
def send_notification(ctx: wf.WorkflowActivityContext, task: dict[str, Any]) -> Notice:
    """Tell that person."""
    note_run(ctx, task["ledger"])
    return {"recipient": task["assignee"], "message": f"'{task['title']}' is yours, about {task['effort_hours']} h"}


def note_run(ctx: wf.WorkflowActivityContext, ledger: str) -> None:
    """Append one line to the ledger and force it to disk, so that not even a SIGKILL hides that this ran."""
    line = {"activity": ctx.activity_name, "key": ctx.idempotency_key, "attempt": ctx.attempt, "pid": os.getpid()}
    with Path(ledger).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    wfr.run()
