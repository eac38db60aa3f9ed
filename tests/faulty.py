"""An engine over a store that a test bends, and a worker that answers only what a test says.

The engine is the real one without its edges. The store is the reference model: operations may be executed without an
answer, refused, or kept waiting, and reads may be kept waiting, so that every order of events can be made on purpose.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any, Self, cast

import msgspec

from tenuto_engine.codec.events import decode_event, encode_failure
from tenuto_engine.codec.records import ActivityBody, decode_activity
from tenuto_engine.core import actions as a
from tenuto_engine.core import events as e
from tenuto_engine.core.limits import Limits
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.status import Status
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.inbound import (
    ActivityAnswer,
    ActivityBeat,
    ActivityItem,
    Hello,
    StartRequest,
    TurnAnswer,
    TurnItem,
    TurnOutcome,
)
from tenuto_engine.ports.leases import Member, Roll
from tenuto_engine.ports.operations import Operation
from tenuto_engine.ports.outcomes import Outcome, Unconfirmed
from tenuto_engine.ports.records import Stored
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.context import Context, RuntimeSettings
from tenuto_engine.runtime.engine import Engine
from tenuto_engine.runtime.faults import Faults
from tenuto_engine.runtime.instance import LiveInstance
from tenuto_engine.runtime.metrics import Metrics
from tenuto_engine.runtime.workers import WorkerSession
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryNotifier, MemoryState, MemoryStore

SHARDS = 4
_HEAVY = 1_000
SECONDS = 30.0  # until something is certainly wrong
Wanted = Callable[[Operation], bool]


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Let the engine work until the condition holds."""
    try:
        async with asyncio.timeout(SECONDS):
            while not condition():  # noqa: ASYNC110 - the engine says nothing of its inner steps
                await asyncio.sleep(0.002)
    except TimeoutError as error:
        raise AssertionError(f"did not come about: {what or condition}") from error


async def a_while() -> None:
    """Let everything happen that can happen without an answer from outside."""
    for _ in range(200):
        await asyncio.sleep(0)


def id_in_shard(shard: int, *, prefix: str = "order") -> str:
    """An instance id of this shard."""
    return next(name for i in range(10_000) if shard_of(name := f"{prefix}-{i}", SHARDS) == shard)


def of_type(*types: type) -> Wanted:
    """Operations of these types."""
    return lambda operation: isinstance(operation, types)


class _Bend:
    def __init__(self, wanted: Wanted, answer: Outcome | Exception, *, executed: bool, times: int) -> None:
        self.wanted, self.answer, self.executed, self.left = wanted, answer, executed, times


class FaultyStore:
    """The reference model, as long as no test bends it. Conforms to the port `Store`."""

    def __init__(self, state: MemoryState, *, exclusive: bool = True) -> None:
        self.inner = MemoryStore(state=state, exclusive=exclusive)
        self.log: list[tuple[Operation, Outcome]] = []
        self.reads: dict[str, int] = {}
        self.life = "first"
        self._bends: list[_Bend] = []
        self._gates: dict[str, asyncio.Event] = {}
        self._held: list[tuple[Wanted, asyncio.Event]] = []

    def bend(
        self,
        wanted: Wanted,
        answer: Outcome | Exception = Unconfirmed("the connection was lost"),  # noqa: B008 - immutable
        *,
        executed: bool = False,
        times: int = 1,
    ) -> None:
        """Answer the next `times` operations like this, after executing them or without."""
        self._bends.append(_Bend(wanted, answer, executed=executed, times=times))

    def straighten(self) -> None:
        """Bend nothing any more."""
        self._bends.clear()

    def hold_reads(self, method: str) -> asyncio.Event:
        """Keep reads waiting, each after it was made, until the event is set."""
        self._gates[method] = asyncio.Event()
        return self._gates[method]

    def hold(self, wanted: Wanted) -> asyncio.Event:
        """Keep groups that hold such an operation waiting before they are executed, until the event is set."""
        event = asyncio.Event()
        self._held.append((wanted, event))
        return event

    def incarnation(self) -> str:
        return self.life

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        for wanted, event in list(self._held):
            if not event.is_set() and any(map(wanted, operations)):
                await event.wait()
        outcomes = [await self._execute_one(operation) for operation in operations]
        self.log.extend(zip(operations, outcomes, strict=True))
        return outcomes

    async def _execute_one(self, operation: Operation) -> Outcome:
        bend = next((b for b in self._bends if b.left and b.wanted(operation)), None)
        if bend is None:
            return (await self.inner.execute([operation]))[0]
        bend.left -= 1
        if bend.executed:
            await self.inner.execute([operation])
        if isinstance(bend.answer, Exception):
            raise bend.answer
        return bend.answer

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if not name.startswith(("read_", "count_", "list_")):
            return method

        async def read(*args: Any, **kwargs: Any) -> Any:
            self.reads[name] = self.reads.get(name, 0) + 1
            answer = await method(*args, **kwargs)
            if (gate := self._gates.get(name)) is not None:
                await gate.wait()
            return answer

        return read


