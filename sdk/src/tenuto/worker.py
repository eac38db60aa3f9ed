"""The runtime: where workflows and activities are registered, and what serves them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar, overload

from tenuto._guard.guard import Guard, choose_mode
from tenuto._payloads import Payloads
from tenuto._replay.definitions import declare_name, make_options
from tenuto._replay.operations import source_of
from tenuto._replay.scene import Suspect
from tenuto._transport.client_channel import read_settings
from tenuto._worker.hosting import WorkerThread
from tenuto._worker.investigation import CodeInvestigator
from tenuto._worker.registry import Registry
from tenuto._worker.settings import WorkerSettings
from tenuto._worker.worker import Worker
from tenuto.errors import RegistrationError
from tenuto.payload import PayloadCodec
from tenuto.workflow import RetryPolicy

F = TypeVar("F", bound=Callable[..., Any])
_log = logging.getLogger("tenuto.worker")
_READY_SECONDS = 30.0
CHECK_INPUTS_VARIABLE = "TENUTO_CHECK_INPUTS"
_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})


class RuntimeParts(NamedTuple):
    """What a runtime serves: its code, how payloads are read and written, its bounds, who looks into its code."""

    registry: Registry
    payloads: Payloads
    settings: WorkerSettings
    investigator: CodeInvestigator


class WorkflowRuntime(AbstractContextManager["WorkflowRuntime"], AbstractAsyncContextManager["WorkflowRuntime"]):
    """Registers workflows and activities, and serves them for one engine.

    Register first, then serve in one of these ways:

    * `start()` and `shutdown()`, or `with runtime:` - on a thread of its own, beside whatever the program does;
    * `run()` - blocks until SIGTERM or SIGINT, for programs that do nothing else;
    * `async with runtime:` or `await runtime.serve()` - on the running event loop, so that asynchronous activities
      share the program's connections.

    A lost engine is looked for again, for ever; results are kept until an engine has acknowledged them.

    Args:
        host: the engine's host; None: see `engine`.
        port: the engine's port; None: see `engine`.
        logger_options: an object with any of `log_level`, `log_handler`, `log_formatter`, applied to the logger
            `tenuto`; None leaves logging to the program.
        engine: `HOST:PORT` or `unix:PATH`. None: the variable TENUTO_ENGINE, else 127.0.0.1:50001.
        token: sent to the engine. None: the variable TENUTO_TOKEN, else the content of `token_file`.
        token_file: file that holds the token, read on each connecting. None: the variable TENUTO_TOKEN_FILE.
        payload_codec: compresses or encrypts payloads; clients need the same one. None: plain JSON.
        max_threads: threads for synchronous activities. None: 16.
        max_activities: activities at once. None: the engine's default.
        max_turns: workflow turns that the engine may have sent here at once. None: the engine's default.
        max_sticky: live workflow instances kept in memory; 0: none. None: 2,000.
        shutdown_grace: how long running activities may take to end at shutdown. None: 20 seconds.
        slow_turn: a turn that blocks longer than this is logged with its stack. None: 5 seconds.
        guard: what happens where workflow code calls a clock, random numbers, files, the network and the like:
            `"off"`: nothing; `"warn"`: it is logged, once per line; `"raise"`: the call is refused, and the instance
            stalls until the code is mended. None: the variable TENUTO_GUARD, else `"warn"`.
        check_inputs: whether a replay must also ask with the inputs, payloads, due times and results that history
            records, not only for the same operations in the same order. None: the variable TENUTO_CHECK_INPUTS, else
            False: code may change them for what is done without harm, and many do.
        maximum_concurrent_activity_work_items: Dapr's name of `max_activities`.
        maximum_concurrent_orchestration_work_items: Dapr's name of `max_turns`.
        maximum_thread_pool_workers: Dapr's name of `max_threads`.
        worker_ready_timeout: seconds that `start()` waits for the engine; 0: not at all. None: 30.

    Raises:
        ValueError: an address, a number or the guard's mode is not valid.
    """

    def __init__(
        self,
        host: str | None = None,
        port: str | int | None = None,
        logger_options: Any = None,
        *,
        engine: str | None = None,
        token: str | None = None,
        token_file: str | None = None,
        payload_codec: PayloadCodec | None = None,
        max_threads: int | None = None,
        max_activities: int | None = None,
        max_turns: int | None = None,
        max_sticky: int | None = None,
        shutdown_grace: timedelta | None = None,
        slow_turn: timedelta | None = None,
        guard: Literal["off", "warn", "raise"] | None = None,
        check_inputs: bool | None = None,
        maximum_concurrent_activity_work_items: int | None = None,
        maximum_concurrent_orchestration_work_items: int | None = None,
        maximum_thread_pool_workers: int | None = None,
        worker_ready_timeout: float | None = None,
    ) -> None:
        if logger_options is not None:
            _apply_logger_options(logger_options)
        self._connection = read_settings(host=host, port=port, engine=engine, token=token, token_file=token_file)
        given = {
            "max_threads": _first(max_threads, maximum_thread_pool_workers),
            "max_activities": _first(max_activities, maximum_concurrent_activity_work_items),
            "max_turns": _first(max_turns, maximum_concurrent_orchestration_work_items),
            "max_sticky": max_sticky,
            "shutdown_grace_s": None if shutdown_grace is None else shutdown_grace.total_seconds(),
            "slow_turn_s": None if slow_turn is None else slow_turn.total_seconds(),
            "check_inputs": _is_set(CHECK_INPUTS_VARIABLE) if check_inputs is None else check_inputs,
        }
        self._settings = WorkerSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # each name has the type of its field
        self._guard_mode = choose_mode(guard, os.environ.get("TENUTO_GUARD"))
        self._ready_seconds = _READY_SECONDS if worker_ready_timeout is None else worker_ready_timeout
        self._payloads = Payloads(payload_codec)
        self._registry = Registry()
        self._investigator = CodeInvestigator(_lint)
        self._connected = threading.Event()
        self._thread: WorkerThread | None = None
        self._serving: tuple[Worker, asyncio.Task[None]] | None = None

    # -- registering

    def register_workflow(self, fn: Callable[..., Any], *, name: str | None = None) -> None:
        """Registers a workflow: a function of `(ctx)` or `(ctx, input)`.

        Args:
            fn: a generator function, an `async def`, or a plain function that never waits.
            name: what it is called by. None: the function's name.

        Raises:
            RegistrationError: the name is taken, the function does not fit, or the runtime already serves.
        """
        self._refuse_late(fn)
        self._registry.add_workflow(fn, name)

    def register_versioned_workflow(
        self, fn: Callable[..., Any], *, name: str, version_name: str | None = None, is_latest: bool
    ) -> None:
        """Registers one version of a workflow: new executions take the latest, running ones keep theirs.

        Args:
            fn: the function.
            name: what all versions are called by.
            version_name: names this version, for ever. None: the function's name.
            is_latest: whether new executions take this version; exactly one does.

        Raises:
            RegistrationError: the version is taken, there are two latest ones, or the function does not fit.
        """
        self._refuse_late(fn)
        self._registry.add_variant(fn, name, version_name or fn.__name__, is_latest=is_latest)

    def register_activity(
        self,
        fn: Callable[..., Any],
        *,
        name: str | None = None,
        retry_policy: RetryPolicy | None = None,
        start_to_close_timeout: timedelta | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
    ) -> None:
        """Registers an activity: a `def` or `async def` of `(ctx)` or `(ctx, input)`.

        Args:
            fn: the function. A `def` runs in a thread, an `async def` on the worker's event loop.
            name: what it is called by. None: the function's name.
            retry_policy: for calls that do not say. None: a single attempt.
            start_to_close_timeout: longest duration of one attempt, for calls that do not say. None: no limit.
            schedule_to_close_timeout: longest duration of a call, all attempts and waits included. None: no limit.
            heartbeat_timeout: longest silence of an attempt. None: no limit.

        Raises:
            RegistrationError: the name is taken, the function does not fit, or the runtime already serves.
            ValueError: a timeout is zero or negative.
        """
        self._refuse_late(fn)
        options = make_options(
            retry_policy=retry_policy,
            start_to_close_timeout=start_to_close_timeout,
            schedule_to_close_timeout=schedule_to_close_timeout,
            heartbeat_timeout=heartbeat_timeout,
        )
        self._registry.add_activity(fn, name, options)

    @overload
    def workflow(self, fn: F, /) -> F: ...
    @overload
    def workflow(self, /, *, name: str | None = None) -> Callable[[F], F]: ...
    def workflow(self, fn: F | None = None, /, *, name: str | None = None) -> F | Callable[[F], F]:
        """Decorator, with and without arguments: see `register_workflow`. The function itself stays as it is."""

        def register(function: F) -> F:
            self.register_workflow(function, name=name)
            return function

        return register if fn is None else register(fn)

    @overload
    def versioned_workflow(self, fn: F, /, *, name: str, version_name: str | None = None, is_latest: bool) -> F: ...
    @overload
    def versioned_workflow(
        self, /, *, name: str, version_name: str | None = None, is_latest: bool
    ) -> Callable[[F], F]: ...
    def versioned_workflow(
        self, fn: F | None = None, /, *, name: str, version_name: str | None = None, is_latest: bool
    ) -> F | Callable[[F], F]:
        """Decorator: see `register_versioned_workflow`. The function itself stays as it is."""

        def register(function: F) -> F:
            self.register_versioned_workflow(function, name=name, version_name=version_name, is_latest=is_latest)
            return function

        return register if fn is None else register(fn)

    @overload
    def activity(self, fn: F, /) -> F: ...
    @overload
    def activity(
        self,
        /,
        *,
        name: str | None = None,
        retry_policy: RetryPolicy | None = None,
        start_to_close_timeout: timedelta | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
    ) -> Callable[[F], F]: ...
    def activity(
        self,
        fn: F | None = None,
        /,
        *,
        name: str | None = None,
        retry_policy: RetryPolicy | None = None,
        start_to_close_timeout: timedelta | None = None,
        schedule_to_close_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
    ) -> F | Callable[[F], F]:
        """Decorator, with and without arguments: see `register_activity`. The function itself stays as it is."""

        def register(function: F) -> F:
            self.register_activity(
                function,
                name=name,
                retry_policy=retry_policy,
                start_to_close_timeout=start_to_close_timeout,
                schedule_to_close_timeout=schedule_to_close_timeout,
                heartbeat_timeout=heartbeat_timeout,
            )
            return function

        return register if fn is None else register(fn)

    # -- serving on a thread

    def start(self) -> None:
        """Serves on a thread of its own, and returns once the engine has greeted or the ready timeout has passed.

        No engine in time is not an error: a warning is logged, and the worker goes on looking for one. The thread ends
        with the program; call `shutdown` before, so that running activities can end.

        Raises:
            RuntimeError: the runtime already serves.
        """
        self._refuse_serving()
        thread = WorkerThread(self._make_worker)
        thread.start()
        self._thread = thread
        if self._ready_seconds > 0 and not self.wait_for_worker_ready(self._ready_seconds):
            _log.warning(
                "no engine at %s after %g s; the worker goes on looking for one",
                self._connection.target,
                self._ready_seconds,
            )

    def wait_for_worker_ready(self, timeout: float = _READY_SECONDS) -> bool:
        """Waits until an engine has greeted this worker; False where none did within `timeout` seconds."""
        return self._connected.wait(timeout)

    def shutdown(self) -> None:
        """Takes no new work, lets running activities end within the grace, delivers their results, and stops.

        Without effect where the runtime does not serve on a thread. It may be started again.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()
            self._connected.clear()

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then shuts down and returns. Call it from the main thread."""
        stopped = threading.Event()

        def on_signal(number: int, frame: FrameType | None) -> None:
            _log.info("%s: shutting down", signal.Signals(number).name)
            stopped.set()

        former = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self.start()
            stopped.wait()
            self.shutdown()
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    # -- serving on the running loop

    async def serve(self) -> None:
        """Serves on the running event loop until cancelled; then drains as `shutdown` does.

        Raises:
            RuntimeError: the runtime already serves.
        """
        async with self:
            serving = self._serving
            assert serving is not None, "entering the runtime sets it"
            await asyncio.shield(serving[1])

    async def __aenter__(self) -> Self:
        self._refuse_serving()
        worker = self._make_worker()
        # Owned by this runtime: __aexit__ waits for its end.
        self._serving = worker, asyncio.get_running_loop().create_task(worker.run(), name="tenuto-worker")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            worker, task = serving
            worker.stop()
            await task
            self._connected.clear()

    # -- parts

    def parts(self) -> RuntimeParts:
        """What this runtime serves, for tools that serve or replay it themselves; it stays the runtime's own."""
        return RuntimeParts(self._registry, self._payloads, self._settings, self._investigator)

    def _make_worker(self) -> Worker:
        return Worker(
            self._registry,
            self._payloads,
            guard=Guard(self._guard_mode, self._registry.workflow_functions),
            connection=self._connection,
            settings=self._settings,
            on_connected=self._connected.set,
            investigator=self._investigator,
        )

    def _refuse_serving(self) -> None:
        if self._thread is not None or self._serving is not None:
            raise RuntimeError("the runtime already serves; shut it down first")

    def _refuse_late(self, function: Callable[..., Any]) -> None:
        if self._thread is not None or self._serving is not None:
            raise RegistrationError(
                f"{function!r} is registered too late: the runtime already serves, and told the engine what it can run"
            )


