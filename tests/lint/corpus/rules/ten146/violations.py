"""Programs."""

import asyncio
import os
import subprocess as sp
from subprocess import run

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def built(ctx: wf.WorkflowContext, commit: str):
    if run(["make", "test"], check=False).returncode == 0:  # violation: TEN146: imported from subprocess
        yield ctx.call_activity(act, input={"commit": commit})


@wfr.workflow
async def converted(ctx: wf.WorkflowContext, path: str) -> None:
    process = await asyncio.create_subprocess_exec("ffmpeg", path)  # violation: TEN146: asynchronously
    await ctx.call_activity(act, input={"code": process.returncode})


def revision() -> str:
    return sp.getoutput("git rev-parse HEAD")  # violation(revision): TEN146: in a helper


@wfr.workflow
def released(ctx: wf.WorkflowContext, name: str):
    yield ctx.call_activity(act, input={"name": name, "revision": revision()})  # via(revision)
    os.system(f"say {name}")  # noqa: S605  # violation: TEN146: a shell
    return os.popen("uptime").read()  # noqa: S605  # violation: TEN146: a shell's output
