"""The app of the hand-over runs: endless chains of short activities that keep the ledger of where each step ran.

`BENCH_LEDGER` names the ledger, `BENCH_POD` this life of this pod. Chains go on until a file named like the ledger
with `.end` exists. It reads and answers requests as `app` does.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import uvloop

import tenuto as wf
from tenuto import aio
from tenuto_bench.app import request_lines

wfr = wf.WorkflowRuntime()
POD = os.environ.get("BENCH_POD", "")
LEDGER = os.environ.get("BENCH_LEDGER", "")
# Bounds what a new owner has to read and replay, as a well-made endless workflow does.
STEPS_PER_EXECUTION = 50


def is_over() -> bool:
    """Whether the chains shall end."""
    return Path(f"{LEDGER}.end").exists()


@wfr.activity
async def note(ctx: wf.WorkflowActivityContext, asked: dict[str, Any]) -> bool:
    """Note that this step runs here and now, work a moment, and answer whether to go on."""
    line = json.dumps([ctx.workflow_id, asked["number"], POD, time.monotonic_ns()]).encode() + b"\n"
    # One write to a file opened for appending: lines of several processes do not mix, and a kill loses none.
    descriptor = os.open(LEDGER, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, line)
    os.close(descriptor)
    await asyncio.sleep(asked["seconds"])
    return not is_over()


@wfr.workflow
def noted_chain(ctx: wf.WorkflowContext, asked: dict[str, Any]) -> Generator[Any, Any, int]:
    """Steps, one after the other, until told to end; answers how many."""
    end = asked["number"] + STEPS_PER_EXECUTION
    for number in range(asked["number"], end):
        if not (yield ctx.call_activity(note, input={**asked, "number": number})):
            return number + 1
    ctx.continue_as_new({**asked, "number": end})
    return 0


async def main() -> None:
    """Answer requests until standard input ends."""
    async with wfr, aio.WorkflowClient() as client, request_lines() as lines:

        async def start(*, instances: list[str], seconds: float) -> dict[str, Any]:
            """Start a chain under each id."""
            asked = {"number": 0, "seconds": seconds}
            async with asyncio.TaskGroup() as starts:
                for instance_id in instances:
                    starts.create_task(client.schedule_new_workflow(noted_chain, input=asked, instance_id=instance_id))
            return {}

        async def ended(*, instances: list[str], timeout: float) -> dict[str, Any]:
            """Wait for the end of all; answer how many did not come to it in time."""

            async def one(instance_id: str) -> None:
                (await client.wait_for_workflow_completion(instance_id)).raise_if_failed()

            tasks = [asyncio.create_task(one(instance_id)) for instance_id in instances]
            done, pending = await asyncio.wait(tasks, timeout=timeout)
            for task in pending:
                task.cancel()
            return {"lost": len(pending) + sum(task.exception() is not None for task in done)}

        commands: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {"start": start, "ended": ended}
        print("{}", flush=True)  # It can be told from outside when the worker is there.
        while line := await lines.readline():
            request = json.loads(line)
            answer = await commands[request.pop("command")](**request)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
