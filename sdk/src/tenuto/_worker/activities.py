"""Activities: run in threads or on the loop, each answered once per delivery.

The same attempt may arrive again after a lost stream or engine, while it runs here or its result is on the way. It is
not run a second time: its one result answers every delivery. A run that nobody waits for is cancelled: it may still
succeed, for the success of any attempt counts; a failure of it is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from tenuto._payloads import Payloads
from tenuto._replay.actions import encode_failure
from tenuto._replay.events import Failure
from tenuto._replay.failures import from_exception
from tenuto._wire.tracing import activity_span
from tenuto._wire.worker import ActivityAnswer, ActivityCall, Beat
from tenuto._worker.activity_context import WorkflowActivityContext
from tenuto._worker.activity_run import ActivityRun
from tenuto._worker.outbox import Outbox
from tenuto._worker.registry import ActivityCode, Registry
from tenuto._worker.threads import ThreadPool
from tenuto.errors import ActivityCancelled

_Key = tuple[str, str, int, int]
_Result = tuple[bytes | None, bytes]
_log = logging.getLogger("tenuto.worker")


class ActivityRunner:
    """Runs activities on behalf of one event loop.

    Args:
        registry: the code.
        payloads: how payloads are read and written.
        outbox: where answers go.
        max_threads: threads for synchronous activities.
    """

    def __init__(self, registry: Registry, payloads: Payloads, outbox: Outbox, *, max_threads: int) -> None:
        self._registry = registry
        self._payloads = payloads
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPool(max_threads, self._wake)
        self._running: dict[_Key, ActivityRun] = {}
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._unacknowledged: dict[_Key, _Result] = {}
        self._keys: dict[str, _Key] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.is_draining = False
        self.max_payload_bytes = 0

    @property
    def running_tokens(self) -> Iterator[str]:
        """Tokens of the calls that run now."""
        return (token for run in self._running.values() for token in run.tokens)

    def start(self, call: ActivityCall, owner: asyncio.TaskGroup) -> None:
        """Begins a call; its answer reaches the outbox later, or at once where it cannot be run here."""
        code = self._registry.activity(call.name)
        if code is None or self.is_draining:
            self._outbox.add_activity(ActivityAnswer(call.token, is_rejected=True))
            return
        key = (call.instance_id, call.execution_id, call.event_id, call.attempt)
        present = self._running.get(key)
        if present is not None:
            present.tokens.append(call.token)
            return
        result = self._unacknowledged.get(key)
        if result is not None:
            self._answer(key, call.token, result)
            return
        run = self._running[key] = ActivityRun(call, self._payloads, self._beat)
        self._idle.clear()
        if code.is_async:
            self._tasks[key] = owner.create_task(self._run_async(code, run, key))
        else:
            self._threads.submit(lambda: (key, self._run_sync(code, run)))
            if call.heartbeat_ms:
                self._loop.call_later(run.every_s, self._beat_for, run)

    def _beat_for(self, run: ActivityRun) -> None:
        """While a call waits for a thread, nobody else can say that this worker has not forgotten it."""
        if not run.has_begun and not run.is_cancelled:
            self._outbox.add_beat(Beat(run.tokens[-1]))
            self._loop.call_later(run.every_s, self._beat_for, run)

    def cancel(self, token: str, reason: str) -> None:
        """Nobody waits for this delivery any more; where it is the last one of its run, the code is told."""
        for key, run in self._running.items():
            if token in run.tokens:
                if run.tokens[-1] == token:
                    run.cancel(reason)
                    task = self._tasks.get(key)
                    if task is not None:
                        # Not before its first step, which would then never happen, nor would its end be noticed.
                        self._loop.call_soon(task.cancel, reason)
                else:
                    run.tokens.remove(token)
                return

    def _beat(self, beat: Beat) -> None:
        try:
            self._loop.call_soon_threadsafe(self._outbox.add_beat, beat)
        except RuntimeError:  # The loop is closed: the worker stopped without waiting for this activity.
            return

    def acknowledge(self, token: str) -> None:
        """A result is durable, or nobody wants it any more: it need not be kept."""
        key = self._keys.pop(token, None)
        if key is not None:
            self._unacknowledged.pop(key, None)
        self._outbox.acknowledge(token)

    async def wait_idle(self) -> None:
        """Waits until nothing runs."""
        await self._idle.wait()

    def abandon(self) -> None:
        """Cancels what runs on the loop; threads end by themselves, their results have no reader."""
        for task in self._tasks.values():
            task.cancel()
        self._threads.stop()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._collect)
        except RuntimeError:  # The loop is closed: the worker stopped without waiting for this activity.
            return

    def _collect(self) -> None:
        for key, result in self._threads.take():
            self._finish(key, result)

    def _finish(self, key: _Key, result: _Result | None) -> None:
        """A run has ended; None: it was cancelled before it had a result."""
        self._tasks.pop(key, None)
        run = self._running.pop(key)
        if result is not None and not (run.may_not_fail and result[1]):
            beat = run.take_unsent() if result[1] else None
            if beat is not None:
                self._outbox.add_beat(beat)
            self._unacknowledged[key] = result
            for token in run.tokens:
                self._answer(key, token, result)
        if not self._running:
            self._idle.set()

    def _answer(self, key: _Key, token: str, result: _Result) -> None:
        self._keys[token] = key
        self._outbox.add_activity(ActivityAnswer(token, result=result[0], failure=result[1]))

    def _run_sync(self, code: ActivityCode, run: ActivityRun) -> _Result | None:
        call = run.call
        if run.reason is not None:  # it was, while it waited for a thread
            return None
        run.has_begun = True
        try:
            arguments = self._arguments(code, run)
            with activity_span(call):
                value = code.function(*arguments)
        except BaseException as error:  # An activity may raise anything; in its thread, even SystemExit is its failure.
            return None if run.is_cancelled else _failed(call, error)
        return self._encode(call, value)

    async def _run_async(self, code: ActivityCode, run: ActivityRun, key: _Key) -> None:
        call = run.call
        result: _Result | None
        try:
            arguments = self._arguments(code, run)
            with activity_span(call), self._limited(run):
                value = await code.function(*arguments)
        except BaseException as error:  # See _run_sync.
            if isinstance(error, KeyboardInterrupt) or (not run.is_cancelled and _is_cancelled_from_outside(error)):
                raise  # The worker stops: this is no result, the engine delivers the call again.
            if run.may_not_fail:
                result = None
            elif run.is_overdue and isinstance(error, (asyncio.CancelledError, ActivityCancelled)):
                result = None, encode_failure(Failure(type="ActivityTimeout", message=run.reason or ""))
            else:
                result = _failed(call, error)
        else:
            result = self._encode(call, value)
        self._finish(key, result)

    @contextmanager
    def _limited(self, run: ActivityRun) -> Generator[None]:
        """Cancel the current task when the attempt's time is over, and let its code know why before."""
        call, task = run.call, asyncio.current_task()

        def end() -> None:
            if task is not None and not run.is_cancelled:
                # The engine says it in the same words: its message may be first.
                text = (
                    f"attempt {call.attempt} of activity '{call.name}' of instance '{call.instance_id}' did not end "
                    f"within its start-to-close timeout of {call.start_to_close_ms} ms"
                )
                run.cancel(text, is_overdue=True)
                task.cancel(text)

        timer = self._loop.call_later(call.start_to_close_ms / 1000, end) if call.start_to_close_ms else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    def _arguments(self, code: ActivityCode, run: ActivityRun) -> tuple[Any, ...]:
        call = run.call
        if not code.takes_input:
            return (WorkflowActivityContext(run),) if code.takes_context else ()
        value = self._payloads.load(call.input, code.input_type, what=f"input of activity '{call.name}'")
        return WorkflowActivityContext(run), value

    def _encode(self, call: ActivityCall, value: Any) -> _Result:
        try:
            data = self._payloads.dump(value, what=f"result of activity '{call.name}'")
        except ValueError as error:
            return _failed(call, error)
        limit = self.max_payload_bytes
        if limit and data is not None and len(data) > limit:
            return None, encode_failure(
                Failure(
                    type="LimitExceeded",
                    message=f"the result of activity '{call.name}' has {len(data):,} bytes, the limit payload_bytes is "
                    f"{limit:,}; store it elsewhere and return a reference",
                    non_retryable=True,
                )
            )
        return data, b""


def _is_cancelled_from_outside(error: BaseException) -> bool:
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _failed(call: ActivityCall, error: BaseException) -> _Result:
    _log.warning(
        "activity '%s' of instance '%s' failed (operation %d, attempt %d): %s: %s",
        call.name,
        call.instance_id,
        call.event_id,
        call.attempt,
        type(error).__qualname__,
        error,
        exc_info=error,
    )
    return None, encode_failure(from_exception(error))
