"""The parts of one environment put together, and what both its faces do: each as work for the engine's loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeVar

import structlog

from tenuto._guard.guard import Guard, Mode
from tenuto._offline.replaying import Code
from tenuto._replay.definitions import name_of, target_info
from tenuto._transport.backoff import Backoff
from tenuto._transport.client_channel import ClientSettings
from tenuto._wire.calls import Call
from tenuto._wire.instances import WorkflowIdReusePolicy, WorkflowState, WorkflowStatus
from tenuto._wire.management import Requests, missing
from tenuto._worker.worker import Worker
from tenuto.client import new_command_id
from tenuto.errors import WaitTimeout
from tenuto.testing._calls import Book, Fakes, RecordingRegistry
from tenuto.testing._checks import replay_problem, trace_text, waits_of
from tenuto.testing._effects import Effects
from tenuto.testing._faults import Crash, Party
from tenuto.testing._homes import Home
from tenuto.testing._link import WorkerChannel
from tenuto.testing._lives import Attempt, Engines, Life
from tenuto.testing.errors import WorkflowBlocked, WorkflowStalled
from tenuto.worker import WorkflowRuntime

R = TypeVar("R")
GuardMode = Literal["off", "warn", "raise"]
Work = Callable[[Life], Coroutine[Any, Any, R]]

# The same in every run, so that a test that passes today passes tomorrow.
BEGINNING: Final = datetime(2030, 1, 1, tzinfo=UTC)
# In real time; a test that is slower has something that does not return.
PATIENCE: Final = timedelta(seconds=30)
_MANY = 1_000
_TRACES = 3


class Control:
    """One environment.

    Args:
        runtime: the user's; it stays as it is, and does not serve meanwhile.
        now: virtual time at the beginning; aware.
        guard: what the guard does about what it finds in workflow code.
    """

    def __init__(self, runtime: WorkflowRuntime, now: datetime, guard: GuardMode) -> None:
        if now.tzinfo is None:
            raise ValueError(f"now is {now}, without a time zone; give one, such as tzinfo=UTC")
        parts = runtime.parts()
        self.payloads = parts.payloads
        self.engines = Engines(int(now.timestamp() * 1000), self.drop_worker)
        self.book = Book(lambda: self.engines.now_ms, self.engines.faults.ran)
        self.fakes = Fakes(parts.registry, parts.payloads)
        self.registry = RecordingRegistry(parts.registry, self.book, self.fakes, self._rest)
        self.requests = Requests(parts.payloads.codec, new_command_id, "test")
        self._guard = Guard(Mode(guard), self.registry.workflow_functions)
        self._code = Code(self.registry, parts.payloads.codec, parts.investigator, self._guard)
        self._raw_requests = Requests(None, new_command_id, "test")
        # A turn may be stopped in a debugger for as long as one likes.
        self._settings = replace(parts.settings, slow_turn_s=3_600.0)
        self.home: Home
        self.checked: set[tuple[str, int]] = set()
        self._started: dict[str, int] = {}
        _quiet_engine()

    # -- the worker ---------------------------------------------------------------------------------------------------

    def make_worker(self) -> Worker:
        """A worker for the runtime's code. Called on its loop."""
        settings = ClientSettings(
            "the engine of this test", "", None, open_channel=lambda *_, **__: WorkerChannel(self.engines.connect)
        )
        return Worker(
            self.registry,
            self.payloads,
            guard=self._guard,
            connection=settings,
            settings=self._settings,
            on_connected=lambda: None,
            investigator=self._code.investigator,
            new_backoff=lambda: Backoff(lambda: 0.0),
        )

    def begin(self, home: Home) -> None:
        """Let engine and worker begin."""
        self.home = home
        self.engines.start()
        self.put_worker()

    def put_worker(self) -> None:
        """Let there be a worker, a new one where there is one."""
        self.engines.wants_worker = True
        self.home.begin()

    def drop_worker(self) -> None:
        """Crash the worker here and now; another one takes its place, if one is wanted."""
        if self.engines.wants_worker:
            self.home.begin()
        else:
            self.home.leave()
        self.engines.cut_lines()

    def take_worker(self) -> None:
        """Let there be no worker."""
        self.engines.wants_worker = False
        self.drop_worker()

    def worker_ended(self, error: BaseException) -> None:
        """The worker itself has failed, which no code of a user should bring about: nobody need wait for it."""
        self.engines.fail(error)

    def _rest(self, attempt: Attempt, is_resting: bool) -> None:
        # Counted: a run that its crashed worker has not ended yet may be followed by one at the next worker.
        self.engines.resting[attempt] += 1 if is_resting else -1
        self.engines.touch()

    # -- work for the engine's loop -----------------------------------------------------------------------------------

    def ask(self, call: Call[R]) -> Work[R]:
        """Send a command or a question."""
        return lambda life: life.ask(call)

    def start(
        self, workflow: str | Callable[..., Any], *, value: Any, instance_id: str | None, start_at: datetime | None
    ) -> Work[str]:
        """Start an instance. One without an id is named after its workflow, and counted."""
        name = name_of(workflow)
        self._started[name] = self._started.get(name, 0) + 1
        call = self.requests.start(
            name,
            value=value,
            instance_id=f"{name}-{self._started[name]}" if instance_id is None else instance_id,
            start_at=start_at,
            reuse=WorkflowIdReusePolicy.REJECT,
            version=None,
            trace_parent="",
        )
        return self.ask(call)

    @staticmethod
    async def settle(life: Life) -> None:
        """Let everything happen that happens now."""
        async with life.moving:
            await life.idle()

    def advance(self, by: timedelta) -> Work[None]:
        """Let so much time pass, stopping wherever anything is due."""
        if not isinstance(by, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]  # tests are rarely type-checked
            raise TypeError(f"time passes by a timedelta, and this is {by!r}: advance(timedelta(days=1))")
        if by < timedelta(0):
            raise ValueError(f"time never goes back, and this is {by}")
        until_ms = self.engines.now_ms + round(by.total_seconds() * 1000)

        async def work(life: Life) -> None:
            while life.loop.now_ms <= until_ms:
                async with life.moving:
                    await life.idle()
                    next_ms = life.next_ms()
                    if next_ms is None or next_ms > until_ms:
                        life.loop.move_to(max(life.loop.now_ms, until_ms))
                        break
                    life.loop.move_to(next_ms)
            await self.settle(life)

        return work

    def run_to_end(self, instance_id: str, *, for_start: bool = False, timeout_s: float = 0) -> Work[WorkflowState]:
        """Let time pass until an instance has ended, or begun; at most so many virtual seconds, 0 without end."""
        until_ms = self.engines.now_ms + round(timeout_s * 1000) if timeout_s > 0 else None

        async def work(life: Life) -> WorkflowState:
            while True:
                async with life.moving:
                    await life.idle()
                    state = await life.ask_now(self.requests.get(instance_id, fetch_payloads=True))
                    if state is None:
                        raise missing(instance_id)
                    status = state.runtime_status
                    if status.is_terminal or (for_start and status is not WorkflowStatus.PENDING):
                        return state
                    next_ms = None if self._is_held(state) else life.next_ms()
                    if until_ms is not None and (next_ms is None or next_ms > until_ms):
                        life.loop.move_to(max(until_ms, life.loop.now_ms))
                        raise WaitTimeout(
                            f"instance {instance_id!r} did not {'start' if for_start else 'complete'} within "
                            f"{timeout_s:g} s of virtual time: last seen {status.name.lower()}"
                        )
                    if next_ms is None:
                        raise await self._blocked(life, state)
                    life.loop.move_to(next_ms)

        return work

    @staticmethod
    def _is_held(state: WorkflowState) -> bool:
        return state.runtime_status in (WorkflowStatus.STALLED, WorkflowStatus.SUSPENDED)

    async def _blocked(self, life: Life, state: WorkflowState) -> AssertionError:
        name = f"instance '{state.instance_id}' (workflow '{state.name}')"
        if state.runtime_status is WorkflowStatus.STALLED:
            return self._stalled(state)
        if state.runtime_status is WorkflowStatus.SUSPENDED:
            return WorkflowBlocked(f"{name} is suspended, and does not end before it is resumed")
        if state.name not in self.registry.workflow_names:
            return WorkflowBlocked(f"{name} does not begin: the runtime has no workflow of this name")
        waits = await self.waits_of(life, state.instance_id)
        said = " and ".join(waits) or state.status_reason or "nothing that is recorded"
        if not self.engines.wants_worker:
            said += "; and there is no worker (start_worker)"
        return WorkflowBlocked(f"{name} has not ended, and nothing happens by itself any more: it waits for {said}")

    def _stalled(self, state: WorkflowState) -> WorkflowStalled:
        self.checked.add((state.execution_id, state.history_length))
        return WorkflowStalled(
            f"instance '{state.instance_id}' (workflow '{state.name}') is stalled: {state.status_reason}"
        )

    async def waits_of(self, life: Life, instance_id: str) -> list[str]:
        """What an instance waits for, in words."""
        history = await life.ask_now(self._raw_requests.history(instance_id))
        return waits_of(self._code, history)

    def waits(self, instance_id: str) -> Work[list[str]]:
        """What an instance waits for, once everything has happened that happens now."""

        async def work(life: Life) -> list[str]:
            await self.settle(life)
            return await self.waits_of(life, instance_id)

        return work

    # -- checks -------------------------------------------------------------------------------------------------------

    def check(self, instance_id: str) -> Work[None]:
        """See that an instance's code replays its history. Raises `WorkflowStalled`."""

        async def work(life: Life) -> None:
            await self.settle(life)
            await self._check(life, instance_id)

        return work

    async def check_all(self, life: Life) -> None:
        """See that the code of every instance replays its history, and that fakes have stood in for something.

        Raises `WorkflowStalled`, AssertionError.
        """
        await self.settle(life)
        self.fakes.check_used(self.book.calls)
        for state in await self._states(life):
            if (state.execution_id, state.history_length) in self.checked:
                continue  # found sound, or the test was told
            if state.runtime_status is WorkflowStatus.STALLED:
                raise self._stalled(state)
            await self._check(life, state.instance_id)

    async def _check(self, life: Life, instance_id: str) -> None:
        history = await life.ask_now(self._raw_requests.history(instance_id))
        self.checked.add((history.execution_id, len(history)))
        if problem := replay_problem(self._code, history):
            raise WorkflowStalled(
                f"instance '{instance_id}' does something else when it is replayed from its full history: {problem}"
            )

    async def _states(self, life: Life) -> list[WorkflowState]:
        states: list[WorkflowState] = []
        token = ""
        while True:
            page = await life.ask(
                self.requests.list(
                    name="",
                    statuses=(),
                    created_from=None,
                    created_to=None,
                    page=(_MANY, token),
                    id_prefix="",
                    fetch_payloads=False,
                )
            )
            states += page
            token = page.next_page_token
            if not token:
                return states

    async def effects(self, life: Life) -> dict[str, Effects]:
        """What the store holds of each instance that a crash must not change, by instance id."""
        await self.settle(life)
        found: dict[str, Effects] = {}
        for state in await self._states(life):
            history = await life.ask_now(self._raw_requests.history(state.instance_id))
            found[state.instance_id] = Effects.read(state, history)
        return found

    # -- what is told -------------------------------------------------------------------------------------------------

    def trace(self, instance_id: str) -> Work[str]:
        """The trace of an instance."""

        async def work(life: Life) -> str:
            return await self._trace(life, instance_id)

        return work

    async def _trace(self, life: Life, instance_id: str) -> str:
        state = await life.ask(self.requests.get(instance_id, fetch_payloads=True))
        if state is None:
            raise missing(instance_id)
        history = await life.ask(self.requests.history(instance_id))
        records = await life.ask(self.requests.state_records(instance_id, max_records=_MANY))
        return trace_text(state, history, records)

    async def notes(self, life: Life) -> list[str]:
        """What a failed test should show: traces of the instances, those that failed or have not ended first."""
        states = await self._states(life)
        states.reverse()  # the list begins with the newest
        notable = [state for state in states if state.runtime_status is not WorkflowStatus.COMPLETED]
        shown = notable[:_TRACES] or states[:1]
        notes = [await self._trace(life, state.instance_id) for state in shown]
        if len(states) > len(shown):
            notes.append(f"{len(states) - len(shown)} more instances are not shown.")
        return notes

    def plan(self, party: Party, at: str, nth: int) -> None:
        """Let a crash come. Raises ValueError: there is no such place."""
        self.engines.faults.plan(Crash(party, at, nth))

    def places(self) -> list[str]:
        """The places reached so far."""
        return list(self.engines.faults.reached)

    def has_crashed(self) -> bool:
        """Whether no planned crash is still to come."""
        return not self.engines.faults.pending

    def crash_engine(self) -> Work[None]:
        """Crash the engine that lives now; done when the next one does."""
        crashed: list[Life] = []

        async def work(life: Life) -> None:
            if not crashed:
                crashed.append(life)
                self.engines.kill(life)
                await life.loop.create_future()

        return work

    def result_type(self, workflow: str | Callable[..., Any] | None) -> Any:
        """What a workflow's result is decoded as, where the caller does not say."""
        if workflow is None or isinstance(workflow, str):
            return Any
        return target_info("child workflow", workflow).result_type


def _quiet_engine() -> None:
    """Let the engine log through `logging`, where the program has not chosen how structlog logs."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.stdlib.add_log_level,
                structlog.processors.format_exc_info,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
        )
        logging.getLogger("tenuto_engine").setLevel(logging.WARNING)
