"""One run of the crash matrix: commands to an application that uses everything, while processes die and come back."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from crash import crash_app
from crash.looking import SHARDS, Recorded, left_over, read_all
from engines import EngineProcess
from tenuto import aio
from tenuto.client import WorkflowState, WorkflowStatus

SECONDS = 60.0  # until something is certainly wrong; a run takes two to four
NUMBERS = [1, 2, 3]
ROOTS = ("main", "echo", "held", "tree", "later")


class App:
    """The application's process.

    Args:
        engine: whom it serves.
        ledger: the file that its activities write.
        script: its program.
    """

    def __init__(self, engine: EngineProcess, ledger: Path, script: str = crash_app.__file__) -> None:
        self._engine = engine
        self._ledger = ledger
        self._script = script
        self._log = ledger.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = self._engine.environment | {"CRASH_LEDGER": str(self._ledger)}
        with self._log.open("ab") as log:
            command = [sys.executable, self._script]
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self._process is not None, "the application does not run"
        self._process.kill()
        self.wait_for_death()

    def wait_for_death(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        process = self._process
        assert process is not None, "the application does not run"
        code = process.wait()
        self._process = None
        return code

    def stop(self) -> None:
        process = self._process
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(SECONDS)
            finally:
                process.kill()


@dataclass
class Line:
    """One run of an activity, as the ledger has it."""

    instance: str
    execution: str
    event: int
    attempt: int
    activity: str
    value: Any

    @property
    def call(self) -> tuple[str, int]:
        return self.execution, self.event


@dataclass
class Run:
    """What one run showed.

    Attributes:
        outcome: per instance its name, status, result, custom status, failure and parent.
        before: the store at the moment of the crash; None where the engine did not crash.
        after: the store's records once all had ended, histories by instance.
        ledger: all runs of activities, in order, and how many of them happened before the restart.
        left: what should not have been left after all had ended, and after all was purged.
    """

    outcome: dict[str, tuple[Any, ...]] = field(default_factory=dict[str, "tuple[Any, ...]"])
    before: dict[str, Recorded] | None = None
    after: dict[str, Recorded] = field(default_factory=dict[str, Recorded])
    ledger: list[Line] = field(default_factory=list[Line])
    ledger_before: int = 0
    left: list[str] = field(default_factory=list[str])


class Scenario:
    """An engine with an application, on one store.

    Args:
        folder: a short path of its own, for sockets, logs, ledger and a store's file.
        store: its URL; the store is empty.
        kills_app: whether the application dies with the engine.
    """

    def __init__(self, folder: Path, store: str, *, kills_app: bool = False) -> None:
        self.folder = folder
        self.engine = EngineProcess(folder, "--shards", str(SHARDS), "--lease-seconds", "1", store=store)
        self.app = App(self.engine, folder / "ledger")
        self.run = Run()
        self._store = store
        self._kills_app = kills_app

    async def play(self, **variables: str) -> Run:
        """Run everything to its end with an engine that has `variables` until it crashes; then check and purge."""
        async with self.running(**variables), aio.WorkflowClient(engine=self.engine.address) as client:
            async with asyncio.timeout(SECONDS):
                await command(client)
                await self._observe(client)
                self.run.left += await self._settled(purged=False)
                for name in ROOTS:
                    await purge(client, name)
                self.run.left += await self._settled(purged=True)
        return self.run

    @asynccontextmanager
    async def running(self, **variables: str) -> AsyncIterator[None]:
        """The engine and the application; an engine that dies is looked at and started again, once."""
        await asyncio.to_thread(self.engine.start, **variables)
        self.app.start()
        keeper = asyncio.create_task(self._keep_engine())
        try:
            yield
        finally:
            self.app.stop()
            self.engine.signal(signal.SIGTERM)
            await keeper

    async def _keep_engine(self) -> None:
        while await asyncio.to_thread(self.engine.wait_for_death) == -signal.SIGKILL:
            assert self.run.before is None, f"the engine died twice:\n{self.engine.log.read_text()}"
            if self._kills_app:
                self.app.kill()
            self.run.before = await read_all(self._store)
            self.run.ledger_before = len(self._read_ledger())
            await asyncio.to_thread(self.engine.start)
            if self._kills_app:
                self.app.start()

    async def _observe(self, client: aio.WorkflowClient) -> None:
        async for state in client.iter_workflows(fetch_payloads=True):
            self.run.outcome[state.instance_id] = show(state)
            records = (await client.get_workflow_records(state.instance_id, max_records=10_000)).records
            history = [record.value for record in records if record.key.startswith("history-")]
            self.run.after[state.instance_id] = Recorded(
                state.instance_id, state.execution_id, state.generation, history
            )
        self.run.ledger = self._read_ledger()

    def _read_ledger(self) -> list[Line]:
        path = self.folder / "ledger"
        return [Line(**json.loads(line)) for line in path.read_bytes().splitlines()] if path.exists() else []

    async def _settled(self, *, purged: bool) -> list[str]:
        """What is left over when nothing changes any more: housekeeping may take a moment after the last answer."""
        left = await asyncio.to_thread(left_over, self._store, purged=purged)
        for _ in range(200):
            if not left:
                break
            await asyncio.sleep(0.05)
            left = await asyncio.to_thread(left_over, self._store, purged=purged)
        return left


async def command(client: aio.WorkflowClient) -> None:
    """Every command there is; each is acknowledged, whatever dies meanwhile."""
    await client.schedule_new_workflow(crash_app.echo, input="main", instance_id="echo")
    await client.schedule_new_workflow(crash_app.collect, input=len(NUMBERS), instance_id="held")
    await client.schedule_new_workflow(crash_app.everything, input=[], instance_id="main")
    await client.schedule_new_workflow(crash_app.hold_a_child, instance_id="tree")
    later = datetime.now(UTC) + timedelta(milliseconds=300)
    await client.schedule_new_workflow(crash_app.double, input=7, instance_id="later", start_at=later)
    await client.raise_workflow_event("main", "go", data="went")
    await client.raise_workflow_event("held", "number", data=NUMBERS[0])
    await client.pause_workflow("held", reason="for a while")
    for number in NUMBERS[1:]:
        await client.raise_workflow_event("held", "NUMBER", data=number)
    await client.raise_workflow_event("main", "last", data="over")
    await client.resume_workflow("held")
    for name in ("main", "echo", "held", "later"):
        await client.wait_for_workflow_completion(name, timeout_in_seconds=SECONDS)
    await client.wait_for_workflow_start("tree/child", timeout_in_seconds=SECONDS)
    await client.terminate_workflow("tree", output="enough", reason="no more")
    for name in ("tree", "tree/child"):
        await client.wait_for_workflow_completion(name, timeout_in_seconds=SECONDS)


async def purge(client: aio.WorkflowClient, name: str) -> None:
    """Erase a tree. One that an engine erased before it could say so is not there any more."""
    try:
        await client.purge_workflow(name)
    except LookupError:
        assert await client.get_workflow_state(name) is None


def show(state: WorkflowState) -> tuple[Any, ...]:
    """What must be the same in every run."""
    failure = state.failure_details
    ended = state.runtime_status is WorkflowStatus.COMPLETED
    return (
        state.name,
        state.runtime_status.name,
        state.result() if ended else state.serialized_output,
        state.serialized_custom_status,
        None if failure is None else (failure.error_type, failure.message),
        state.parent_instance_id,
        state.generation,
    )
