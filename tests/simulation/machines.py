"""An engine's machine: the real runtime without its edges, which may die, be paused, drained, and started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from random import Random
from typing import Any, cast

from simulation.keeper import Baton, SimKeeperThread
from simulation.network import EPOCH_MS, Network, Server, SimLeaseStore, SimNotifier, SimStore
from simulation.virtual_loop import Host, VirtualLoop
from tenuto_engine.core.limits import Limits
from tenuto_engine.ports.leases import LeaseStore
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.context import Context, RuntimeSettings
from tenuto_engine.runtime.engine import Engine
from tenuto_engine.runtime.faults import Faults
from tenuto_engine.runtime.metrics import Metrics
from tenuto_engine.runtime.sources import Sources


class SimMetrics(Metrics):
    """The real ones, made once for all lives of a machine: a registry takes longer to make than an engine to start."""


class EngineMachine:
    """One engine over its lives. `life` rises with every start; `engine` is None while there is none.

    Args:
        guess_ms: how wrong the machine's calendar is, the engine's first guess at the store's clock.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        server: Server,
        network: Network,
        random: Random,
        *,
        name: str,
        settings: RuntimeSettings,
        limits: Limits,
        durability: str,
        guess_ms: int,
    ) -> None:
        self.name = name
        self.life = 0
        self.engine: Engine | None = None
        self.started = False
        self.draining = False
        self.host: Host = loop.new_host(name)
        self._loop = loop
        self._server = server
        self._network = network
        self._random = random
        self._settings = settings
        self._limits = limits
        self._durability = durability
        self._guess_ms = guess_ms
        self._metrics = SimMetrics(app=settings.app, version=settings.version)
        self._notifier: SimNotifier | None = None
        self._batons: list[Baton] = []
        self.on_named: Callable[[str, str], None] = lambda _engine_id, _name: None

    def serves(self, life: int) -> bool:
        """Whether that life of the engine is there to be called."""
        return self.engine is not None and self.started and self.life == life and self.host.alive

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A new process on this machine."""
        if self.engine is not None:
            return
        self.life += 1
        self.host = self._loop.new_host(self.name)
        self.draining = False
        self.host.spawn(self._run(), name=f"{self.name}-run")

    async def _run(self) -> None:
        baton = Baton()
        self._batons.append(baton)
        sources = Sources(
            monotonic_ns=self.host.monotonic_ns,
            unix_ns=lambda: (EPOCH_MS + self._guess_ms + int(self._loop.now_s * 1000)) * 1_000_000,
            random_hex=lambda size: self._random.randbytes(size).hex(),
        )
        self._notifier = SimNotifier(self._network, self.host)
        context = Context(
            self._settings,
            self._limits,
            metrics=self._metrics,
            faults=Faults(),
            notifier=self._notifier,
            sources=sources,
        )
        self.on_named(context.engine_id, self.name)
        store = SimStore(self._network, self._server, self.host, durability=self._durability)
        leases = SimLeaseStore(self._network, self._server, self.host, baton)
        host = self.host

        def calm() -> bool:
            return self._network.is_calm(host)

        keeper = partial(SimKeeperThread, baton=baton, is_calm=calm)
        engine = self.engine = Engine(context, cast(Store, store), cast(LeaseStore, leases), rounds=keeper)
        while True:
            try:
                await engine.start(durability=self._durability)
                break
            except Exception:  # the process is started again by its supervisor until its store answers
                await asyncio.sleep(0.5)
        self.started = True

    def crash(self) -> None:
        """SIGKILL: nothing more of it happens, and nobody is told."""
        self.host.kill()
        self._end()

    def _end(self) -> None:
        self.engine, self.started = None, False
        if self._notifier is not None:
            self._network.notifiers.remove(self._notifier)
            self._notifier = None

    def pause(self, *, frozen_clock: bool) -> None:
        """SIGSTOP, or a suspended virtual machine whose clock stands still too."""
        self.host.paused = True
        if frozen_clock:
            self.host.set_clock(frozen=True)

    def resume(self) -> None:
        """SIGCONT."""
        self.host.paused = False
        self.host.set_clock(frozen=False)

    def drain(self, then: Callable[[], None]) -> None:
        """SIGTERM: finish what runs, hand over, end; `then` is called when it has."""
        if self.serves(self.life) and not self.draining:
            self.draining = True
            self.host.spawn(self._drain(then), name="drain")

    async def _drain(self, then: Callable[[], None]) -> None:
        engine = self.engine
        assert engine is not None
        await engine.drain()
        await engine.stop()
        self._loop.call_soon(self._drained, then, context=self._loop.root.context)

    def _drained(self, then: Callable[[], None]) -> None:
        self.crash()
        then()

    def ask(self, call: Callable[[Engine], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any] | None:
        """Run a client's call inside the engine; None where there is no engine to take it."""
        if not self.serves(self.life) or self.draining:
            return None
        assert self.engine is not None
        return self.host.spawn(call(self.engine), name="call")

    def dispose(self) -> None:
        """End the threads that wait for answers."""
        for baton in self._batons:
            baton.abandon()
