"""Faults as they happen: each begins at its moment and ends by itself, or when everything is healed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from simulation.network import Weather
from simulation.plans import Fault
from simulation.virtual_loop import Host
from tenuto_engine.ports.operations import Operation

if TYPE_CHECKING:
    from simulation.application import Application
    from simulation.machines import EngineMachine
    from simulation.world import World

_SHARES = ("lost", "lost_reply", "late", "rejected", "slow")
_DOWN_S = 0.3


class Disturbances:
    """Carries out the faults of a plan."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._healed = False
        self._armed: list[tuple[Fault, str, str, list[int]]] = []
        self._root = world.loop.root

    def schedule(self) -> None:
        """Have each fault begin at its moment."""
        for fault in self._world.plan.faults:
            self._root.call_later(fault.at_s, self._begin, fault)

    def _begin(self, fault: Fault) -> None:
        if not self._healed:
            self._world.network.count(fault.kind)
            getattr(self, f"_{fault.kind}")(fault)

    def _after(self, seconds: float, function: Callable[..., object], *args: object) -> None:
        self._root.call_later(seconds, function, *args)

    def heal(self) -> None:
        """End every fault: all engines and applications run, and the network is clear."""
        self._healed = True
        self._armed.clear()
        world = self._world
        for weather in world.network.weather.values():
            for field, value in zip(Weather.__struct_fields__, Weather.__struct_defaults__, strict=True):
                setattr(weather, field, value)
        if not world.server.up:
            world.server.restart(lose_ms=0)
        for number, machine in enumerate(world.machines):
            machine.resume()
            machine.host.set_clock(rate=1.0)
            machine.start()
            application = world.applications[number]
            application.away = False
            application.habits.slow_s = application.habits.twice = 0.0

    def reach(self, host: Host, operations: Sequence[Operation], when: str) -> None:
        """The store executes a group of this engine now: is its death set for this point?"""
        for armed in list(self._armed):
            fault, wanted, kind, left = armed
            machine = self._machine(fault)
            if wanted != when or machine.host is not host:
                continue
            left[0] -= sum(type(operation).__name__ == kind for operation in operations)
            if left[0] <= 0:
                self._armed.remove(armed)
                self._crash(fault)

    # -- engines ------------------------------------------------------------------------------------------------------

    def _machine(self, fault: Fault) -> EngineMachine:
        return self._world.machines[fault.engine % len(self._world.machines)]

    def _application(self, fault: Fault) -> Application:
        return self._world.applications[fault.engine % len(self._world.machines)]

    def _crash(self, fault: Fault) -> None:
        machine = self._machine(fault)
        if machine.engine is not None:
            machine.crash()
            self._application(fault).lose_stream()
            self._after(fault.for_s, machine.start)

    def _crash_at(self, fault: Fault) -> None:
        when, _, kind = fault.detail.partition(":")
        self._armed.append((fault, when, kind, [int(fault.amount)]))

    def _crash_step(self, fault: Fault) -> None:
        """Between two callbacks, whichever they are."""
        host = self._machine(fault).host
        host.last_step = host.steps + int(fault.amount)
        host.on_last_step = lambda: None if self._healed else self._crash(fault)

    def _pause(self, fault: Fault) -> None:
        machine = self._machine(fault)
        machine.pause(frozen_clock=fault.detail == "frozen")
        self._after(fault.for_s, machine.resume)

    def _drain(self, fault: Fault) -> None:
        machine = self._machine(fault)

        def ended() -> None:
            self._application(fault).lose_stream()
            self._after(fault.for_s, machine.start)

        machine.drain(ended)

    def _rate(self, fault: Fault) -> None:
        host = self._machine(fault).host
        host.set_clock(rate=fault.amount)
        self._after(fault.for_s, lambda: host.set_clock(rate=1.0))

    def _stuck(self, fault: Fault) -> None:
        """Its next commit lies on the way while the whole machine stands still: the classic stale owner."""
        self._armed.append((fault, "held", "Commit", [int(fault.amount)]))

    def hold(self, host: Host, operations: Sequence[Operation]) -> float:
        """Seconds for which a group that is about to be sent lies on the way."""
        for armed in list(self._armed):
            fault, wanted, kind, left = armed
            machine = self._machine(fault)
            if wanted != "held" or machine.host is not host:
                continue
            left[0] -= sum(type(operation).__name__ == kind for operation in operations)
            if left[0] <= 0:
                self._armed.remove(armed)
                machine.pause(frozen_clock=fault.detail == "frozen")
                self._after(fault.for_s * 1.1, machine.resume)
                return fault.for_s
        return 0.0

    # -- network ------------------------------------------------------------------------------------------------------

    def _hosts(self, fault: Fault) -> list[Host]:
        if fault.engine < 0:
            return [machine.host for machine in self._world.machines]
        return [self._machine(fault).host]

    def _weathers(self, fault: Fault) -> list[Weather]:
        return [self._world.network.of(host) for host in self._hosts(fault)]

    def _set(self, fault: Fault, **fields: object) -> None:
        """For the fault's duration."""
        for weather in self._weathers(fault):
            for name, value in fields.items():
                setattr(weather, name, value)
                self._after(fault.for_s, setattr, weather, name, type(value)())

    def _cut(self, fault: Fault) -> None:
        self._set(fault, cut=fault.detail)

    def _lease_cut(self, fault: Fault) -> None:
        self._set(fault, lease_cut=fault.detail)

    def _flaky(self, fault: Fault) -> None:
        names = _SHARES if fault.detail == "all" else (fault.detail,)
        self._set(fault, **dict.fromkeys(names, fault.amount / len(names)))

    def _nudges(self, fault: Fault) -> None:
        self._set(fault, nudges_lost=fault.amount / 2, nudges_twice=fault.amount / 2, nudges_late=fault.amount / 2)

    # -- store --------------------------------------------------------------------------------------------------------

    def _store_restart(self, fault: Fault) -> None:
        server = self._world.server
        if server.up:
            server.up = False
            server.life += 1

            def back() -> None:
                if not server.up:
                    server.restart(lose_ms=int(fault.amount))

            self._after(fault.for_s, back)

    def _store_clock(self, fault: Fault) -> None:
        self._world.server.offset_ms += int(fault.amount)

    # -- applications -------------------------------------------------------------------------------------------------

    def _worker_dies(self, fault: Fault) -> None:
        number = fault.engine % len(self._world.machines)
        self._world.applications[number].die()

        def again() -> None:
            application = self._world.applications[number] = self._world.new_application(self._world.machines[number])
            application.start()

        self._after(min(fault.for_s, 2.0), again)

    def _worker_leaves(self, fault: Fault) -> None:
        application = self._application(fault)
        application.away = True
        application.lose_stream()
        self._after(fault.for_s, setattr, application, "away", False)

    def _worker_slow(self, fault: Fault) -> None:
        habits = self._application(fault).habits
        habits.slow_s = fault.amount
        self._after(fault.for_s, setattr, habits, "slow_s", 0.0)

    def _worker_twice(self, fault: Fault) -> None:
        habits = self._application(fault).habits
        habits.twice = fault.amount
        self._after(fault.for_s, setattr, habits, "twice", 0.0)
