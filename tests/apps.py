"""Applications for tests: functions served by a runtime on the test's loop, with a client beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import tenuto as wf
from engines import EngineHere
from tenuto import aio
from tenuto.client import WorkflowState

SECONDS = 30.0  # until something is certainly wrong
Function = Callable[..., Any]


@asynccontextmanager
async def served(
    engine: EngineHere,
    *,
    workflows: Iterable[Function] = (),
    activities: Iterable[Function] = (),
    payload_codec: wf.PayloadCodec | None = None,
    **options: Any,
) -> AsyncIterator[aio.WorkflowClient]:
    """Serve functions under their own names; gives a client of the same engine and codec.

    Args:
        engine: the engine.
        workflows: workflow functions.
        activities: activity functions.
        payload_codec: given to runtime and client.
        options: of the runtime.
    """
    runtime = wf.WorkflowRuntime(engine=engine.address, payload_codec=payload_codec, **options)
    for workflow in workflows:
        runtime.register_workflow(workflow)
    for activity in activities:
        runtime.register_activity(activity)
    client = aio.WorkflowClient(engine=engine.address, payload_codec=payload_codec)
    async with runtime, client:
        assert await asyncio.to_thread(runtime.wait_for_worker_ready, SECONDS), "the engine greeted nobody"
        yield client


async def ended(client: aio.WorkflowClient, instance_id: str) -> WorkflowState:
    """Wait for an instance's end."""
    return await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)


async def run(
    client: aio.WorkflowClient, workflow: str | Function, value: Any = None, *, instance_id: str | None = None
) -> WorkflowState:
    """Start a workflow and wait for its end."""
    return await ended(client, await client.schedule_new_workflow(workflow, input=value, instance_id=instance_id))


async def result(client: aio.WorkflowClient, workflow: str | Function, value: Any = None) -> Any:
    """Run a workflow and return its result. Raises WorkflowFailed where it does not complete."""
    return (await run(client, workflow, value)).result()
