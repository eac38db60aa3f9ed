"""One run: build the machines of a plan, let it happen, heal everything, wait until nothing moves, judge."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, MutableMapping, Sequence
from hashlib import sha256
from random import Random
from typing import Any

import structlog

from simulation.application import Application, Run
from simulation.clients import Clients, Promise
from simulation.disturbances import Disturbances
from simulation.folds import Violation
from simulation.judgement import audit, judge
from simulation.machines import EngineMachine
from simulation.network import Entry, Network, Server
from simulation.plans import Command, Plan
from simulation.virtual_loop import BusyLoop, Host, VirtualLoop
from simulation.watch import Life, Watch
from simulation.workloads import GATHERING, STOP, registry
from tenuto_engine.core.limits import Limits
from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.ports.inbound import ActivityItem
from tenuto_engine.ports.records import ActivityKey
from tenuto_engine.runtime.context import RuntimeSettings

# Virtual seconds after healing until everything must have ended: the longest back-off of a failing turn is 60 s.
SETTLE_S = 150.0
# How often the whole store is judged, in virtual seconds; each operation is judged as it happens.
AUDIT_S = 3.0
_REGISTRY = registry()


class Verdict:
    """What a run came to. `trace`: a hash of every operation, outcome and moment, equal for equal plans."""

    def __init__(self) -> None:
        self.invariant = ""
        self.text = ""
        self.trace = ""
        self.steps = 0
        self.virtual_s = 0.0
        self.counts: dict[str, int] = {}

    @property
    def passed(self) -> bool:
        return not self.invariant


class World:
    """Everything of one run."""

    def __init__(self, plan: Plan, *, on_entry: Callable[[float, Entry], None] | None = None) -> None:
        self.plan = plan
        seed = plan.seed
        self.loop = VirtualLoop(Random(f"{seed} scheduler"))
        self.server = Server(self.loop, Random(f"{seed} server"))
        settings = RuntimeSettings(**plan.settings)
        self.settings = settings
        self.server.configure(window_ms=int(settings.dedup_window_seconds * 1000))
        self.network = Network(self.loop, self.server, Random(f"{seed} network"))
        self.purging = {command.target for command in plan.commands if command.kind == "purge"}
        self.watch = Watch(self.server, retention=self._retention_ms, may_purge=self.may_purge)
        self._take = self.server.on_entry
        self.server.on_entry = self._note
        self._on_entry = on_entry
        self._digest = sha256()
        self.failure: Violation | None = None
        self.errors: list[str] = []
        self.ledger: list[Run] = []
        self.machines = [
            EngineMachine(
                self.loop,
                self.server,
                self.network,
                Random(f"{seed} engine {number}"),
                name=f"engine{number}",
                settings=settings,
                limits=Limits(**plan.limits),
                durability=plan.durability,
                guess_ms=Random(f"{seed} guess {number}").choice((0, -90_000, 3_600_000)),
            )
            for number in range(plan.engines)
        ]
        for machine in self.machines:
            machine.on_named = self.watch.engines.__setitem__
        self._apps_made = 0
        self.applications = [self.new_application(machine) for machine in self.machines]
        self.clients = Clients(self.loop, self.machines, Random(f"{seed} clients"), on_ack=self._acknowledged)
        self.disturbances = Disturbances(self)
        self.network.hold = self.disturbances.hold
        self.network.before_execution = lambda host, ops: self.disturbances.reach(host, ops, "before")
        self.network.after_execution = lambda host, ops: self.disturbances.reach(host, ops, "after")

    def new_application(self, machine: EngineMachine) -> Application:
        """A new process of the application beside an engine."""
        self._apps_made += 1
        return Application(
            self.loop,
            machine,
            Random(f"{self.plan.seed} application {self._apps_made}"),
            name=f"app{self._apps_made}",
            registry=_REGISTRY,
            ledger=self.ledger,
            on_call=self._called,
        )

    def _retention_ms(self, completed: bool) -> int:
        settings = self.settings
        keep = settings.retain_completed_seconds if completed else settings.retain_failed_seconds
        return int(max(keep, settings.dedup_window_seconds) * 1000)

    def may_purge(self, instance_id: str) -> bool:
        """Whether a client asked for that instance, or the root of its tree, to be purged."""
        return instance_id in self.purging or any(instance_id.startswith(f"{root}.") for root in self.purging)

    # -- watching -----------------------------------------------------------------------------------------------------

    def _note(self, entry: Entry) -> None:
        if self.failure is not None:
            return
        self._digest.update(repr((entry.at_ms, entry.engine, entry.operation, entry.outcome)).encode())
        if self._on_entry is not None:
            self._on_entry(self.loop.now_s, entry)
        try:
            self._take(entry)
        except Violation as violation:
            self.fail(violation)

    def fail(self, violation: Violation) -> None:
        """The first violation counts; the run ends with it."""
        if self.failure is None:
            self.failure = violation
            self.loop.stop()

    def _called(self, call: ActivityItem) -> None:
        key = ActivityKey(call.event_id, call.execution_id, call.instance_id)
        if key not in self.watch.scheduled and not self.plan_loses:
            self.fail(Violation("I7", f"activity {key} was handed out before its commit"))

    def _acknowledged(self, promise: Promise) -> None:
        """An answer must follow its effect, never go before it."""
        command = promise.command
        if promise.accepted and command.kind in {"event", "suspend", "resume", "terminate"}:
            if promise.command_id not in self.watch.seen and not self.plan_loses and not self._dropped(command):
                self.fail(Violation("I5", f"{command.kind} of '{command.target}' was answered before it was stored"))
        elif (
            promise.accepted
            and command.kind == "start"
            and not self.plan_loses
            and promise.command_id not in self.watch.starts
        ):
            self.fail(Violation("I9", f"the start of '{command.target}' was answered before it was stored"))

    def _dropped(self, command: Command) -> bool:
        """An event for an instance that is over is counted, not stored."""
        life = self.watch.lives.get(command.target) or self.watch.gone.get(command.target)
        return command.kind == "event" and life is not None and life.head.status in TERMINAL

    @property
    def plan_loses(self) -> bool:
        """Whether the store forgets something in this run."""
        return any(fault.kind == "store_restart" and fault.amount for fault in self.plan.faults)

    def log_event(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        """An error that the engine logs is one of ours: nothing that a run does may surprise it."""
        if event.get("level") in {"error", "exception"} or event.get("exc_info"):
            error = event.get("exc_info")
            if not event["event"].startswith("instance stalled"):
                self.errors.append(f"{event['event']}: {error!r} {event.get('instance', '')}")
                if self.failure is None:
                    self.fail(Violation("ERROR", self.errors[-1]))
        raise structlog.DropEvent

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self) -> Verdict:
        """Run to the end, and judge."""
        verdict = Verdict()
        configured = structlog.get_config()
        structlog.configure(
            processors=[structlog.stdlib.add_log_level, self.log_event], cache_logger_on_first_use=False
        )
        quiet, logging.root.manager.disable = logging.root.manager.disable, logging.CRITICAL
        try:
            self.loop.run_until_complete(self._live())
        except BusyLoop as error:
            self.failure = self.failure or Violation("L5", str(error))
        except RuntimeError as error:
            if self.failure is None:
                self.failure = Violation("ERROR", repr(error))
        finally:
            for machine in self.machines:
                machine.dispose()
            if self.loop.errors and self.failure is None:
                self.failure = Violation("ERROR", self.loop.errors[0])
            verdict.steps, verdict.virtual_s = self.loop.steps, self.loop.now_s
            self.loop.dispose()
            structlog.configure(**configured)
            logging.root.manager.disable = quiet
        if self.failure is not None:
            verdict.invariant, verdict.text = self.failure.invariant, str(self.failure)
        verdict.trace = self._digest.hexdigest()
        verdict.counts = dict(self.watch.operations) | self.network.counts | {"fenced": self.watch.fenced}
        return verdict

    async def _live(self) -> None:
        for machine in self.machines:
            machine.start()
        for application in self.applications:
            application.start()
        self.clients.start(self.plan.commands)
        self.disturbances.schedule()
        self.loop.root.spawn(self._audit_for_ever(), name="audit")
        await asyncio.sleep(self.plan.horizon_s)
        self.disturbances.heal()
        while self.clients.busy:  # noqa: ASYNC110 - virtual time makes asking free
            await asyncio.sleep(1.0)
        deadline = self.loop.now_s + SETTLE_S
        while (waiting := self._unfinished()) and self.loop.now_s < deadline:
            await self._finish(waiting)
            await asyncio.sleep(2.0)
        # What follows an end (parents told, outboxes emptied, reminders gone) takes a sweep or two.
        await asyncio.sleep(6.0)
        try:
            judge(self)
        except Violation as violation:
            self.fail(violation)
            await asyncio.sleep(0)

    async def _audit_for_ever(self) -> None:
        """The whole store, now and then: at any moment it must be what its invariants say."""
        while True:
            await asyncio.sleep(AUDIT_S)
            try:
                audit(self, settled=False)
            except Violation as violation:
                self.fail(violation)

    def _unfinished(self) -> list[str]:
        return [name for name, life in self.watch.lives.items() if life.head.status not in TERMINAL]

    async def _finish(self, waiting: Sequence[str]) -> None:
        """What would wait for ever is told to end: by its clients, as everything else."""
        for name in waiting:
            life = self.watch.lives.get(name)
            if life is None:
                continue
            if life.head.status in {Status.SUSPENDED, Status.STALLED}:
                await self._send(Command(self.loop.now_s, -1, "resume", name))
            elif life.name in GATHERING and not self._is_to_end_with_its_parent(life):
                await self._send(Command(self.loop.now_s, -1, "event", name, given=STOP))

    def _is_to_end_with_its_parent(self, life: Life) -> bool:
        """A terminated tree ends by itself, whatever it waits for: whoever does not is found at the end."""
        if life.parent is None:
            return False
        name = life.parent.instance_id
        parent = self.watch.lives.get(name) or self.watch.gone.get(name)
        return parent is not None and parent.head.status is Status.TERMINATED and not self.plan_loses

    async def _send(self, command: Command) -> None:
        done = asyncio.Event()

        async def send() -> None:
            await self.clients.send(command)
            done.set()

        self.clients.host.spawn(send(), name="finish")
        await done.wait()

    def host_of(self, number: int) -> Host:
        return self.machines[number].host


def simulate(plan: Plan, *, on_entry: Callable[[float, Entry], None] | None = None) -> Verdict:
    """Run a plan and say what it came to."""
    return World(plan, on_entry=on_entry).run()