class FaultyLeases(MemoryLeaseStore):
    """The reference of leases; it can be made to seem unreachable, as for an engine that is paused or cut off."""

    is_cut_off = False

    def heartbeat(self, member: Member, *, ttl_ms: int) -> Roll:
        if self.is_cut_off:
            raise StoreUnavailable("the lease store was cut off by a test")
        return super().heartbeat(member, ttl_ms=ttl_ms)


class Worker:
    """One worker's stream without the wire: what the engine sends is taken here, one item at a time."""

    def __init__(
        self, engine: Engine, *, worker_id: str = "w1", workflows: Iterable[str] = ("flow",), **hello: Any
    ) -> None:
        hello = {"activities": ("act",), "max_sticky": 100, **hello}
        self._engine = engine
        self._turns: deque[TurnItem] = deque()
        self._calls: deque[ActivityItem] = deque()
        self.acknowledged: list[str] = []
        self.forgotten: list[tuple[str, str]] = []
        self.cancelled: list[tuple[str, str]] = []
        self.session: WorkerSession = engine.connect(
            Hello(worker_id, workflows=tuple(workflows), **hello), lambda: None
        )

    def take(self) -> None:
        """Take everything that was sent."""
        while (out := self.session.take_outgoing()) is not None:
            self._turns.extend(out.turns)
            self._calls.extend(out.activities)
            self.acknowledged.extend(out.acknowledged)
            self.forgotten.extend(out.forget)
            self.cancelled.extend(out.cancelled)

    def has_sent(self, queue: Sized) -> bool:
        """Whether something stands in a queue, once everything that was sent is taken."""
        self.take()
        return len(queue) > 0

    async def turn(self) -> TurnItem:
        """The next turn that was sent, without the chunks of its history."""
        while True:
            await until(lambda: self.has_sent(self._turns), "a turn for the worker")
            item = self._turns.popleft()
            if not item.more:
                return item

    async def call(self) -> ActivityItem:
        """The next activity that was sent."""
        await until(lambda: self.has_sent(self._calls), "an activity for the worker")
        return self._calls.popleft()

    @property
    def idle(self) -> bool:
        """Whether nothing was sent."""
        self.take()
        return not self._turns and not self._calls

    def answer(self, item: TurnItem, *actions: a.Action, outcome: int = TurnOutcome.COMPLETED, **fields: Any) -> None:
        """Answer a turn."""
        encoded = msgspec.msgpack.encode(actions)
        given = TurnAnswer(item.instance_id, item.execution_id, item.commit_id, outcome, encoded, **fields)
        self._engine.turn_answered(self.session, given)

    def complete(self, call: ActivityItem, result: bytes | None = b"1") -> None:
        """Answer an activity with a result."""
        self._engine.activity_answered(self.session, ActivityAnswer(call.token, result))

    def fail(self, call: ActivityItem, failure: e.Failure) -> None:
        """Answer an activity with a failure."""
        self._engine.activity_answered(self.session, ActivityAnswer(call.token, failure=encode_failure(failure)))

    def beat(self, call: ActivityItem, details: bytes | None = None) -> None:
        """Say that an activity is alive."""
        self._engine.activity_alive(self.session, ActivityBeat(call.token, details))

    def was_told(self, call: ActivityItem) -> str | None:
        """Why this delivery was cancelled; None where it was not."""
        self.take()
        return dict(self.cancelled).get(call.token)

    def was_acknowledged(self, call: ActivityItem) -> bool:
        """Whether the engine needs no answer to this delivery any more."""
        self.take()
        return call.token in self.acknowledged

    @property
    def calls_waiting(self) -> int:
        """How many activities were sent and not taken by `call`."""
        self.take()
        return len(self._calls)

    def leave(self) -> None:
        """The stream ends."""
        self._engine.disconnect(self.session)


