"""An engine that lost a shard without knowing it: whatever it writes is refused, and not one field changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from contract.backends import APP, Backend
from contract.dumps import dump
from contract.worlds import FAR_MS
from engines import EngineHere, make_settings
from faulty import until
from tenuto_engine.codec.events import encode_event
from tenuto_engine.core.events import TimerFired
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.ports.inbound import Hello, StartRequest, TurnAnswer, TurnItem
from tenuto_engine.ports.leases import Lease
from tenuto_engine.ports.operations import Commit, DropReminder, FireReminder, Operation
from tenuto_engine.ports.outcomes import Fenced, Outcome
from tenuto_engine.ports.records import ReminderKey
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.births import message_of

SHARDS = 2
ID = "order-1"


class Held:
    """A store on which commits wait until they are let through, as those of a process that is stopped would."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.may_pass = asyncio.Event()
        self.waiting: list[Commit] = []
        self.outcomes: list[Outcome] = []

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        commits = [operation for operation in operations if isinstance(operation, Commit)]
        if commits:
            self.waiting += commits
            await self.may_pass.wait()
        outcomes: list[Outcome] = await self._inner.execute(operations)
        self.outcomes += [o for op, o in zip(operations, outcomes, strict=True) if isinstance(op, Commit)]
        return outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_a_commit_under_way_while_the_shard_is_taken_changes_nothing(backend: Backend) -> None:
    """The engine is stopped between its turn and its commit; another owner comes; then it goes on."""
    store, leases = backend.make()
    held = Held(store)
    settings = make_settings(app=APP, shards=str(SHARDS), durability=backend.durability, lease_seconds="600")
    async with EngineHere(settings, (cast("Store", held), leases)) as here:
        engine = here.app.engine
        await until(lambda: len(engine.owned.shards) == SHARDS)
        session = engine.connect(Hello("w", workflows=["flow"], max_sticky=10), lambda: None)
        await engine.commands.start(StartRequest("", "flow", ID))
        item = await _turn(session)
        engine.turn_answered(session, TurnAnswer(ID, item.execution_id, item.commit_id, 0, b"\x90"))
        await until(lambda: held.waiting)

        _, others = backend.make()
        taken = others.acquire(range(SHARDS), version="", owner="another", lease_ms=FAR_MS, force=True)
        assert all(isinstance(lease, Lease) for lease in taken)
        before = await _fields(store)
        held.may_pass.set()
        await until(lambda: held.outcomes)
        assert held.outcomes == [Fenced()]
        assert await _fields(store) == before
        others.release([lease for lease in taken if isinstance(lease, Lease)], cause="release")
        others.close()


async def _fields(store: Store) -> dict[int, dict[str, Any]]:
    """All that is stored but leases: an engine that has its store for itself takes them back at once."""
    shown = await dump(store, shards=SHARDS)
    for shard in shown.values():
        for part in shard["shard"]["versions"].values():
            del part["lease"]
    return shown


async def _turn(session: Any) -> TurnItem:
    sent: list[TurnItem] = []

    def has_come() -> bool:
        out = session.take_outgoing()
        sent.extend(out.turns if out is not None else ())
        return bool(sent)

    await until(has_come, "a turn")
    return sent[0]


@pytest.mark.parametrize("kind", ["fire", "drop"])
async def test_a_stale_owners_reminder_changes_nothing(backend: Backend, kind: str) -> None:
    """Firing and dropping a due reminder are refused as commits are."""
    store, leases = backend.make()
    await store.open(shards=SHARDS, durability=backend.durability)
    try:
        shard = shard_of(ID, SHARDS)
        (stale,) = leases.acquire([shard], version="", owner="stale", lease_ms=FAR_MS)
        (_,) = leases.acquire([shard], version="", owner="another", lease_ms=FAR_MS, force=True)
        assert isinstance(stale, Lease)
        key = ReminderKey("timer", 1, "e1", ID)
        message = message_of(encode_event(TimerFired(1)), message_id="m", at_ms=0, execution_id="e1")
        operation: dict[str, Callable[[], Operation]] = {
            "fire": lambda: FireReminder(shard, stale.token, "", key, message),
            "drop": lambda: DropReminder(shard, stale.token, "", key),
        }
        before = await dump(store, shards=SHARDS)
        assert await store.execute([operation[kind]()]) == [Fenced()]
        assert await dump(store, shards=SHARDS) == before
    finally:
        leases.close()
        await store.close()
