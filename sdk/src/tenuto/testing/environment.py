"""A workflow environment for tests: the real engine, a real worker and virtual time in the test's own process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from tenuto._replay.definitions import name_of
from tenuto._wire.history import WorkflowHistory
from tenuto._wire.instances import WorkflowState
from tenuto._wire.management import RESUME, SUSPEND, UNSET, missing
from tenuto.client import WorkflowClient
from tenuto.testing._base import BaseEnvironment
from tenuto.testing._calls import Activity, ActivityCall
from tenuto.testing._checks import check_called, select
from tenuto.testing._clients import EnvironmentClient
from tenuto.testing._control import BEGINNING, PATIENCE, Control, GuardMode
from tenuto.testing._driving import BlockingDriver, Stage
from tenuto.testing._everywhere import Comparison, CrashReport
from tenuto.testing._faults import Party
from tenuto.testing._homes import ThreadHome
from tenuto.worker import WorkflowRuntime

_LEAVING_S = 2.0


class WorkflowEnvironment(BaseEnvironment, AbstractContextManager["WorkflowEnvironment"]):
    """Runs the workflows of a runtime on the real engine, in memory, in this process, on virtual time.

    Time stands still while a test looks, while workflow code runs and while an activity runs, however long. It moves
    only in `advance` and in `WorkflowInstance.result`, and then straight to the next moment at which anything is due:
    a timer, a retry, a timeout. Each environment has an engine and a store of its own, so that tests may run side by
    side and use the same ids.

    At its end the code of every instance is replayed over its whole history; where that differs, the test fails. A test
    that fails shows the traces of its instances.

    Args:
        runtime: the application's own, with its workflows and activities. It is not changed, and need not be stopped.
        now: virtual time at the beginning, aware. 2030-01-01 00:00 UTC by default: the same in every run.
        guard: what becomes of a call in workflow code that no replay can repeat, such as of a clock: `raise` refuses it
            and stalls the instance, `warn` logs it, `off` watches nothing.
        patience: how long, in real time, one call of the environment may take. 30 s by default. Only an activity or
            workflow code that does not return lets it pass.

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
        self._driver = BlockingDriver(control, patience.total_seconds())
        super().__init__(control, self._driver)
        self._home: ThreadHome

    def __enter__(self) -> Self:
        self._driver.require(Stage.NEW)
        self._home = ThreadHome(self._control.make_worker, self._control.worker_ended)
        self._driver.stage = Stage.OPEN
        self._control.begin(self._home)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._driver.stage is not Stage.OPEN:
                return
            if error is None:
                self._driver.do(self._control.check_all)
            else:
                self._note(error)
        finally:
            self.close()

    def _note(self, error: BaseException) -> None:
        try:
            notes = self._driver.do(self._control.notes)
        except (AssertionError, RuntimeError) as found:
            notes = [f"What became of the instances cannot be shown: {found}"]
        for note in notes:
            error.add_note(note)

    def close(self) -> None:
        """End engine and worker at once, without any check. Leaving the `with` block does it too; twice is fine."""
        stage, self._driver.stage = self._driver.stage, Stage.CLOSED
        if stage is Stage.OPEN:
            self._control.engines.wants_worker = False
            self._home.stop(_LEAVING_S)
            self._control.engines.close()

    def crash_engine(self, at: str = "", *, nth: int = 1) -> None:
        """Crash the engine, now or at a place to come; another one begins at once on what was stored.

        Args:
            at: a name in `CRASH_PLACES` without `activity:ran`; empty: now. `commit:before` and `commit:after` are
                just before and after the result of a turn is stored, `append:` those of an activity's result or an
                event, `reminder:` those of a timer's firing.
            nth: at which time from now that the place is reached, from 1.

        Raises:
            ValueError: there is no such place.
        """
        if at:
            self._control.plan(Party.ENGINE, at, nth)
        else:
            self._driver.do(self._control.crash_engine())

    # -- instances ----------------------------------------------------------------------------------------------------

    def start(
        self,
        workflow: str | Callable[..., Any],
        *,
        input: Any = None,  # noqa: A002  # the parameter's name everywhere else
        instance_id: str | None = None,
        start_at: datetime | None = None,
    ) -> WorkflowInstance:
        """Start a workflow; arguments and errors are those of `WorkflowClient.schedule_new_workflow`."""
        started = self._driver.do(
            self._control.start(workflow, value=input, instance_id=instance_id, start_at=start_at)
        )
        return WorkflowInstance(self._driver, started, workflow)

    def run(
        self,
        workflow: str | Callable[..., Any],
        *,
        input: Any = None,  # noqa: A002
        instance_id: str | None = None,
    ) -> Any:
        """Start a workflow, let time pass until it has ended, and return its result; see `WorkflowInstance.result`."""
        __tracebackhide__ = True
        return self.start(workflow, input=input, instance_id=instance_id).result()

    @property
    def client(self) -> WorkflowClient:
        """A client of this environment's engine, for code under test that takes one.

        Its waits let virtual time pass as `WorkflowInstance.result` does, and their timeouts are of virtual time.
        """
        return EnvironmentClient(self._driver)

    def instance(self, instance_id: str) -> WorkflowInstance:
        """An instance by its id, such as a child."""
        return WorkflowInstance(self._driver, instance_id, None)

    def raise_event(self, instance_id: str, name: str, data: Any = None) -> None:
        """Raise an event to an instance."""
        self._driver.do(self._control.ask(self._control.requests.raise_event(instance_id, name, data)))

    # -- time ---------------------------------------------------------------------------------------------------------

    def run_until_blocked(self) -> None:
        """Let everything happen that happens at the present moment; time does not move.

        Returns once every instance waits for a later moment or for the test, and no activity runs.

        Raises:
            StillRunning: real time is over, and an activity or workflow code has not returned.
        """
        self._driver.do(self._control.settle)

    def advance(self, by: timedelta) -> None:
        """Let so much virtual time pass. Whatever comes due on the way happens at its moment, one after the other.

        Raises:
            StillRunning: as `run_until_blocked`.
            ValueError: `by` is negative.
        """
        self._driver.do(self._control.advance(by))

    def activity_calls(self, activity: Activity | None = None) -> list[ActivityCall]:
        """All runs of activities so far, or of one of them, in the order in which they began.

        Everything happens first that happens at the present moment.
        """
        self.run_until_blocked()
        return select(self._control.book.calls, None, activity)

    # -- crashes ------------------------------------------------------------------------------------------------------

    @classmethod
    def crash_everywhere(
        cls,
        runtime: WorkflowRuntime,
        scenario: Callable[[Self], Any],
        *,
        now: datetime = BEGINNING,
        guard: GuardMode = "raise",
        patience: timedelta = PATIENCE,
    ) -> CrashReport:
        """Run a scenario undisturbed, then once for each place at which the engine or the worker can crash there.

        Every run must return the same, ask for the same operations, and record one and the same outcome of each.
        Activities may run again, as in life; a scenario that counts does so with `assert_activity_called(times=)`.

        Args:
            runtime: the application's.
            scenario: starts workflows, and returns what must not depend on crashes, such as `instance.result()`.
            now: virtual time at the beginning of each run.
            guard: as of `WorkflowEnvironment`.
            patience: as of `WorkflowEnvironment`, for each run.

        Raises:
            AssertionError: a run differs; a note says where the crash was. The scenario's own errors come with one too.
        """
        with cls(runtime, now=now, guard=guard, patience=patience) as env:
            result = scenario(env)
            effects = env._driver.do(env._control.effects)
            comparison = Comparison(result, effects, env._control.places())
        for crash in comparison.crashes():
            try:
                with cls(runtime, now=now, guard=guard, patience=patience) as env:
                    env._control.engines.faults.plan(crash)
                    result = scenario(env)
                    effects = env._driver.do(env._control.effects)
                    comparison.hold(result, effects, has_crashed=env._control.has_crashed())
            except Exception as error:  # whatever the crash brings about, it must be said which it was
                error.add_note(comparison.place(crash))
                raise
        return comparison.report


