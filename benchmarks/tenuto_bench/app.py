"""The measured app: workflows, activities and the clients that drive them, in one process and on one event loop.

Clients in the app's process cost it CPU time, as they would in a service that starts its own workflows; the yardstick
does the same. It reads one JSON object a line on standard input, and answers each with one line. Payloads are 64 bytes.

Workflows here note moments in lists beside the engine's back, which a real one must not do: measuring is no outcome.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import uvloop

import tenuto as wf
from tenuto import aio

wfr = wf.WorkflowRuntime()
PAYLOAD = "x" * 62  # 64 bytes as JSON.
MAX_PENDING_STARTS = 64


class Notes:
    """What workflows and activities of this process have seen."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.lateness: list[float] = []
        self.begun = 0
        self.acknowledged: dict[str, asyncio.Event] = {}
        self.changed = asyncio.Event()

    async def until(self, is_reached: Callable[[], bool]) -> None:
        """Wait until something noted makes this true."""
        while not is_reached():
            self.changed.clear()
            await self.changed.wait()


notes = Notes()


@wfr.activity
async def add(ctx: wf.WorkflowActivityContext, payload: str) -> str:
    """The activity of all throughput workloads: takes 64 bytes, gives 64 bytes."""
    return payload


@wfr.activity
async def stamp(ctx: wf.WorkflowActivityContext, payload: str) -> str:
    """Like `add`, and notes when it ran."""
    notes.moments.append(time.perf_counter())
    return payload


@wfr.activity
async def acknowledge(ctx: wf.WorkflowActivityContext, payload: str) -> None:
    """Tell the client that the event has arrived."""
    notes.acknowledged[ctx.workflow_id].set()


@wfr.workflow
def chain(ctx: wf.WorkflowContext, length: int) -> Generator[Any, Any, str]:
    """Activities one after the other."""
    payload = PAYLOAD
    for _ in range(length):
        payload = yield ctx.call_activity(add, input=payload)
    return payload


@wfr.workflow
def stamped_chain(ctx: wf.WorkflowContext, length: int) -> Generator[Any, Any, str]:
    """Like `chain`, with the moments noted."""
    payload = PAYLOAD
    for _ in range(length):
        payload = yield ctx.call_activity(stamp, input=payload)
    return payload


@wfr.workflow
def fan_out(ctx: wf.WorkflowContext, width: int) -> Generator[Any, Any, int]:
    """Activities all at once."""
    results = yield wf.when_all([ctx.call_activity(add, input=PAYLOAD) for _ in range(width)])
    return len(results)


@wfr.workflow
def sleeper(ctx: wf.WorkflowContext, due_at: float) -> Generator[Any, Any, None]:
    """One timer, due at a Unix time; notes how late it was."""
    begin(ctx)
    yield ctx.create_timer(datetime.fromtimestamp(due_at, UTC))
    notes.lateness.append(time.time() - due_at)  # tenuto: ignore[TEN102] measuring is no outcome
    notes.changed.set()


@wfr.workflow
def ping_pong(ctx: wf.WorkflowContext, rounds: int) -> Generator[Any, Any, None]:
    """Answer each event by an activity."""
    for _ in range(rounds):
        payload = yield ctx.wait_for_external_event("ping")
        yield ctx.call_activity(acknowledge, input=payload)


@wfr.workflow
def collect(ctx: wf.WorkflowContext, count: int) -> Generator[Any, Any, list[int]]:
    """Take events as they come; answer them in order."""
    taken: list[int] = []
    while len(taken) < count:
        taken.append((yield ctx.wait_for_external_event("number")))
    return taken


@wfr.workflow
def idle(ctx: wf.WorkflowContext) -> Generator[Any, Any, None]:
    """Wait for an event that never comes."""
    begin(ctx)
    yield ctx.wait_for_external_event("never")


def begin(ctx: wf.WorkflowContext) -> None:
    """Note that an instance has begun."""
    if not ctx.is_replaying:
        notes.begun += 1
        notes.changed.set()


