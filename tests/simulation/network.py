"""The store's machine, and the network between it and the engines: slow, lossy, cut, or late.

A request travels, is executed whole or in part or not at all, and its answer travels back or does not. A client that
waited too long goes on, while its request may still arrive: what a socket buffer can do to a paused server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, cast

import msgspec

from simulation.keeper import Baton
from simulation.virtual_loop import Host, VirtualLoop
from tenuto_engine.ports.errors import StoreUnavailable
from tenuto_engine.ports.notifier import OnNudge
from tenuto_engine.ports.operations import Operation
from tenuto_engine.ports.outcomes import Outcome, Rejected, Unconfirmed
from tenuto_engine.ports.store import StoreInfo
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState, MemoryStore
from tenuto_engine.storage.memory.operations import execute
from tenuto_engine.storage.memory.state import LeaseRecord

EPOCH_MS = 1_800_000_000_000
TIMEOUT_S = 2.0


class Weather(msgspec.Struct):
    """How likely what is, for one engine's requests. Shares in [0, 1]; the rest arrives in a millisecond or so."""

    lost: float = 0.0
    lost_reply: float = 0.0
    late: float = 0.0
    rejected: float = 0.0
    slow: float = 0.0
    cut: str = ""  # "both": nothing passes; "out": requests vanish; "in": answers vanish
    lease_cut: str = ""
    nudges_lost: float = 0.0
    nudges_twice: float = 0.0
    nudges_late: float = 0.0


_CALM = Weather()


class Entry(msgspec.Struct):
    """One line of the store's journal: an operation with its outcome, or the leases after they changed."""

    at_ms: int
    operation: Operation | None
    outcome: Outcome | None
    engine: str
    leases: dict[tuple[int, str], LeaseRecord] | None = None


class Server:
    """The store: the reference model, a journal of all it did, and a clock that may be set."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self._loop = loop
        self._random = random
        self.host = loop.new_host("store")
        self.offset_ms = 0
        self.window_ms = 120_000
        self.life = 1
        self.up = True
        self.journal: list[Entry] = []
        self.on_entry: Callable[[Entry], None] = lambda _entry: None
        self.on_going_back: Callable[[int], None] = lambda _length: None
        self.state = self._new_state()

    def _new_state(self) -> MemoryState:
        return MemoryState(clock=self.now_ms, dedup_window_ms=self.window_ms, random_hex=self._random_hex)

    def configure(self, *, window_ms: int) -> None:
        """Before the first operation: the de-duplication window."""
        self.window_ms = window_ms
        self.state = self._new_state()

    def _random_hex(self, size: int) -> str:
        return self._random.randbytes(size).hex()

    def now_ms(self) -> int:
        """The store's clock."""
        return EPOCH_MS + self.offset_ms + int(self._loop.now_s * 1000)

    def execute(self, operations: Sequence[Operation], engine: str) -> list[Outcome]:
        """Execute a group; each operation is one line of the journal."""
        outcomes: list[Outcome] = []
        for operation in operations:
            now_ms = self.now_ms()
            outcome = execute(self.state, operation, now_ms)
            self._write(Entry(now_ms, operation, outcome, engine))
            outcomes.append(outcome)
        return outcomes

    def lease_call(self, method: str, args: tuple[Any, ...], options: dict[str, Any], engine: str) -> Any:
        """Execute one method of the lease store."""
        answer = getattr(MemoryLeaseStore(state=self.state), method)(*args, **options)
        if method in {"acquire", "renew", "release"}:
            self._write(Entry(self.now_ms(), None, None, engine, _copy(self.state.leases)))
        return answer

    def _write(self, entry: Entry) -> None:
        self.journal.append(entry)
        self.on_entry(entry)

    def restart(self, *, lose_ms: int) -> None:
        """Another server process on what was durable: everything, or all but the last moments."""
        self.life += 1
        self.up = True
        if not lose_ms:
            return
        cut_ms = self.now_ms() - lose_ms
        length = len(self.journal)
        while length and self.journal[length - 1].at_ms > cut_ms:
            length -= 1
        del self.journal[length:]
        state = self._new_state()
        state.shard_count, state.receivers = self.state.shard_count, self.state.receivers
        for entry in self.journal:
            if entry.operation is not None:
                execute(state, entry.operation, entry.at_ms)
            elif entry.leases is not None:
                state.leases = _copy(entry.leases)
        self.state = state
        self.on_going_back(length)


