"""The clients, and what they were promised.

A client sends its commands one after another. It repeats one, with the same command id and at whatever engine answers,
until it is accepted or refused; then it goes on. What was accepted must have its effect exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import msgspec

from simulation.machines import EngineMachine
from simulation.network import EPOCH_MS
from simulation.plans import Command
from simulation.virtual_loop import Host, VirtualLoop
from tenuto_engine.ports.errors import CommandRefused
from tenuto_engine.ports.inbound import StartRequest
from tenuto_engine.runtime.engine import Engine

CALL_S = 4.0
GIVE_UP_S = 14.0


class Promise(msgspec.Struct):
    """A command and what became of it. `answer`: accepted, refused:<code>, or unknown."""

    command: Command
    command_id: str
    sent_s: float
    acked_s: float = 0.0
    answer: str = "unknown"
    result: Any = None

    @property
    def accepted(self) -> bool:
        return self.answer == "accepted"


class Clients:
    """All clients of a run. `promises`: every command that was sent, in that order."""

    def __init__(
        self,
        loop: VirtualLoop,
        machines: list[EngineMachine],
        random: Random,
        *,
        on_ack: Callable[[Promise], None],
    ) -> None:
        self.host: Host = loop.new_host("clients")
        self.promises: list[Promise] = []
        self.busy = 0
        self._loop = loop
        self._machines = machines
        self._random = random
        self._on_ack = on_ack

    def start(self, commands: list[Command]) -> None:
        """Begin to send, each command not before its time."""
        for client in sorted({command.client for command in commands}):
            own = [command for command in commands if command.client == client]
            self.busy += 1
            self.host.spawn(self._send_all(own), name=f"client-{client}")

    async def _send_all(self, commands: list[Command]) -> None:
        for command in commands:
            if command.at_s > self._loop.now_s:
                await asyncio.sleep(command.at_s - self._loop.now_s)
            await self.send(command)
        self.busy -= 1

    async def send(self, command: Command) -> Promise:
        """Send one command until it is answered, or for so long that nobody would wait any more."""
        number = len(self.promises)
        promise = Promise(command, f"command-{number}", self._loop.now_s)
        if command.kind == "again":
            # Only where its start was sent: a client that comes back repeats what it sent, with its moment too.
            sent = [p for p in self.promises if p.command.kind == "start" and p.command.target == command.target]
            if not sent:
                return promise
            promise.command_id, promise.command = sent[0].command_id, command
            promise.sent_s, promise.command.delay_ms = sent[0].sent_s, sent[0].command.delay_ms
        self.promises.append(promise)
        if command.twice:
            both = [self._loop.create_task(self._try_until_answered(promise)) for _ in range(2)]
            await asyncio.gather(*both)
        else:
            await self._try_until_answered(promise)
        return promise

    async def _try_until_answered(self, promise: Promise) -> None:
        deadline = self._loop.now_s + GIVE_UP_S
        while self._loop.now_s < deadline:
            answer, result = await self._try_once(promise)
            if answer and promise.answer == "unknown":
                promise.answer, promise.result, promise.acked_s = answer, result, self._loop.now_s
                self._on_ack(promise)
            if answer:
                return
            await asyncio.sleep(self._random.uniform(0.05, 0.5))

    async def _try_once(self, promise: Promise) -> tuple[str, Any]:
        machine = self._random.choice(self._machines)
        await asyncio.sleep(self._random.uniform(0.0001, 0.002))
        task = machine.ask(lambda engine: _call(engine, promise))
        if task is None:
            return "", None
        # An engine that dies never answers, so the client must not wait for its task itself.
        answered: asyncio.Future[tuple[str, Any]] = self._loop.create_future()

        def done(ended: asyncio.Task[Any]) -> None:
            if not ended.cancelled() and ended.exception() is None and not answered.done():
                answered.set_result(ended.result())

        task.add_done_callback(done, context=self.host.context)
        try:
            async with asyncio.timeout(CALL_S):
                return await answered
        except TimeoutError:
            return "", None


async def _call(engine: Engine, promise: Promise) -> tuple[str, Any]:
    try:
        return "accepted", await _command(engine, promise)
    except CommandRefused as error:
        return ("", None) if error.kind == "unavailable" else (f"refused:{error.kind}", str(error))


def _command(engine: Engine, promise: Promise) -> Coroutine[Any, Any, Any]:
    command, command_id, commands = promise.command, promise.command_id, engine.commands
    match command.kind:
        case "start" | "again":
            start_at_ms = EPOCH_MS + int(promise.sent_s * 1000) + command.delay_ms if command.delay_ms else 0
            given = msgspec.json.encode(command.given)
            return commands.start(StartRequest(command_id, command.name, command.target, given, start_at_ms))
        case "event":
            return commands.raise_event(command_id, command.target, "e", msgspec.json.encode(command.given))
        case "suspend":
            return commands.suspend(command_id, command.target, "", "simulation")
        case "resume":
            return commands.resume(command_id, command.target, "", "simulation")
        case "terminate":
            return commands.terminate(
                command_id, command.target, output=None, recursive=True, reason="", requested_by="simulation"
            )
        case "purge":
            return commands.purge(command.target, recursive=True, force=bool(command.given), requested_by="simulation")
        case _:
            return commands.get(command.target, payloads=True)
