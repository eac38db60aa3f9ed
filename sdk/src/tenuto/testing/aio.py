"""Workflow environments for asynchronous tests: those of `tenuto.testing`, method for method, to be awaited.

Arguments, results and errors are those of the methods of the same name there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from tenuto._replay.definitions import name_of
from tenuto._wire.history import WorkflowHistory
from tenuto._wire.instances import WorkflowState
from tenuto._wire.management import RESUME, SUSPEND, UNSET, missing
from tenuto.aio import WorkflowClient
from tenuto.testing._base import BaseEnvironment
from tenuto.testing._calls import Activity, ActivityCall
from tenuto.testing._checks import check_called, select
from tenuto.testing._clients import AwaitedEnvironmentClient
from tenuto.testing._control import BEGINNING, PATIENCE, Control, GuardMode
from tenuto.testing._driving import LoopDriver, Stage
from tenuto.testing._everywhere import Comparison, CrashReport
from tenuto.testing._faults import Party
from tenuto.testing._homes import LoopHome
from tenuto.worker import WorkflowRuntime


class WorkflowEnvironment(BaseEnvironment, AbstractAsyncContextManager["WorkflowEnvironment"]):
    """`tenuto.testing.WorkflowEnvironment` to be awaited; what is said there holds here.

    The worker runs on the test's own event loop, so that asynchronous activities share its connections. Time moves
    while a test awaits `advance` or `result`, also for its other tasks: raise events before.

    Args:
        runtime: the application's own, with its workflows and activities.
        now: virtual time at the beginning, aware.
        guard: what becomes of a call in workflow code that no replay can repeat.
        patience: how long, in real time, one call of the environment may take.

    Raises:
        ValueError: `now` has no time zone, or there is no such mode of the guard.
    """

    def __init__(
        self,
        runtime: WorkflowRuntime,
        *,
        now: datetime = BEGINNING,
        guard: GuardMode = "raise",
        patience: timedelta = PATIENCE,
    ) -> None:
        control = Control(runtime, now, guard)
        self._driver = LoopDriver(control, patience.total_seconds())
        super().__init__(control, self._driver)
        self._home: LoopHome

    async def __aenter__(self) -> Self:
        self._driver.require(Stage.NEW)
        self._home = LoopHome(self._control.make_worker, asyncio.get_running_loop(), self._control.worker_ended)
        self._driver.stage = Stage.OPEN
        self._control.begin(self._home)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._driver.stage is not Stage.OPEN:
                return
            if error is None:
                await self._driver.do(self._control.check_all)
            else:
                await self._note(error)
        finally:
            await self.close()

    async def _note(self, error: BaseException) -> None:
        try:
            notes = await self._driver.do(self._control.notes)
        except (AssertionError, RuntimeError) as found:
            notes = [f"What became of the instances cannot be shown: {found}"]
        for note in notes:
            error.add_note(note)

    async def close(self) -> None:
        """End engine and worker at once, without any check. Leaving the `with` block does it too; twice is fine."""
        stage, self._driver.stage = self._driver.stage, Stage.CLOSED
        if stage is Stage.OPEN:
            self._control.engines.wants_worker = False
            await self._home.stop()
            self._control.engines.close()

    async def crash_engine(self, at: str = "", *, nth: int = 1) -> None:
        """Crash the engine, now or at a place to come; another one begins at once on what was stored."""
        if at:
            self._control.plan(Party.ENGINE, at, nth)
        else:
            await self._driver.do(self._control.crash_engine())

    # -- instances ----------------------------------------------------------------------------------------------------

    async def start(
        self,
        workflow: str | Callable[..., Any],
        *,
        input: Any = None,  # noqa: A002  # the parameter's name everywhere else
        instance_id: str | None = None,
        start_at: datetime | None = None,
    ) -> WorkflowInstance:
        """Start a workflow; arguments and errors are those of `WorkflowClient.schedule_new_workflow`."""
        started = await self._driver.do(
            self._control.start(workflow, value=input, instance_id=instance_id, start_at=start_at)
        )
        return WorkflowInstance(self._driver, started, workflow)

    async def run(
        self,
        workflow: str | Callable[..., Any],
        *,
        input: Any = None,  # noqa: A002
        instance_id: str | None = None,
    ) -> Any:
        """Start a workflow, let time pass until it has ended, and return its result; see `WorkflowInstance.result`."""
        return await (await self.start(workflow, input=input, instance_id=instance_id)).result()

    @property
    def client(self) -> WorkflowClient:
        """A client of this environment's engine, for code under test that takes one.

        Its waits let virtual time pass as `WorkflowInstance.result` does, and their timeouts are of virtual time.
        """
        return AwaitedEnvironmentClient(self._driver)

    def instance(self, instance_id: str) -> WorkflowInstance:
        """An instance by its id, such as a child."""
        return WorkflowInstance(self._driver, instance_id, None)

    async def raise_event(self, instance_id: str, name: str, data: Any = None) -> None:
        """Raise an event to an instance."""
        await self._driver.do(self._control.ask(self._control.requests.raise_event(instance_id, name, data)))

    # -- time ---------------------------------------------------------------------------------------------------------

    async def run_until_blocked(self) -> None:
        """Let everything happen that happens at the present moment; time does not move."""
        await self._driver.do(self._control.settle)

    async def advance(self, by: timedelta) -> None:
        """Let so much virtual time pass. Whatever comes due on the way happens at its moment, one after the other."""
        await self._driver.do(self._control.advance(by))

    async def activity_calls(self, activity: Activity | None = None) -> list[ActivityCall]:
        """All runs of activities so far, or of one of them, in the order in which they began."""
        await self.run_until_blocked()
        return select(self._control.book.calls, None, activity)

    # -- crashes ------------------------------------------------------------------------------------------------------

    @classmethod
    async def crash_everywhere(
        cls,
        runtime: WorkflowRuntime,
        scenario: Callable[[Self], Awaitable[Any]],
        *,
        now: datetime = BEGINNING,
        guard: GuardMode = "raise",
        patience: timedelta = PATIENCE,
    ) -> CrashReport:
        """Run a scenario undisturbed, then once for each place at which the engine or the worker can crash there."""
        async with cls(runtime, now=now, guard=guard, patience=patience) as env:
            result = await scenario(env)
            effects = await env._driver.do(env._control.effects)
            comparison = Comparison(result, effects, env._control.places())
        for crash in comparison.crashes():
            try:
                async with cls(runtime, now=now, guard=guard, patience=patience) as env:
                    env._control.engines.faults.plan(crash)
                    result = await scenario(env)
                    effects = await env._driver.do(env._control.effects)
                    comparison.hold(result, effects, has_crashed=env._control.has_crashed())
            except Exception as error:  # whatever the crash brings about, it must be said which it was
                error.add_note(comparison.place(crash))
                raise
        return comparison.report


class WorkflowInstance:
    """One instance in an environment. Whatever looks at it lets everything happen first that happens now."""

    def __init__(self, driver: LoopDriver, instance_id: str, workflow: str | Callable[..., Any] | None) -> None:
        self._driver = driver
        self._control = driver.control
        self._workflow = workflow
        self.id = instance_id

    def __repr__(self) -> str:
        return f"<WorkflowInstance {self.id!r}>"

    async def result(self, annotation: Any = UNSET) -> Any:
        """Let virtual time pass until the instance has ended, and return its result."""
        state = await self._driver.do(self._control.run_to_end(self.id))
        await self._driver.do(self._control.check(self.id))
        return state.result(self._control.result_type(self._workflow) if annotation is UNSET else annotation)

    async def state(self) -> WorkflowState:
        """Its state now. Raises InstanceNotFound."""
        await self._driver.do(self._control.settle)
        found = await self._driver.do(self._control.ask(self._control.requests.get(self.id, fetch_payloads=True)))
        if found is None:
            raise missing(self.id)
        return found

    async def history(self) -> WorkflowHistory:
        """The recorded events of its present execution, in order."""
        await self._driver.do(self._control.settle)
        return await self._driver.do(self._control.ask(self._control.requests.history(self.id)))

    async def trace(self) -> str:
        """What `tenuto trace` shows of it."""
        await self._driver.do(self._control.settle)
        return await self._driver.do(self._control.trace(self.id))

    async def waits_for(self) -> list[str]:
        """What it waits for, in words, such as `event 'approved'`; empty where it has ended."""
        return await self._driver.do(self._control.waits(self.id))

    async def raise_event(self, name: str, data: Any = None) -> None:
        """Raise an event to it."""
        await self._driver.do(self._control.ask(self._control.requests.raise_event(self.id, name, data)))

    async def suspend(self, *, reason: str = "") -> None:
        """Pause it: it takes no turns until resumed."""
        await self._driver.do(self._control.ask(self._control.requests.control(SUSPEND, self.id, reason)))

    async def resume(self, *, reason: str = "") -> None:
        """Let it go on after it was suspended or stalled."""
        await self._driver.do(self._control.ask(self._control.requests.control(RESUME, self.id, reason)))

    async def terminate(self, *, output: Any = None, recursive: bool = True, reason: str = "") -> None:
        """End it, and its open children where `recursive`."""
        call = self._control.requests.terminate(self.id, output=output, recursive=recursive, reason=reason)
        await self._driver.do(self._control.ask(call))

    async def activity_calls(self, activity: Activity | None = None) -> list[ActivityCall]:
        """The runs of its activities, or of one of them, in the order in which they began."""
        await self._driver.do(self._control.settle)
        return select(self._control.book.calls, self.id, activity)

    async def assert_activity_called(
        self,
        activity: Activity,
        *,
        times: int | None = None,
        attempts: int | None = None,
        input: Any = UNSET,  # noqa: A002  # the parameter's name everywhere else
    ) -> None:
        """See that it has called an activity."""
        what = f"activity '{name_of(activity)}' of instance '{self.id}'"
        check_called(await self.activity_calls(activity), what, times=times, attempts=attempts, value=input)

    async def assert_activity_not_called(self, activity: Activity) -> None:
        """See that it has not called an activity. Raises AssertionError."""
        await self.assert_activity_called(activity, times=0)
