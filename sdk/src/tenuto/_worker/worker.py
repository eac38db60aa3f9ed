"""The worker's life: connect, take items, answer, reconnect for ever, drain, stop.

One event loop does everything but synchronous activities. Turns run inline as they arrive: a hop to a thread would cost
more than most turns. What is answered while a write is under way leaves together in the next message.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tenuto._guard.guard import Guard
from tenuto._payloads import Payloads
from tenuto._replay.scene import Investigator
from tenuto._transport.backoff import LONGEST_SECONDS, Backoff
from tenuto._transport.client_channel import ClientSettings
from tenuto._transport.stream import StreamLost, WorkStream, open_stream
from tenuto._wire.worker import Greeting, Incoming, Introduction, encode_answers, longest_actions_bytes
from tenuto._worker.activities import ActivityRunner
from tenuto._worker.outbox import Outbox
from tenuto._worker.registry import Registry
from tenuto._worker.settings import WorkerSettings
from tenuto._worker.turns import TurnRunner
from tenuto._worker.watchdog import Watchdog

_log = logging.getLogger("tenuto.worker")
# An engine ends its side of the stream within milliseconds; one that does not is not worth more waiting.
_PARTING_SECONDS = 2.0


class Worker:
    """Serves one engine from the running event loop.

    Args:
        registry: what can be run; complete, for it is announced on connecting.
        payloads: how payloads are read and written.
        guard: watches workflow code.
        connection: where the engine is.
        settings: how much to take on.
        on_connected: called on the loop each time the engine has greeted.
        investigator: who tells more about code that differs from history; None: nobody.
        new_backoff: makes the pauses between tries to connect.
    """

    def __init__(
        self,
        registry: Registry,
        payloads: Payloads,
        *,
        guard: Guard,
        connection: ClientSettings,
        settings: WorkerSettings,
        on_connected: Callable[[], None],
        investigator: Investigator | None = None,
        new_backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._registry = registry
        self._connection = connection
        self._settings = settings
        self._on_connected = on_connected
        self._new_backoff = new_backoff
        self._worker_id = secrets.token_hex(8)
        self._outbox = Outbox()
        self._turns = TurnRunner(
            registry,
            payloads,
            guard=guard,
            max_sticky=settings.max_sticky,
            check_inputs=settings.check_inputs,
            investigator=investigator,
        )
        self._activities = ActivityRunner(registry, payloads, self._outbox, max_threads=settings.max_threads)
        self._watchdog = Watchdog(settings.slow_turn_s)
        self._engine_id = ""
        self._stopping = asyncio.Event()
        self._is_connected = False
        self._is_parting = False

    def stop(self) -> None:
        """Begins to drain: no new items, running activities end, their results are delivered; then `run` returns."""
        self._activities.is_draining = True
        self._stopping.set()
        self._outbox.nudge()

    async def run(self) -> None:
        """Serves until `stop`; cancelling it stops at once."""
        self._watchdog.start()
        try:
            async with asyncio.TaskGroup() as owner:
                serving = owner.create_task(self._serve_for_ever(owner))
                await self._stopping.wait()
                await self._drain()
                await self._part(serving)
                self._activities.abandon()  # else the group would wait for them
        finally:
            self._activities.abandon()  # also where this was cancelled: idle threads must end
            self._watchdog.stop()
            self._turns.forget_all()
            _log.info("worker %s stopped", self._worker_id)

    async def _drain(self) -> None:
        grace = self._settings.shutdown_grace_s
        try:
            async with asyncio.timeout(grace):
                await self._activities.wait_idle()
                await self._outbox.wait_settled()
        except TimeoutError:
            _log.warning(
                "worker %s stops after %g s with activities unfinished or results undelivered; the engine delivers "
                "those calls again",
                self._worker_id,
                grace,
            )

    async def _part(self, serving: asyncio.Task[None]) -> None:
        """Ends the stream from this side first: cancelling it could overtake what was written last."""
        self._is_parting = True
        self._outbox.nudge()
        if self._is_connected:
            await asyncio.wait([serving], timeout=_PARTING_SECONDS)
        serving.cancel()

    async def _serve_for_ever(self, owner: asyncio.TaskGroup) -> None:
        backoff = self._new_backoff()
        last_reason = ""
        while True:
            began = asyncio.get_running_loop().time()
            try:
                async with open_stream(self._connection, self._introduction()) as (stream, greeting):
                    self._greeted(greeting)
                    await self._serve(stream, owner)
            except (StreamLost, OSError) as error:
                was_connected, self._is_connected = self._is_connected, False
                if self._is_parting:
                    return
                last_reason = self._note_loss(error, last_reason, was_connected=was_connected)
            if asyncio.get_running_loop().time() - began > LONGEST_SECONDS:
                # Only a stream that lasted was a success: an engine that greets and fails at once must not be hammered.
                backoff.reset()
                last_reason = ""
            await asyncio.sleep(backoff.next_seconds())

    def _note_loss(self, error: Exception, last_reason: str, *, was_connected: bool) -> str:
        """Logs one line per outage, and another where the reason becomes of another kind; returns that kind."""
        if was_connected:
            _log.warning(
                "lost the engine at %s: %s; results are kept until there is one again", self._connection.target, error
            )
            return "UNAVAILABLE"
        kind = str(error).partition(":")[0]
        if kind != last_reason:
            _log.warning("no engine at %s: %s; trying again until there is one", self._connection.target, error)
        return kind

    def _introduction(self) -> Introduction:
        settings = self._settings
        return Introduction(
            worker_id=self._worker_id,
            sdk=f"python/{_sdk_version()}",
            code_hash=self._registry.combined_hash(),
            workflows=self._registry.workflow_names,
            activities=self._registry.activity_names,
            max_turns=settings.max_turns,
            max_activities=settings.max_activities,
            max_sticky=settings.max_sticky,
            running=[*self._activities.running_tokens, *self._outbox.kept_tokens],
        )

    def _greeted(self, greeting: Greeting) -> None:
        _log.info(
            "connected to engine %s (app '%s', version '%s') at %s",
            greeting.engine_id,
            greeting.app,
            greeting.version,
            self._connection.target,
        )
        if greeting.engine_id != self._engine_id:
            self._turns.forget_all()
            self._engine_id = greeting.engine_id
        self._turns.forget_chunks()
        self._turns.max_actions_bytes = longest_actions_bytes(greeting)
        self._activities.max_payload_bytes = greeting.max_payload_bytes
        self._outbox.begin_stream()
        self._is_connected = True
        self._on_connected()

    async def _serve(self, stream: WorkStream, owner: asyncio.TaskGroup) -> None:
        """Reads and writes until the stream is lost, whichever side notices first."""
        lost: list[StreamLost] = []

        async def note_loss(part: Callable[[], Coroutine[Any, Any, None]]) -> None:
            try:
                await part()  # made here: a task that is cancelled before its first step would leave it unawaited
            except StreamLost as error:
                lost.append(error)
                reading.cancel()
                writing.cancel()

        async with asyncio.TaskGroup() as both:
            reading = both.create_task(note_loss(lambda: self._read(stream, owner)))
            writing = both.create_task(note_loss(lambda: self._write(stream)))
        raise lost[0]

    async def _read(self, stream: WorkStream, owner: asyncio.TaskGroup) -> None:
        while True:
            self._take(await stream.read(), owner)

    async def _write(self, stream: WorkStream) -> None:
        while True:
            turns, activities, beats = await self._outbox.take()
            # Asked before the write: what changes during it belongs to the next message.
            is_draining, is_parting = self._stopping.is_set(), self._is_parting
            for data in encode_answers(turns, activities, beats=beats, is_draining=is_draining):
                await stream.write(data)
            if is_parting:
                await stream.finish()
                return

    def _take(self, message: Incoming, owner: asyncio.TaskGroup) -> None:
        for token in message.acknowledged:
            self._activities.acknowledge(token)
        for instance_id, execution_id in message.forgotten:
            self._turns.forget(instance_id, execution_id)
        for call in message.activities:
            self._activities.start(call, owner)
        for token, reason in message.cancelled:
            self._activities.cancel(token, reason)
        for turn in message.turns:
            self._watchdog.enter(turn.instance_id)
            answer = self._turns.run(turn)
            self._watchdog.leave()
            if answer is not None:
                self._outbox.add_turn(answer)
        if message.is_draining:
            _log.info("engine %s is draining; results still reach it", self._engine_id)


def _sdk_version() -> str:
    try:
        return version("tenuto")
    except PackageNotFoundError:  # Run from a source tree that was never installed.
        return "unknown"