class WorkflowInstance:
    """One instance in an environment. Whatever looks at it lets everything happen first that happens now."""

    def __init__(self, driver: BlockingDriver, instance_id: str, workflow: str | Callable[..., Any] | None) -> None:
        self._driver = driver
        self._control = driver.control
        self._workflow = workflow
        self.id = instance_id

    def __repr__(self) -> str:
        return f"<WorkflowInstance {self.id!r}>"

    def result(self, annotation: Any = UNSET) -> Any:
        """Let virtual time pass until the instance has ended, and return its result.

        Its code is then replayed over its whole history, as after a crash.

        Args:
            annotation: what the result is decoded as. By default the workflow's own annotation, where the instance was
                started by its function; else plain JSON.

        Raises:
            WorkflowFailed: it failed or was terminated.
            WorkflowBlocked: it waits for what never happens by itself; the message says for what.
            WorkflowStalled: its code asked for something else than history records, now or when replayed.
            StillRunning: real time is over: an activity or workflow code does not return, or there is no end of timers.
        """
        __tracebackhide__ = True
        state = self._driver.do(self._control.run_to_end(self.id))
        self._driver.do(self._control.check(self.id))
        return state.result(self._control.result_type(self._workflow) if annotation is UNSET else annotation)

    def state(self) -> WorkflowState:
        """Its state now. Raises InstanceNotFound."""
        self._driver.do(self._control.settle)
        found = self._driver.do(self._control.ask(self._control.requests.get(self.id, fetch_payloads=True)))
        if found is None:
            raise missing(self.id)
        return found

    def history(self) -> WorkflowHistory:
        """The recorded events of its present execution, in order."""
        self._driver.do(self._control.settle)
        return self._driver.do(self._control.ask(self._control.requests.history(self.id)))

    def trace(self) -> str:
        """What `tenuto trace` shows of it."""
        self._driver.do(self._control.settle)
        return self._driver.do(self._control.trace(self.id))

    def waits_for(self) -> list[str]:
        """What it waits for, in words, such as `event 'approved'`; empty where it has ended."""
        return self._driver.do(self._control.waits(self.id))

    def raise_event(self, name: str, data: Any = None) -> None:
        """Raise an event to it."""
        self._driver.do(self._control.ask(self._control.requests.raise_event(self.id, name, data)))

    def suspend(self, *, reason: str = "") -> None:
        """Pause it: it takes no turns until resumed."""
        self._driver.do(self._control.ask(self._control.requests.control(SUSPEND, self.id, reason)))

    def resume(self, *, reason: str = "") -> None:
        """Let it go on after it was suspended or stalled."""
        self._driver.do(self._control.ask(self._control.requests.control(RESUME, self.id, reason)))

    def terminate(self, *, output: Any = None, recursive: bool = True, reason: str = "") -> None:
        """End it, and its open children where `recursive`."""
        call = self._control.requests.terminate(self.id, output=output, recursive=recursive, reason=reason)
        self._driver.do(self._control.ask(call))

    def activity_calls(self, activity: Activity | None = None) -> list[ActivityCall]:
        """The runs of its activities, or of one of them, in the order in which they began."""
        self._driver.do(self._control.settle)
        return select(self._control.book.calls, self.id, activity)

    def assert_activity_called(
        self,
        activity: Activity,
        *,
        times: int | None = None,
        attempts: int | None = None,
        input: Any = UNSET,  # noqa: A002  # the parameter's name everywhere else
    ) -> None:
        """See that it has called an activity.

        Args:
            activity: the function, or its name.
            times: exactly so many calls; None: at least one. Retries, and runs repeated after a crash, are one call.
            attempts: exactly so many attempts, all calls together; None: any number.
            input: only calls with this input count, as the activity decodes it.

        Raises:
            AssertionError: it has not; the message lists the runs.
        """
        what = f"activity '{name_of(activity)}' of instance '{self.id}'"
        check_called(self.activity_calls(activity), what, times=times, attempts=attempts, value=input)

    def assert_activity_not_called(self, activity: Activity) -> None:
        """See that it has not called an activity. Raises AssertionError."""
        self.assert_activity_called(activity, times=0)