def alternate_name(name: str | None = None) -> Callable[[F], F]:
    """Decorator that names a workflow or activity function before it is registered; None keeps its own name.

    Raises:
        RegistrationError: the function already has another name.
    """

    def declare(function: F) -> F:
        declare_name(function, name or function.__name__)
        return function

    return declare


def _lint(path: str, function: str) -> list[Suspect]:
    """What the linter says of a function. Imported at the first difference: most workers never meet one."""
    from tenuto._lint.api import lint_function

    return [
        Suspect(each.rule, source_of(each.path, each.line), each.message, each.instead)
        for each in lint_function(path, function)
    ]


def _is_set(variable: str) -> bool:
    """Whether a variable says yes. Raises ValueError for a word that is neither yes nor no."""
    word = os.environ.get(variable, "").strip().casefold()
    if word not in _YES | _NO:
        raise ValueError(f"the variable {variable} is {word!r}; give 1 or 0")
    return word in _YES


def _first(own: int | None, dapr: int | None) -> int | None:
    return dapr if own is None else own


def _apply_logger_options(options: Any) -> None:
    logger = logging.getLogger("tenuto")
    level = getattr(options, "log_level", None)
    handler = getattr(options, "log_handler", None)
    formatter = getattr(options, "log_formatter", None)
    if level is not None:
        logger.setLevel(level)
    if handler is None and formatter is not None:
        handler = logging.StreamHandler()
    if handler is not None:
        if formatter is not None:
            handler.setFormatter(formatter)
        logger.addHandler(handler)
