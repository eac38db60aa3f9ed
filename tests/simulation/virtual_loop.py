"""An event loop on a time of its own, which runs many machines and lets a seed choose whose turn it is.

Every callback belongs to the machine (`Host`) in whose context it was made. A host runs its own callbacks in the order
in which they came, as asyncio promises to the program inside; which host goes next is chance, drawn from the seed. Time
stands still while anybody can run, then jumps to the next timer. So a minute takes milliseconds, and a seed repeats
every step.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any

# One moment of virtual time has far fewer callbacks, unless something runs in circles without waiting.
MOST_AT_ONCE = 200_000


class BusyLoop(AssertionError):
    """Callbacks follow one another without end, and time does not pass."""


class Host:
    """A machine: its callbacks, and its clock, which may go wrong.

    `alive` false: whatever it still had to do never happens. `paused`: its callbacks wait, while time passes.
    `on_last_step`: called before the callback whose number is `last_step`.
    """

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.queue: deque[events.Handle] = deque()
        self.steps = 0
        self.last_step = -1
        self.on_last_step: Callable[[], None] = lambda: None
        self._loop = loop
        self._rate = 1.0
        self._origin_s = loop.now_s
        self._shown_s = 1_000.0
        self._frozen = False
        self.context: Context = copy_context()
        self.context.run(HOST.set, self)

    def monotonic_ns(self) -> int:
        """The host's own clock; it only rises, faster or slower than the truth."""
        return int(self._shown() * 1e9)

    def _shown(self) -> float:
        return self._shown_s if self._frozen else self._shown_s + (self._loop.now_s - self._origin_s) * self._rate

    def set_clock(self, *, rate: float | None = None, frozen: bool | None = None) -> None:
        """Let the clock run at another rate, or stand still (as it does while a virtual machine is suspended)."""
        self._shown_s, self._origin_s = self._shown(), self._loop.now_s
        self._rate = self._rate if rate is None else rate
        self._frozen = self._frozen if frozen is None else frozen

    def spawn(self, work: Any, *, name: str) -> asyncio.Task[Any]:
        """Run a coroutine on this host."""
        return self._loop.create_task(work, name=name, context=self.context)

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Run a function on this host, soon."""
        self._loop.call_soon(function, *args, context=self.context)

    def call_later(self, seconds: float, function: Callable[..., object], *args: object) -> events.TimerHandle:
        """Run a function on this host when so much true time has passed."""
        return self._loop.call_later(seconds, function, *args, context=self.context)

    def kill(self) -> None:
        """End here: nothing of it runs again."""
        self.alive = False
        self.queue.clear()


HOST: ContextVar[Host] = ContextVar("host")


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. `errors`: what no task caught."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.now_s = 0.0
        self.hosts: list[Host] = []
        self.errors: list[str] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.steps = 0
        self.discarding = False
        self._random = random.random
        self._heap: list[tuple[float, int, events.TimerHandle]] = []
        self._sequence = 0
        self.set_exception_handler(self._note_error)
        self.root = self.new_host("root")

    def new_host(self, name: str) -> Host:
        """Another machine."""
        host = Host(self, name)
        self.hosts.append(host)
        return host

    # -- what asyncio calls -------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now_s

    def _call_soon(self, callback: Any, args: Any, context: Context | None) -> events.Handle:
        handle = events.Handle(callback, args, self, context)
        self._enqueue(handle)
        return handle

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> events.Handle:  # type: ignore[override]
        return self._call_soon(callback, args, context)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Context | None = None) -> events.Handle:  # type: ignore[override]
        return self._call_soon(callback, args, context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> events.TimerHandle:  # type: ignore[override]
        handle = events.TimerHandle(when, callback, args, self, context)
        if not self.discarding:
            self._sequence += 1
            heapq.heappush(self._heap, (when, self._sequence, handle))
        return handle

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        """Cancelled timers leave when their time has come."""

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:  # type: ignore[override]
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        # Tasks of a killed host never end. They are kept, so that no garbage collection runs their `finally` early.
        self.tasks.append(task)
        return task

    def _enqueue(self, handle: events.Handle) -> None:
        host: Host = handle._context.get(HOST, self.root)  # type: ignore[attr-defined]
        if host.alive and not self.discarding:
            host.queue.append(handle)

    def _run_once(self) -> None:
        """Run until somebody stops the loop."""
        heap, random = self._heap, self._random
        at_once = 0
        while not self._stopping:  # type: ignore[attr-defined]
            while heap and heap[0][0] <= self.now_s:
                handle = heapq.heappop(heap)[2]
                if not handle.cancelled():
                    self._enqueue(handle)
            ready = [host for host in self.hosts if host.queue and not host.paused]
            if not ready:
                if not heap:
                    raise BusyLoop("nobody waits for anything any more")
                self.now_s = heap[0][0]
                at_once = 0
                continue
            host = ready[int(random() * len(ready))] if len(ready) > 1 else ready[0]
            run = host.queue.popleft()
            self.steps += 1
            at_once += 1
            host.steps += 1
            if host.steps == host.last_step:
                host.on_last_step()
                if not host.alive:
                    continue
            if at_once > MOST_AT_ONCE:
                raise BusyLoop(f"{host.name} runs in circles")
            if not run.cancelled():
                run._run()

    def _note_error(self, _loop: object, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def dispose(self) -> None:
        """End what is left of all hosts, after all has been judged."""
        self.discarding = True
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine: Any = task.get_coro()
            if not task.done():
                with suppress(RuntimeError, ValueError):  # it caught its own end; it is gone all the same
                    coroutine.close()
        self.tasks.clear()
        self.hosts.clear()
        self._heap.clear()
        self.close()