class World:
    """An engine over a faulty store, as an asynchronous context manager; it can be killed and started again.

    Args:
        settings: of the runtime, changed; sweeps are rare unless a test asks for them.
        limits: changed.
        state: what other engines stand on too; None: this engine is alone.
    """

    def __init__(
        self, *, limits: dict[str, Any] | None = None, state: MemoryState | None = None, **settings: Any
    ) -> None:
        self.state = MemoryState() if state is None else state
        self._is_alone = state is None
        self.store = FaultyStore(self.state, exclusive=self._is_alone)
        given: dict[str, Any] = {"sweep_seconds": 3600.0, "reconnect_grace_seconds": 0.05, **settings}
        self._settings = RuntimeSettings(shards=SHARDS, **given)
        self._limits = Limits(**(limits or {}))
        self.engine: Engine

    async def start(self) -> None:
        """Start an engine; where no other can share its shards, wait until it owns every one."""
        metrics = Metrics(app="default", version="")
        notifier = None if self._is_alone else MemoryNotifier(state=self.state)
        context = Context(self._settings, self._limits, metrics=metrics, faults=Faults(), notifier=notifier)
        self.leases = FaultyLeases(state=self.state)
        self.engine = Engine(context, cast(Store, self.store), self.leases)
        await self.engine.start(durability="D0")
        if self._is_alone:
            await until(lambda: len(self.engine.owned.shards) == SHARDS, "all shards owned")

    async def kill(self) -> None:
        """End the engine where it stands: nothing more is written, but that other engines need not wait for its end."""
        await self.engine._tasks.close()
        await self.engine._rounds.stop()

    async def restart(self) -> None:
        """Kill the engine and start another one on what is stored."""
        await self.kill()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.kill()

    def worker(self, **hello: Any) -> Worker:
        """A worker connects."""
        return Worker(self.engine, **hello)

    async def begin(self, instance_id: str, *, name: str = "flow", **request: Any) -> None:
        """Start a workflow."""
        await self.engine.commands.start(StartRequest("", name, instance_id, **request))

    async def raise_event(self, instance_id: str, name: str, *, command_id: str = "") -> None:
        """Raise an event."""
        await self.engine.commands.raise_event(command_id, instance_id, name, None)

    async def terminate(self, instance_id: str) -> None:
        """Terminate an instance."""
        await self.engine.commands.terminate(
            "", instance_id, output=None, recursive=True, reason="", requested_by="test"
        )

    def live(self, instance_id: str) -> LiveInstance | None:
        """The instance in the engine's memory."""
        shard = self.engine.owned.get(shard_of(instance_id, SHARDS))
        return shard.live.get(instance_id) if shard is not None else None

    def stored(self, instance_id: str) -> Stored | None:
        """The instance as stored."""
        held = self.state.shards[shard_of(instance_id, SHARDS)].instances.get(instance_id)
        return None if held is None else Stored(held.head, held.metadata, held.inbox_next)

    def status(self, instance_id: str) -> Status | None:
        """The stored status."""
        stored = self.stored(instance_id)
        return None if stored is None else stored.head.status

    def history(self, instance_id: str) -> list[e.Event]:
        """The stored history."""
        held = self.state.shards[shard_of(instance_id, SHARDS)].instances[instance_id]
        return [decode_event(raw) for raw in held.history]

    def reminders(self, instance_id: str) -> list[str]:
        """Kinds of the reminders that are stored for an instance."""
        entries = self.state.shards[shard_of(instance_id, SHARDS)].entries[""]
        return [key.kind for key, _ in entries.reminders.first(1_000) if key.instance_id == instance_id]


class Cluster:
    """Several engines over one state, as an asynchronous context manager; each has a store that a test may bend.

    Args:
        count: how many.
        settings: of each; leases are short, and so is the time until a silent engine counts as gone.

    The first one weighs so much that it owns all shards: no test waits for the map to settle.
    """

    def __init__(self, count: int, **settings: Any) -> None:
        self.state = MemoryState()
        given = {"lease_seconds": 0.6, "drain_seconds": 0.3, **settings}
        weights = [_HEAVY, *[1] * (count - 1)]
        self.engines = [World(state=self.state, capacity=weight, **given) for weight in weights]

    async def __aenter__(self) -> Self:
        for world in self.engines:
            await world.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for world in self.engines:
            await world.kill()

    def __getitem__(self, number: int) -> World:
        return self.engines[number]

    async def settled(self) -> None:
        """Wait until all know one another's workers, and the shards are dealt out."""
        await until(lambda: all(map(self._knows_all, self.engines)), "everybody known")
        await until(lambda: len(self.engines[0].engine.owned.shards) == SHARDS, "all shards owned by the first engine")

    def _knows_all(self, world: World) -> bool:
        members = {member.engine_id: member for member in world.engine.context.membership.members}
        return all(
            members[other.engine.context.engine_id].has_workers == _makes_owner(other)
            for other in self.engines
            if other.engine.context.engine_id in members
        ) and len(members) == len(self.engines)

    def owner(self, instance_id: str) -> World | None:
        """The engine that owns an instance's shard."""
        number = shard_of(instance_id, SHARDS)
        return next((world for world in self.engines if number in world.engine.owned.shards), None)

    def entry(self, instance_id: str, event_id: int = 1) -> ActivityBody | None:
        """An open call as stored."""
        entries = self.state.shards[shard_of(instance_id, SHARDS)].entries[""].activities
        found = [
            record for key, record in entries.items() if (key.instance_id, key.event_id) == (instance_id, event_id)
        ]
        return decode_activity(found[0].data) if found else None


def _makes_owner(world: World) -> bool:
    return any(session.workflows for session in world.engine.workers.sessions.values())


def events_of(item: TurnItem) -> list[e.Event]:
    """A turn's new events."""
    return [decode_event(raw) for raw in item.new_events]
