"""Folders."""

import os
from glob import iglob
from pathlib import Path

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def swept(ctx: wf.WorkflowContext, folder: str):
    for root, _, files in os.walk(folder):  # violation: TEN145: walks
        yield ctx.call_activity(act, input={"root": root, "files": files})


@wfr.workflow
async def matched(ctx: wf.WorkflowContext, pattern: str) -> None:
    await wf.when_all([ctx.call_activity(act, input={"path": path}) for path in iglob(pattern)])  # violation: TEN145: by a pattern


def csv_files(folder: str) -> list:
    return [entry.path for entry in os.scandir(folder)]  # violation(scan): TEN145: in a helper


@wfr.workflow
def loaded(ctx: wf.WorkflowContext, folder: str):
    yield wf.when_all([ctx.call_activity(act, input={"path": path}) for path in csv_files(folder)])  # via(scan)
    for path in sorted(Path(folder).rglob("*.csv")):  # violation: TEN145: sorted, and still another folder tomorrow
        yield ctx.call_activity(act, input={"path": str(path)})
