"""Clients that write down what they were told, in the form that `tenuto verify` reads, and go on whatever happens."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from tenuto import aio
from tenuto.client import WorkflowState
from tenuto.errors import (
    EngineUnavailable,
    InstanceExists,
    InstanceNotFound,
    OutcomeUnknown,
    PreconditionFailed,
    WaitTimeout,
)

T = TypeVar("T")
_WINDOW = timedelta(seconds=8)
_PATIENCE_S = 5.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class ClientLog:
    """The log of all clients of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self.counts: Counter[str] = Counter()

    def write(self, op: str, **fields: Any) -> None:
        """Write one line, with the moment at which the answer was there."""
        self.counts[f"{op} {fields.get('outcome', 'ok')}"] += 1
        self._file.write(json.dumps({"op": op, "at_ms": now_ms(), **fields}).encode() + b"\n")

    def close(self) -> None:
        self._file.close()


class Gone(Exception):
    """An acknowledged instance is not there any more."""


class Caller:
    """What the plans call: each command by a client of some engine, again by another's if the first does not answer.

    Args:
        clients: one for each engine.
        log: where answers are written.
        rng: chooses the engine.
    """

    def __init__(self, clients: Sequence[aio.WorkflowClient], log: ClientLog, rng: random.Random) -> None:
        self._clients = clients
        self._log = log
        self._rng = rng

    def _any(self) -> aio.WorkflowClient:
        return self._rng.choice(self._clients)

    async def command(
        self, op: str, instance_id: str, send: Callable[[aio.WorkflowClient], Awaitable[Any]], **fields: Any
    ) -> str:
        """Send a command once (the SDK repeats it with its id); log and return its outcome: ok, unknown or refused."""
        asked_ms = now_ms()
        try:
            await send(self._any())
            outcome = "ok"
        except (OutcomeUnknown, EngineUnavailable):
            outcome = "unknown"
        except InstanceNotFound:
            outcome = "not found"
        except InstanceExists:
            outcome = "exists"
        except PreconditionFailed:
            outcome = "precondition"
        self._log.write(op, instance=instance_id, asked_ms=asked_ms, outcome=outcome, **fields)
        return outcome

    async def start(self, name: str, instance_id: str, value: Any = None, **options: Any) -> None:
        """Start an instance, and again while it is unknown whether that happened."""
        payload = None if value is None else json.dumps(value)
        while True:
            outcome = await self.command(
                "start",
                instance_id,
                lambda c: c.schedule_new_workflow(name, input=value, instance_id=instance_id, **options),
                name=name,
                payload=payload,
            )
            if outcome in {"ok", "exists"}:
                return

    async def event(self, instance_id: str, name: str, data: Any, *, sender: str = "", number: int = 0) -> str:
        return await self.command(
            "event",
            instance_id,
            lambda c: c.raise_workflow_event(instance_id, name, data=data),
            name=name,
            payload=json.dumps(data),
            sender=sender,
            number=number,
        )

    async def suspend(self, instance_id: str) -> str:
        return await self.command("suspend", instance_id, lambda c: c.pause_workflow(instance_id))

    async def resume(self, instance_id: str) -> str:
        return await self.command("resume", instance_id, lambda c: c.resume_workflow(instance_id))

    async def terminate(self, instance_id: str) -> str:
        return await self.command(
            "terminate", instance_id, lambda c: c.terminate_workflow(instance_id, output="enough")
        )

    async def purge(self, instance_id: str) -> str:
        return await self.command("purge", instance_id, lambda c: c.purge_workflow(instance_id))

    async def rerun(self, instance_id: str, event_id: int, new_id: str) -> str:
        return await self.command(
            "rerun", new_id, lambda c: c.rerun_workflow_from_event(instance_id, event_id, new_instance_id=new_id)
        )

    async def ask(self, read: Callable[[aio.WorkflowClient], Awaitable[T]]) -> T:
        """Read, from one engine after the other until one answers."""
        while True:
            try:
                return await read(self._any())
            except (OutcomeUnknown, EngineUnavailable, WaitTimeout):
                await asyncio.sleep(0)

    async def state(self, instance_id: str) -> WorkflowState | None:
        return await self.ask(lambda c: c.get_workflow_state(instance_id))

    async def wait(self, instance_id: str, *, seconds: float | None = None) -> WorkflowState | None:
        """Wait for the end of an instance and log it; None if it has not ended after so many seconds.

        Raises: Gone.
        """
        asked_ms = now_ms()
        while True:
            try:
                state = await self._any().wait_for_workflow_completion(instance_id, timeout_in_seconds=_PATIENCE_S)
            except InstanceNotFound as error:
                raise Gone(f"{instance_id} was acknowledged and is not there") from error
            except (OutcomeUnknown, EngineUnavailable, WaitTimeout):
                if seconds is not None and now_ms() - asked_ms > seconds * 1000:
                    return None
                continue
            status = state.runtime_status.name
            output = state.serialized_output if status != "FAILED" else None
            self._log.write(
                "result",
                instance=instance_id,
                asked_ms=asked_ms,
                execution=state.execution_id,
                status=status,
                payload=output,
            )
            return state


def make_clients(addresses: Sequence[str]) -> list[aio.WorkflowClient]:
    """One client for each engine."""
    return [aio.WorkflowClient(engine=address, retry_window=_WINDOW) for address in addresses]
