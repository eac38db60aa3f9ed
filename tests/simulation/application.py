"""The application beside an engine: its workflow code runs for real, its activities take virtual time.

It behaves as the SDK's worker does: turn answers belong to the stream they came on; a result is kept until it is
acknowledged, and sent again on every new stream. A faulty one is slow, answers twice, or dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from simulation.virtual_loop import Host, VirtualLoop
from tenuto._guard.guard import Guard, Mode
from tenuto._payloads import Payloads
from tenuto._wire.worker import Turn
from tenuto._worker.turns import TurnRunner
from tenuto_engine.codec.events import encode_failure
from tenuto_engine.core.events import Failure
from tenuto_engine.ports.inbound import (
    ActivityAnswer,
    ActivityBeat,
    ActivityItem,
    Hello,
    Outgoing,
    TurnAnswer,
    TurnItem,
)
from tenuto_engine.runtime.workers import WorkerSession

if TYPE_CHECKING:
    from simulation.machines import EngineMachine
    from tenuto._worker.registry import Registry


class Run(msgspec.Struct):
    """One delivery of an activity, as the ledger notes it when it begins."""

    at_s: float
    engine: str
    name: str
    instance_id: str
    execution_id: str
    event_id: int
    attempt: int
    token: str


class Habits(msgspec.Struct):
    """How an application misbehaves: shares in [0, 1], delays in seconds."""

    slow_s: float = 0.0
    twice: float = 0.0


class Stream:
    """One connection of an application to its engine. Messages keep their order in each direction."""

    def __init__(self, app: Application, engine: EngineMachine, *, life: int) -> None:
        self.open = True
        self.life = life
        self._app = app
        self._engine = engine
        self._down_at = self._up_at = 0.0
        self._pumping = False
        self.session: WorkerSession | None = None

    def begin(self, hello: Hello) -> None:
        """On the engine's machine: the stream is accepted."""
        if self.open and self._engine.serves(self.life):
            assert self._engine.engine is not None
            self.session = self._engine.engine.connect(hello, self._wake)
            self._app.host.call_later(self._delay(), self._app.connected, self)

    def _delay(self) -> float:
        return self._app.random.uniform(0.0001, 0.001)

    def _wake(self) -> None:
        if not self._pumping and self.open:
            self._pumping = True
            self._engine.host.call(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if not self.open or self.session is None:
            return
        while (out := self.session.take_outgoing()) is not None:
            now = self._app.loop.now_s
            self._down_at = max(self._down_at + 1e-6, now + self._delay())
            self._app.host.call_later(self._down_at - now, self._app.take, self, out)

    def send(self, answer: TurnAnswer | ActivityAnswer | ActivityBeat, *, delay_s: float = 0.0) -> None:
        """From the application to the engine."""
        if self.open:
            now = self._app.loop.now_s
            self._up_at = max(self._up_at + 1e-6, now + self._delay() + delay_s)
            self._engine.host.call_later(self._up_at - now, self._arrive, answer)

    def _arrive(self, answer: TurnAnswer | ActivityAnswer | ActivityBeat) -> None:
        if not self.open or self.session is None or not self._engine.serves(self.life):
            return
        assert self._engine.engine is not None
        if isinstance(answer, TurnAnswer):
            self._engine.engine.turn_answered(self.session, answer)
        elif isinstance(answer, ActivityBeat):
            self._engine.engine.activity_alive(self.session, answer)
        else:
            self._engine.engine.activity_answered(self.session, answer)

    def close(self) -> None:
        """The connection breaks; the engine notices if it lives."""
        if self.open:
            self.open = False
            self._engine.host.call_later(self._delay(), self._ended)

    def _ended(self) -> None:
        if self.session is not None and self._engine.serves(self.life):
            assert self._engine.engine is not None
            self._engine.engine.disconnect(self.session)


class Application:
    """One application process. `ledger`: every delivery of an activity that began, over all processes."""

    def __init__(
        self,
        loop: VirtualLoop,
        engine: EngineMachine,
        random: Random,
        *,
        name: str,
        registry: Registry,
        ledger: list[Run],
        on_call: Callable[[ActivityItem], None],
    ) -> None:
        self.loop = loop
        self.random = random
        self.host: Host = loop.new_host(name)
        self.habits = Habits()
        self.away = False
        self._engine = engine
        self._id = name
        self._ledger = ledger
        self._on_call = on_call
        self._turns = TurnRunner(registry, Payloads(), guard=Guard(Mode.OFF), max_sticky=random.choice((0, 2, 100)))
        self._workflows, self._activities = registry.workflow_names, registry.activity_names
        self._stream: Stream | None = None
        self._engine_life = -1
        self._running: set[str] = set()
        self._kept: dict[str, ActivityAnswer] = {}

    def start(self) -> None:
        """Connect for ever."""
        self.host.spawn(self._connect_for_ever(), name="connect")

    async def _connect_for_ever(self) -> None:
        while True:
            engine = self._engine
            if (self._stream is None or not self._stream.open) and not self.away and engine.serves(engine.life):
                self._stream = stream = Stream(self, engine, life=engine.life)
                hello = Hello(
                    self._id,
                    workflows=self._workflows,
                    activities=self._activities,
                    max_activities=8,
                    max_sticky=self._turns._max_sticky,
                    running=[*self._running, *self._kept],
                )
                engine.host.call_later(0.001, stream.begin, hello)
            await asyncio.sleep(self.random.uniform(0.05, 0.3))

    def connected(self, stream: Stream) -> None:
        """The engine has greeted: what it never acknowledged is sent again."""
        if stream is not self._stream or not stream.open:
            return
        if stream.life != self._engine_life:
            self._turns.forget_all()
            self._engine_life = stream.life
        self._turns.forget_chunks()
        for answer in list(self._kept.values()):
            stream.send(answer)

    def lose_stream(self) -> None:
        """The connection breaks."""
        if self._stream is not None:
            self._stream.close()

    def die(self) -> None:
        """The process ends where it stands."""
        self.lose_stream()
        self.host.kill()

    # -- items --------------------------------------------------------------------------------------------------------

    def take(self, stream: Stream, out: Outgoing) -> None:
        """One message of the engine."""
        if stream is not self._stream or not stream.open:
            return
        for token in out.acknowledged:
            self._kept.pop(token, None)
        for instance_id, execution_id in out.forget:
            self._turns.forget(instance_id, execution_id)
        for call in out.activities:
            self._on_call(call)
            if call.token not in self._running and call.token not in self._kept:
                self._running.add(call.token)
                self.host.spawn(self._run_activity(call), name="activity")
        for turn in out.turns:
            self._run_turn(stream, turn)

    def _run_turn(self, stream: Stream, item: TurnItem) -> None:
        turn = Turn(
            item.instance_id,
            item.execution_id,
            item.base_commit_id,
            item.commit_id,
            item.history_length,
            item.full_history,
            item.more,
            list(item.history),
            list(item.new_events),
        )
        answer = self._turns.run(turn)
        if answer is not None:
            given = TurnAnswer(
                answer.instance_id,
                answer.execution_id,
                answer.commit_id,
                answer.outcome,
                answer.actions,
                answer.custom_status,
                list(answer.patches),
                answer.failure,
            )
            delay = self.random.uniform(0, self.habits.slow_s) if self.habits.slow_s else 0.0
            stream.send(given, delay_s=delay)
            if self.random.random() < self.habits.twice:
                stream.send(given)

    async def _run_activity(self, call: ActivityItem) -> None:
        self._ledger.append(
            Run(
                self.loop.now_s,
                self._engine.name,
                call.name,
                call.instance_id,
                call.execution_id,
                call.event_id,
                call.attempt,
                call.token,
            )
        )
        given: Any = None if call.input is None else msgspec.json.decode(call.input)
        seconds = self._duration(call, self.random)
        if call.name == "beat" and call.attempt > 1:
            await self._beat(call, seconds)
        else:
            await asyncio.sleep(seconds)
        answer = self._answer(call, given)
        self._running.discard(call.token)
        self._kept[call.token] = answer
        times = 2 if self.random.random() < self.habits.twice else 1
        for _ in range(times):
            if self._stream is not None:
                self._stream.send(answer)

    async def _beat(self, call: ActivityItem, seconds: float) -> None:
        """Show signs of life for so long."""
        ends_at = self.loop.now_s + seconds
        while self.loop.now_s < ends_at:
            if self._stream is not None:
                self._stream.send(ActivityBeat(call.token, b"1"))
            await asyncio.sleep(0.25)

    def _duration(self, call: ActivityItem, random: Random) -> float:
        if call.name == "beat":
            return random.uniform(0.1, 3.0)
        if call.name == "stuck":
            return random.uniform(1.0, 8.0)
        if call.name == "slow_first" and call.attempt == 1:
            return random.uniform(1.4, 4.0)
        longest = 0.1 if random.random() < 0.8 else 2.0
        return random.uniform(0.001, longest) + random.uniform(0, self.habits.slow_s)

    @staticmethod
    def _answer(call: ActivityItem, given: Any) -> ActivityAnswer:
        result: Any = given
        match call.name:
            case "add":
                result = given + 1
            case "fail_first" if call.attempt <= given:
                return ActivityAnswer(call.token, failure=encode_failure(Failure("Failing", f"attempt {call.attempt}")))
            case "fail_first":
                result = call.attempt
            case "slow_first" if call.attempt == 1 and len(call.instance_id) % 2:
                return ActivityAnswer(call.token, failure=encode_failure(Failure("Failing", "late")))
            case _:
                pass
        return ActivityAnswer(call.token, msgspec.json.encode(result))