def _copy(leases: dict[tuple[int, str], LeaseRecord]) -> dict[tuple[int, str], LeaseRecord]:
    return {
        key: LeaseRecord(r.owner, r.epoch, r.token, r.expires_at_ms, r.cause, r.released_at_ms)
        for key, r in leases.items()
    }


class Network:
    """Carries requests of engines to the store, and nudges between engines."""

    def __init__(self, loop: VirtualLoop, server: Server, random: Random) -> None:
        self._loop = loop
        self._server = server
        self._random = random
        self.weather: dict[str, Weather] = {}
        self.notifiers: list[SimNotifier] = []
        self.before_execution: Callable[[Host, Sequence[Operation]], None] = lambda _host, _operations: None
        self.after_execution: Callable[[Host, Sequence[Operation]], None] = lambda _host, _operations: None
        self.hold: Callable[[Host, Sequence[Operation]], float] = lambda _host, _operations: 0.0
        self.counts: dict[str, int] = {}

    def of(self, host: Host) -> Weather:
        """The weather for this engine."""
        return self.weather.setdefault(host.name, Weather())

    def is_calm(self, host: Host) -> bool:
        """Whether nothing disturbs this engine's requests now; sometimes false all the same."""
        return self._server.up and self.of(host) == _CALM and self._random.random() < 0.8

    def count(self, what: str) -> None:
        """Note that a fault took effect."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def latency(self, weather: Weather) -> float:
        """One way; seconds."""
        if weather.slow and self._random.random() < weather.slow:
            return self._random.uniform(0.05, 1.5)
        return self._random.uniform(0.0001, 0.002)

    def request(
        self,
        host: Host,
        perform: Callable[[], Any],
        *,
        cut: str,
        weather: Weather,
        failure: Callable[[], Any],
        held_s: float = 0.0,
    ) -> asyncio.Future[Any]:
        """Send a request; the future gets the answer, or what `failure` makes where none comes.

        `held_s`: it lies on the way for so long, longer than its sender waits.
        """
        server, random, loop = self._server, self._random, self._loop
        future: asyncio.Future[Any] = loop.create_future()
        life = server.life

        def give_up() -> None:
            if not future.done():
                future.set_result(failure())

        def answer(result: Any) -> None:
            if not future.done():
                if server.life == life:
                    future.set_result(result)
                else:
                    give_up()

        def arrive() -> None:
            if server.life != life or not server.up:
                host.call_later(0.001, give_up)
                return
            result = perform()
            is_lost = cut == "in" or random.random() < weather.lost_reply
            if is_lost:
                self.count("reply lost")
            else:
                server.host.call_later(self.latency(weather), answer, result)

        chance = random.random()
        if cut in {"both", "out"} or chance < weather.lost:
            self.count("request lost")
            host.call_later(random.choice((0.01, 0.2, TIMEOUT_S)), give_up)
            return future
        delay = held_s or self.latency(weather)
        if chance < weather.lost + weather.late:
            self.count("request late")
            delay = random.uniform(TIMEOUT_S / 2, TIMEOUT_S * 4)
            host.call_later(random.uniform(0.1, TIMEOUT_S), give_up)
        else:
            host.call_later(TIMEOUT_S, give_up)
        server.host.call_later(delay, arrive)
        return future

    def nudge(self, sender: Host, topic: str, body: bytes) -> None:
        """Carry a nudge to all who listen."""
        weather = self.of(sender)
        for notifier in self.notifiers:
            if topic not in notifier.topics or notifier.receive is None:
                continue
            if weather.cut or self.of(notifier.host).cut or self._random.random() < weather.nudges_lost:
                self.count("nudge lost")
                continue
            times = 2 if self._random.random() < weather.nudges_twice else 1
            for _ in range(times):
                late = self._random.random() < weather.nudges_late
                delay = self._random.uniform(0.2, 5.0) if late else self.latency(weather)
                notifier.host.call_later(delay, notifier.receive, topic, body)


class SimNotifier:
    """One engine's end of the nudges. Conforms to the port `Notifier`."""

    def __init__(self, network: Network, host: Host) -> None:
        self.host = host
        self.topics: set[str] = set()
        self.receive: OnNudge | None = None
        self._network = network
        network.notifiers.append(self)

    def publish(self, topic: str, body: bytes) -> None:
        self._network.nudge(self.host, topic, body)

    def listen(self, topics: Iterable[str]) -> None:
        self.topics.update(topics)

    def unlisten(self, topics: Iterable[str]) -> None:
        self.topics.difference_update(topics)

    async def run(self, on_nudge: OnNudge) -> None:
        self.receive = on_nudge
        await asyncio.get_running_loop().create_future()