class Driver:
    """The clients: one method per workload command."""

    def __init__(self, client: aio.WorkflowClient) -> None:
        self._client = client

    async def run(self, *, workflow: str, size: int, count: int, in_flight: int) -> dict[str, Any]:
        """Run instances to their end, so many at a time (closed loop); a latency is from start to known result."""
        latencies: list[float] = []

        async def one() -> None:
            began = time.perf_counter()
            instance_id = await self._client.schedule_new_workflow(workflow, input=size)
            state = await self._client.wait_for_workflow_completion(instance_id)
            latencies.append(time.perf_counter() - began)
            state.raise_if_failed()

        seconds = await timed(count, in_flight, one)
        return {"seconds": seconds, "latencies": latencies}

    async def start(self, *, count: int, in_flight: int) -> dict[str, Any]:
        """Start instances of a workflow that no worker has: creation alone."""
        latencies: list[float] = []

        async def one() -> None:
            began = time.perf_counter()
            await self._client.schedule_new_workflow("nobody_has_this", input=PAYLOAD)
            latencies.append(time.perf_counter() - began)

        return {"seconds": await timed(count, in_flight, one), "latencies": latencies}

    async def long_chain(self, *, length: int, window: int) -> dict[str, Any]:
        """Run one long chain; compare the steps at its beginning with those at its end."""
        notes.moments.clear()
        began = time.perf_counter()
        instance_id = await self._client.schedule_new_workflow(stamped_chain, input=length)
        state = await self._client.wait_for_workflow_completion(instance_id)
        seconds = time.perf_counter() - began
        state.raise_if_failed()
        moments = notes.moments
        first, last = moments[window] - moments[0], moments[-1] - moments[-1 - window]
        return {
            "seconds": seconds,
            "first_ms_per_step": first / window * 1e3,
            "last_ms_per_step": last / window * 1e3,
            "history_events": state.history_length,
        }

    async def timers(self, *, count: int, spread_seconds: float) -> dict[str, Any]:
        """Let timers come due together, or spread evenly; lateness is what the workflow sees."""
        rate = await self._start_rate(min(300, count))
        notes.begun, notes.lateness = 0, []
        # Twice the time that starting should take, so that every timer is recorded well before the first is due.
        due_at = time.time() + 2 * count / rate + 1
        dues = iter([due_at + spread_seconds * number / count for number in range(count)])

        async def one() -> None:
            await self._client.schedule_new_workflow(sleeper, input=next(dues))

        start_seconds = await timed(count, MAX_PENDING_STARTS, one)
        await notes.until(lambda: notes.begun >= count)
        margin = due_at - time.time()
        await notes.until(lambda: len(notes.lateness) >= count)
        return {
            "seconds": max(notes.lateness) if spread_seconds == 0 else spread_seconds,
            "latencies": notes.lateness,
            "start_seconds": start_seconds,
            "margin_seconds": margin,
        }

    async def _start_rate(self, count: int) -> float:
        """How many sleepers can be started in a second; these are over at once."""
        notes.begun, notes.lateness = 0, []

        async def one() -> None:
            await self._client.schedule_new_workflow(sleeper, input=time.time())

        seconds = await timed(count, MAX_PENDING_STARTS, one)
        await notes.until(lambda: len(notes.lateness) >= count)
        return count / seconds

    async def ping_pong(self, *, rounds: int, instances: int) -> dict[str, Any]:
        """Send an event, wait for its acknowledgement, and again; several instances side by side."""
        latencies: list[float] = []

        async def one() -> None:
            instance_id = uuid.uuid4().hex
            arrived = notes.acknowledged[instance_id] = asyncio.Event()
            await self._client.schedule_new_workflow(ping_pong, input=rounds, instance_id=instance_id)
            for _ in range(rounds):
                arrived.clear()
                began = time.perf_counter()
                await self._client.raise_workflow_event(instance_id, "ping", data=PAYLOAD)
                await arrived.wait()
                latencies.append(time.perf_counter() - began)
            await self._client.wait_for_workflow_completion(instance_id)
            del notes.acknowledged[instance_id]

        return {"seconds": await timed(instances, instances, one), "latencies": latencies}

    async def burst(self, *, count: int, in_flight: int) -> dict[str, Any]:
        """Send many events to one instance; none is lost or doubled."""
        instance_id = await self._client.schedule_new_workflow(collect, input=count)
        numbers = iter(range(count))

        async def one() -> None:
            await self._client.raise_workflow_event(instance_id, "number", data=next(numbers))

        began = time.perf_counter()
        await timed(count, in_flight, one)
        taken = (await self._client.wait_for_workflow_completion(instance_id)).result(list[int])
        if sorted(taken) != list(range(count)):
            raise AssertionError(f"{count} events were sent, and {len(set(taken))} different ones arrived")
        return {"seconds": time.perf_counter() - began}

    async def idle(self, *, count: int) -> dict[str, Any]:
        """Start instances that then wait; answer when all do."""
        notes.begun = 0

        async def one() -> None:
            await self._client.schedule_new_workflow(idle)

        began = time.perf_counter()
        await timed(count, MAX_PENDING_STARTS, one)
        await notes.until(lambda: notes.begun >= count)
        return {"seconds": time.perf_counter() - began}


async def timed(count: int, in_flight: int, one: Callable[[], Awaitable[None]]) -> float:
    """Do something `count` times, so many at a time; answer the seconds it took."""
    left = count

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await one()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for _ in range(min(in_flight, count)):
            clients.create_task(client())
    return time.perf_counter() - began


@asynccontextmanager
async def request_lines() -> AsyncIterator[asyncio.StreamReader]:
    """Standard input, read without blocking the loop."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    yield reader
    transport.close()


async def main() -> None:
    """Answer requests until standard input ends."""
    async with wfr, aio.WorkflowClient() as client, request_lines() as lines:
        driver = Driver(client)
        commands: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
            name: getattr(driver, name)
            for name in ("run", "start", "long_chain", "timers", "ping_pong", "burst", "idle")
        }
        while line := await lines.readline():
            request = json.loads(line)
            answer = await commands[request.pop("command")](**request)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
