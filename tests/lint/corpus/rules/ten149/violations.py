"""The process and the machine."""

import os
import platform as machine
import socket
import sys
from multiprocessing import cpu_count
from os import getpid

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


@wfr.workflow
def chunked(ctx: wf.WorkflowContext, rows: list):
    size = len(rows) // cpu_count() + 1  # violation: TEN149: the number of chunks depends on the node
    for begin in range(0, len(rows), size):
        yield ctx.call_activity(act, input={"rows": rows[begin : begin + size]})


@wfr.workflow
async def marked(ctx: wf.WorkflowContext, job: dict) -> None:
    await ctx.call_activity(act, input={**job, "pid": getpid()})  # violation: TEN149: the process
    if sys.platform == "win32":  # violation: TEN149: the system
        await ctx.call_activity(act, input={**job, "windows": True})


def worker_name() -> str:
    return f"{socket.gethostname()}-{machine.machine()}"  # violation(worker): TEN149: in a helper


@wfr.workflow
def leased(ctx: wf.WorkflowContext, job: dict):
    yield ctx.call_activity(act, input={**job, "worker": worker_name()})  # via(worker)
    if sys.version_info >= (3, 13):  # violation: TEN149: an upgrade of Python changes the branch
        yield ctx.call_activity(act, input=job)
    return os.uname().nodename  # violation: TEN149: the node