class SimStore:
    """One engine's connection to the store. Conforms to the port `Store`."""

    def __init__(self, network: Network, server: Server, host: Host, *, durability: str) -> None:
        self._network = network
        self._server = server
        self._host = host
        self._durability = durability
        self._life = server.life

    async def open(self, *, shards: int, durability: str) -> StoreInfo:
        await self._read("now_ms", (), {})
        self._server.state.shard_count = shards
        return StoreInfo("simulated", durability, verified=True, exclusive=False)

    async def close(self) -> None:
        """Nothing is held."""

    async def recheck(self) -> None:
        """What is checked stands in the server's memory."""

    def incarnation(self) -> str:
        return f"life-{self._life}"

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        network, server, host = self._network, self._server, self._host
        weather = network.of(host)
        if not server.up or (weather.rejected and network._random.random() < weather.rejected):
            network.count("rejected")
            await asyncio.sleep(network.latency(weather))
            return [Rejected("the store takes no writes now")] * len(operations)
        # A connection cut in the middle of a pipeline: the first ones were executed, and the answers of fewer came.
        executed = answered = len(operations)
        if (weather.lost or weather.lost_reply) and network._random.random() < 0.2:
            executed = network._random.randint(0, len(operations))
            answered = network._random.randint(0, executed)

        def perform() -> tuple[int, list[Outcome]]:
            network.before_execution(host, operations)
            outcomes = server.execute(operations[:executed], host.name)
            network.after_execution(host, operations)
            unknown: list[Outcome] = [Unconfirmed("the connection was cut")] * (len(operations) - answered)
            return server.life, [*outcomes[:answered], *unknown]

        def failure() -> tuple[int, list[Outcome]]:
            return 0, [Unconfirmed("no answer")] * len(operations)

        held_s = network.hold(host, operations)
        answer: tuple[int, list[Outcome]] = await network.request(
            host, perform, cut=weather.cut, weather=weather, failure=failure, held_s=held_s
        )
        self._note(answer[0])
        return answer[1]

    def _note(self, life: int) -> None:
        if life:
            self._life = life

    async def _read(self, method: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        network, server, host = self._network, self._server, self._host
        weather = network.of(host)

        def perform() -> tuple[int, Any]:
            read = getattr(MemoryStore(state=server.state), method)(*args, **options)
            return server.life, result_of(read)

        def failure() -> tuple[int, Any]:
            return 0, None

        life, answer = await network.request(host, perform, cut=weather.cut, weather=weather, failure=failure)
        if not life:
            raise StoreUnavailable("the store did not answer")
        self._note(life)
        return answer

    def key_of(self, shard: int, instance_id: str) -> str:
        return f"sim:{shard}:{instance_id}"

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("read_", "count_", "list_", "raw_", "now_", "push_", "take_")):
            raise AttributeError(name)

        async def read(*args: Any, **options: Any) -> Any:
            return await self._read(name, args, options)

        return read


def result_of(coroutine: Any) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the reference model waits for something")


class SimLeaseStore:
    """One engine's connection to the leases, used from the keeper's thread. Conforms to the port `LeaseStore`.

    `baton`: hands a request to the loop and blocks the thread until the answer is there.
    """

    def __init__(self, network: Network, server: Server, host: Host, baton: Baton) -> None:
        self._network = network
        self._server = server
        self._host = host
        self._baton = baton

    def _call(self, method: str, *args: Any, **options: Any) -> Any:
        network, server, host = self._network, self._server, self._host
        if self._baton.is_inline:
            return server.lease_call(method, args, options, host.name)

        def send() -> asyncio.Future[Any]:
            weather = network.of(host)
            return network.request(
                host,
                lambda: (True, server.lease_call(method, args, options, host.name)),
                cut=weather.lease_cut or weather.cut,
                weather=weather,
                failure=lambda: (False, None),
            )

        answered, result = cast(tuple[bool, Any], self._baton.ask(send))
        if not answered:
            raise StoreUnavailable("the lease store did not answer")
        return result

    def close(self) -> None:
        """Nothing is held."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: self._call(name, *args, **options)
