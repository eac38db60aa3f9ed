"""The real engine on a thread of its own, over its lives, on virtual time.

One life is one engine process: a loop, an engine, and the lines to its worker. When it crashes, the loop is thrown away
where it stands and another life begins on the same store. Requests of the test that were under way begin anew there, as
a client repeats them; commands have ids, so that this has one effect.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from hashlib import sha256
from typing import Any, TypeVar

import grpc

from tenuto._wire.calls import Attempts, Call
from tenuto.testing._faults import CrashPoints, EngineKilled
from tenuto.testing._link import CallAborted, Line, ServerEnd
from tenuto.testing._virtual_loop import VirtualLoop
from tenuto_engine.core.limits import Limits
from tenuto_engine.edge.management_service import ManagementService
from tenuto_engine.edge.worker_service import WorkerService
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.operations import Operation
from tenuto_engine.ports.outcomes import Created, Outcome, Rejected
from tenuto_engine.ports.records import NEVER_MS, ActivityKey
from tenuto_engine.runtime.context import Context, RuntimeSettings
from tenuto_engine.runtime.engine import Engine
from tenuto_engine.runtime.faults import Faults
from tenuto_engine.runtime.leases import LeaseKeeper
from tenuto_engine.runtime.metrics import Metrics
from tenuto_engine.runtime.sources import Sources
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState, MemoryStore

R = TypeVar("R")

_WORK_METHOD = "/tenuto.v1.Worker/Work"
_CENTURIES_S = 1_000 * 365.0 * 86_400
_CENTURIES_MS = int(_CENTURIES_S * 900)
# A lease that outlasts every test: whether an owner may act must not depend on how far time was moved at once. Ended
# instances are kept as long. A worker that is gone does not come back by itself, so nobody waits for it.
_SETTINGS = RuntimeSettings(
    app="test",
    shards=4,
    lease_seconds=100 * _CENTURIES_S,
    reconnect_grace_seconds=0.0,
    retain_completed_seconds=_CENTURIES_S,
    retain_failed_seconds=_CENTURIES_S,
)
# A refused command is repeated this often, as a client would within its minute.
_TRIES = 100


# An attempt of a call: the next one may begin before the code of the former has noticed that nobody waits for it.
Attempt = tuple[ActivityKey, int]


class Request:
    """Something to be done on the engine's loop, in whichever life it can be."""

    def __init__(self, work: Callable[[Life], Coroutine[Any, Any, Any]]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.task: asyncio.Task[Any] | None = None


class LoopRounds:
    """The lease keeper's rounds on the engine's own loop: a store in memory keeps nobody waiting."""

    def __init__(self, keeper: LeaseKeeper, loop: VirtualLoop) -> None:
        self._keeper = keeper
        self._loop = loop
        self._wake = asyncio.Event()
        keeper.wake = _Bell(self._wake)

    def start(self) -> None:
        self._task = self._loop.create_task(self._run(), name="lease-keeper")

    async def stop(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await self._loop.pause(self._keeper.step(), self._wake)


class _Bell(threading.Event):
    """Wakes a task of the loop it is rung on."""

    def __init__(self, event: asyncio.Event) -> None:
        super().__init__()
        self._event = event

    def set(self) -> None:
        self._event.set()


class LifeStore(MemoryStore):
    """One life's connection to the store: ends with it, and may be told to refuse writes."""

    def __init__(self, state: MemoryState, engines: Engines) -> None:
        super().__init__(state=state, app=_SETTINGS.app)
        self._engines = engines
        self.is_closed = False

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        if self.is_closed:
            raise StoreUnavailable("this engine has crashed")
        if self._engines.writes_to_refuse:
            self._engines.writes_to_refuse -= 1
            return [Rejected("refused by the test (fail_store)") for _ in operations]
        outcomes = await super().execute(operations)
        self._engines.created += sum(isinstance(outcome, Created) for outcome in outcomes)
        return outcomes


class LifeFaults(Faults):
    """The places that one life reaches; none while it dies."""

    def __init__(self, life: Life, faults: CrashPoints) -> None:
        super().__init__()
        self.armed = True
        self._life = life
        self._faults = faults

    def reach(self, point: str, subject: str = "") -> None:
        if not self._life.is_over:
            self._faults.reach(point, subject)


class Life:
    """One engine, from its start to its crash. Everything here happens on its loop."""

    def __init__(self, engines: Engines) -> None:
        self.loop = VirtualLoop(engines.now_ms, self._on_idle)
        self.engine: Engine
        self.is_over = False
        self._engines = engines
        self._created = engines.created
        self._drawn = itertools.count()
        self._is_started = False
        self._lines: list[Line] = []
        self._idle: list[asyncio.Future[None]] = []
        self._store = LifeStore(engines.state, engines)
        self._leases = MemoryLeaseStore(state=engines.state)
        self._handlers: tuple[Any, Any]

    # -- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until killed."""
        self.moving = asyncio.Lock()
        loop = self.loop
        context = Context(
            _SETTINGS,
            Limits(),
            metrics=Metrics(app=_SETTINGS.app, version=""),
            faults=LifeFaults(self, self._engines.faults),
            sources=Sources(
                monotonic_ns=lambda: loop.now_ms * 1_000_000,
                unix_ns=lambda: loop.now_ms * 1_000_000,
                random_hex=self._random_hex,
                pause=loop.pause,
            ),
        )
        self.engine = Engine(context, self._store, self._leases, rounds=lambda keeper: LoopRounds(keeper, loop))
        await self.engine.start(durability="D0")
        worker: Any = WorkerService(self.engine).handler()
        management: Any = ManagementService(self.engine.commands, self.engine.describe).handler()
        self._handlers = worker, management
        self._is_started = True
        self._engines.begun(self)
        await loop.create_future()

    def _random_hex(self, size: int) -> str:
        """Not random: execution ids, and what workflows draw from them, are those of every other run of the test.

        After a crash the count goes on where the store stands, so that a start repeated then has the id it had before.
        """
        number = self._created + next(self._drawn)
        return sha256(f"{size}/{number}".encode()).hexdigest()[: 2 * size]

    def end(self) -> None:
        """Throw it away where it stands: from here on it reaches neither store nor worker nor test."""
        self.is_over = True
        self._store.is_closed = True
        for line in self._lines:
            line.cut()
        self.loop.discard()
        # As if its heartbeat had run out by now: the next life takes what it had claimed at once.
        self._leases.leave(self.engine.context.engine_id)

    # -- idleness and time --------------------------------------------------------------------------------------------

    def _on_idle(self) -> bool:
        """Whether somebody waits for the moment at which nothing happens any more, and is told that this is it."""
        waiting, self._idle = self._idle, []
        if not waiting or not self._is_settled():
            self._idle = waiting
            return False
        for future in waiting:
            if not future.done():
                future.set_result(None)
        return True

    def _is_settled(self) -> bool:
        """Whether nobody else will go on by himself: no turn and no activity is with a worker, and none is expected."""
        if not self._is_started:
            return False
        sessions = self.engine.workers.sessions.values()
        if self._engines.wants_worker and not sessions:
            return False
        resting = self._engines.resting
        return not any(
            session.turns or any(not resting[call.key, call.attempt] for call in session.runs.values())
            for session in sessions
        )

    async def idle(self) -> None:
        """Wait until nothing happens any more at the present moment."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._idle.append(future)
        await future

    def next_ms(self) -> int | None:
        """The next moment at which anything happens by itself, None where nothing ever does. Asked while idle."""
        now_ms = self.loop.now_ms
        due_ms = self.engine.next_due_ms()
        if due_ms <= now_ms:
            # It is due, and was not begun: a recurring look will.
            due_ms = self.loop.next_pause_ms() or now_ms + 1
        timer_ms = self.loop.next_timer_ms()
        next_ms = due_ms if timer_ms is None else min(due_ms, timer_ms)
        return None if next_ms >= min(NEVER_MS, now_ms + _CENTURIES_MS) else max(next_ms, now_ms + 1)

    def turning(self) -> list[str]:
        """The instances whose turn is with a worker now."""
        return [instance_id for session in [*self.engine.workers.sessions.values()] for instance_id in [*session.turns]]

    # -- requests -----------------------------------------------------------------------------------------------------

    def begin(self, request: Request) -> None:
        """Do what was asked for; its future gets the answer."""
        if self.is_over:
            return
        if request.future.cancelled():
            self._engines.done(request)
            return
        task = request.task = self.loop.create_task(request.work(self))

        def ended(task: asyncio.Task[Any]) -> None:
            if self.is_over:
                return  # the next life begins it again
            self._engines.done(request)
            if task.cancelled() or not request.future.set_running_or_notify_cancel():
                request.future.cancel()
            elif (error := task.exception()) is not None:
                request.future.set_exception(error)
            else:
                request.future.set_result(task.result())

        task.add_done_callback(ended)

    async def ask(self, call: Call[R]) -> R:
        """Call the management service as a client does. Raises what a client would."""
        asking = self.loop.create_task(self.ask_now(call))
        while not asking.done():
            async with self.moving:
                idle = self.loop.create_task(self.idle())
                await asyncio.wait((asking, idle), return_when=asyncio.FIRST_COMPLETED)
                idle.cancel()
                if asking.done() or (timer_ms := self.loop.next_timer_ms()) is None:
                    break
                self.loop.move_to(timer_ms)  # the command itself waits for a moment
        return await asking

    async def ask_now(self, call: Call[R]) -> R:
        """As `ask`, for calls that wait for no moment: those made while all is idle."""
        attempts = Attempts(call, target="the engine of this test", window_s=float(_TRIES), started_at=0.0)
        for number in itertools.count():
            try:
                return call.read(await self._invoke(call))
            except CallAborted as error:
                attempts.next_delay(error.code, error.details, now=float(number), fraction=0.0)
        raise AssertionError("the attempts never end")

    async def _invoke(self, call: Call[Any]) -> Any:
        method, context = call.method, _CallContext()
        handler = self._handlers[1].service(_Named(method.path))
        message = handler.request_deserializer(method.encode(call.request))
        if not method.streams:
            return method.decode(handler.response_serializer(await handler.unary_unary(message, context)))
        return [
            method.decode(handler.response_serializer(answer))
            async for answer in handler.unary_stream(message, context)
        ]

    # -- the worker's line --------------------------------------------------------------------------------------------

    def open_lines(self) -> None:
        """Workers connect; each one's future gets its line."""
        if not self.is_over:
            for worker_loop, connected in self._engines.take_connecting():
                self._open_line(worker_loop, connected)

    def _open_line(self, worker_loop: asyncio.AbstractEventLoop, connected: asyncio.Future[Line]) -> None:
        line = Line(worker_loop, self.loop)
        handler = self._handlers[0].service(_Named(_WORK_METHOD))
        line.server = ServerEnd(line, handler.request_deserializer)
        self._lines = [*(other for other in self._lines if not other.is_cut), line]
        self.loop.create_task(self._serve(handler, line), name="worker-line")

        def tell() -> None:
            if connected.cancelled():
                line.cut()
            else:
                connected.set_result(line)

        with suppress(RuntimeError):  # the worker's loop is closed already
            worker_loop.call_soon_threadsafe(tell)

    @staticmethod
    async def _serve(handler: Any, line: Line) -> None:
        try:
            await handler.stream_stream(None, line.server)
        finally:
            line.cut()

    def cut_lines(self) -> None:
        """The worker is gone."""
        for line in self._lines:
            line.cut()


class Engines:
    """The engine over its lives, and the thread it lives on. Methods may be called from any thread unless they say so.

    Args:
        now_ms: the virtual time it begins at; Unix milliseconds.
        crash_worker: see `CrashPoints`.
    """

    def __init__(self, now_ms: int, crash_worker: Callable[[], None]) -> None:
        self.faults = CrashPoints(self._crash, crash_worker)
        self.state = MemoryState(clock=lambda: self.now_ms)
        self.wants_worker = False
        self.writes_to_refuse = 0
        self.created = 0
        self.resting: Counter[Attempt] = Counter()
        self._first_ms = now_ms
        self._life: Life | None = None
        self._running: Life | None = None
        self._requests: list[Request] = []
        self._connecting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[Line]]] = []
        self._lock = threading.Lock()
        self._is_closing = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="tenuto-test-engine", daemon=True)

    @property
    def now_ms(self) -> int:
        """Virtual time; Unix milliseconds."""
        life = self._life
        return self._first_ms if life is None else life.loop.now_ms

    @property
    def still_s(self) -> float:
        """For how many seconds of real time virtual time has stood still."""
        life = self._life
        return math.inf if life is None else time.monotonic() - life.loop.moved_at_s

    def start(self) -> None:
        """Begin the first life."""
        self._thread.start()

    def close(self) -> None:
        """End the engine and its thread; what was asked and not answered is cancelled."""
        with self._lock:
            self._is_closing = True
            running = self._running
        if running is not None:
            self._call(running, self._kill)
        if self._thread.is_alive():
            self._thread.join()
        for request in self._requests:
            request.future.cancel()

    def submit(self, work: Callable[[Life], Coroutine[Any, Any, R]]) -> Future[R]:
        """Have something done on the engine's loop; after a crash it is begun again in the next life.

        Cancelling the future before it is done withdraws it.
        """
        request = Request(work)
        with self._lock:
            if self._is_closing or self.failure is not None:
                request.future.cancel()
                return request.future
            self._requests.append(request)
            if self._running is not None:
                self._call(self._running, self._running.begin, request)
        return request.future

    def withdraw(self, future: Future[Any]) -> None:
        """Nobody waits for this any more."""
        with self._lock:
            found = next((request for request in self._requests if request.future is future), None)
            running = self._running
        if found is None or running is None:
            return

        def cancel() -> None:
            if found.task is not None:
                found.task.cancel()

        self._call(running, cancel)

    def kill(self, life: Life) -> None:
        """Crash a life, if it still lives."""
        if self._running is life:
            self._call(life, self._kill)

    def _crash(self) -> None:
        """Crash the life that serves now; called on another thread than its own."""
        running = self._running
        if running is not None:
            self.kill(running)

    def fail(self, error: BaseException) -> None:
        """Nothing goes on any more: whoever waits is told, and so is whoever asks from now on."""
        with self._lock:
            self.failure = error
            requests, self._requests = self._requests, []
        for request in requests:
            request.future.cancel()

    def touch(self) -> None:
        """What decides whether all is idle has changed on another thread."""
        running = self._running
        if running is not None:
            self._call(running, lambda: None)

    def turning(self) -> list[str]:
        """The instances whose turn is with a worker now, as far as can be seen from another thread."""
        running = self._running
        return [] if running is None else running.turning()

    def connect(self, worker_loop: asyncio.AbstractEventLoop) -> asyncio.Future[Line]:
        """A line for a worker, as soon as an engine lives. Called on the worker's loop."""
        connected: asyncio.Future[Line] = worker_loop.create_future()
        with self._lock:
            self._connecting.append((worker_loop, connected))
            if self._running is not None:
                self._call(self._running, self._running.open_lines)
        return connected

    def take_connecting(self) -> list[tuple[asyncio.AbstractEventLoop, asyncio.Future[Line]]]:
        """Workers that wait for a line."""
        with self._lock:
            waiting, self._connecting = self._connecting, []
        return waiting

    def cut_lines(self) -> None:
        """The worker is gone."""
        running = self._running
        if running is not None:
            running.cut_lines()

    # -- on the engine's thread -----------------------------------------------------------------------------------

    def begun(self, life: Life) -> None:
        """A life has begun to serve: it takes over what waited."""
        with self._lock:
            self._running = life
            requests = list(self._requests)
            is_closing = self._is_closing
        if is_closing:
            raise EngineKilled
        life.open_lines()
        for request in requests:
            life.begin(request)

    def done(self, request: Request) -> None:
        """A request is answered."""
        with self._lock:
            if request in self._requests:
                self._requests.remove(request)

    def _run(self) -> None:
        try:
            while True:
                life = self._life = Life(self)
                try:
                    life.loop.run_until_complete(life.run())
                except EngineKilled:
                    with self._lock:
                        self._running = None
                        is_closing = self._is_closing
                    life.end()
                    if is_closing:
                        return
        except BaseException as error:  # whoever waits for this thread must learn why it ended
            self.fail(error)
            if self._life is not None:
                self._life.loop.discard()

    @staticmethod
    def _call(life: Life, call: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # it is being thrown away; the next life takes over
            life.loop.call_soon_threadsafe(call, *args)

    @staticmethod
    def _kill() -> None:
        raise EngineKilled


class _Named:
    """What a generic handler asks of a call to find its method."""

    invocation_metadata = ()

    def __init__(self, method: str) -> None:
        self.method = method


class _CallContext:
    """What a handler of a single call asks of its context."""

    async def abort(self, code: grpc.StatusCode, details: str = "") -> None:
        raise CallAborted(code, details)
