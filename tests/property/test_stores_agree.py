"""Any sequence of operations has the same answers and leaves the same state in every store.

The memory store is the model. Sequences are made of a few instances, executions and ids, so that they collide often;
what the port asks of callers is kept (a commit that ends or renews an execution lists its open entries, and none
follows the end), all else is left to chance: wrong tokens, stale bases, messages that are gone, repeated deliveries.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from contract.backends import Backend, MemoryBackend, PostgresBackend, RedisBackend, SqliteBackend
from contract.dumps import dump, without_times
from contract.worlds import FAR_MS, call, head, message, open_call, timer
from servers import PostgresServer, RedisServer
from tenuto_engine.core.status import TERMINAL, Hold, Status
from tenuto_engine.ports.leases import Lease, LeaseStore
from tenuto_engine.ports.operations import (
    Append,
    Commit,
    Create,
    Deliver,
    Delivery,
    DropReminder,
    FireReminder,
    Operation,
    Purge,
    RemoveOutbox,
    ReplaceActivity,
)
from tenuto_engine.ports.outcomes import Committed, Done, Outcome
from tenuto_engine.ports.records import IndexEntry, Message, NewInstance, OutboxSend, ReminderKey, ReminderSet
from tenuto_engine.ports.store import Store

SHARDS = 2
# Two instances share shard 0, so that commits can append to one another; the third is of another version.
HOMES = {"a": (0, ""), "b": (0, ""), "c": (1, "v1")}
VERSIONS = ("", "v1")
# Due long ago or never: the same by every store's clock.
DUES = (1, 1 << 50)
Choices = dict[str, Any]

instances = st.sampled_from(sorted(HOMES))
event_ids = st.integers(1, 3)
messages = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["m0", "m1", "m2"]),
        "remember": st.booleans(),
        "control": st.booleans(),
        "bound": st.sampled_from(["", "current", "other"]),
    }
)
COMMAND = st.one_of(
    st.fixed_dictionaries(
        {
            "kind": st.just("create"),
            "instance": instances,
            "start": st.sampled_from(["", "s1", "s2", "s3"]),
            "hold": st.sampled_from(Hold),
            "replace": st.booleans(),
            "messages": st.lists(messages, max_size=2),
            "delayed": st.booleans(),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("append"),
            "instance": instances,
            "message": messages,
            "closes": st.none() | event_ids,
            "attempt": st.integers(0, 2),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("commit"),
            "instance": instances,
            "wrong": st.sampled_from([""] * 8 + ["token", "execution", "commit", "length", "message"]),
            "take": st.sampled_from(["all", "first", "none"]),
            "history": st.integers(0, 2),
            "custom": st.none() | st.sampled_from([b"", b"busy"]),
            "calls": st.lists(event_ids, max_size=2, unique=True),
            "calls_removed": st.lists(event_ids, max_size=2, unique=True),
            "timers": st.lists(st.tuples(event_ids, st.sampled_from(DUES)), max_size=2, unique_by=lambda each: each[0]),
            "timers_removed": st.lists(event_ids, max_size=2, unique=True),
            "outbox": st.integers(0, 2),
            "appends": st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), messages), max_size=2),
            "hold": st.sampled_from([Hold.NONE, Hold.NONE, Hold.SUSPENDED]),
            "ready_at_ms": st.sampled_from([0, 0, 77]),
            "keep_ready": st.booleans(),
            "end": st.sampled_from(["", "", "", "renew", "close"]),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("repeat"), "instance": instances}),
    st.fixed_dictionaries(
        {
            "kind": st.just("fire"),
            "instance": instances,
            "event": event_ids,
            "message": messages,
            "owned": st.booleans(),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("drop"), "instance": instances, "event": event_ids}),
    st.fixed_dictionaries(
        {"kind": st.just("replace"), "instance": instances, "event": event_ids, "revision": st.integers(1, 3)}
    ),
    st.fixed_dictionaries({"kind": st.just("purge"), "instance": instances, "stale": st.booleans()}),
    st.fixed_dictionaries(
        {
            "kind": st.just("deliver"),
            "source": st.integers(0, 1),
            "instance": instances,
            "first": st.integers(1, 5),
            "messages": st.lists(messages, max_size=2),
            "child": st.booleans(),
            "start": st.sampled_from(["s1", "s2"]),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("forget"), "shard": st.integers(0, SHARDS - 1), "place": st.integers(0, 2)}),
)


@dataclass
class Opened:
    """One store of those compared, with its own lease tokens."""

    name: str
    store: Store
    leases: LeaseStore
    tokens: dict[tuple[int, str], str] = field(default_factory=dict[tuple[int, str], str])

    def own(self, operation: Operation) -> Operation:
        """Put this store's token where the operation has one; a wrong one stays wrong."""
        if isinstance(operation, Commit | FireReminder | DropReminder) and operation.token == "owner":
            return replace(operation, token=self.tokens[operation.shard, operation.lease_version])
        return operation


class Interpreter:
    """Turns choices into operations, reading the model where an owner would know the state."""

    def __init__(self, model: Store) -> None:
        self.model = model
        self.made = 0
        self.last: dict[str, Commit] = {}

    def _next(self, what: str) -> str:
        self.made += 1
        return f"{what}{self.made}"

    async def _execution(self, instance_id: str) -> str:
        stored = await self.model.read_instance(HOMES[instance_id][0], instance_id)
        return "none" if stored is None else stored.head.execution_id

    async def message(self, instance_id: str, choices: Choices) -> Message:
        bound = {"": "", "other": "e0", "current": await self._execution(instance_id)}[choices["bound"]]
        return message(choices["id"], remember=choices["remember"], control=choices["control"], execution_id=bound)

    async def new(self, instance_id: str, start: str, **choices: Any) -> NewInstance:
        execution = self._next("e")
        unread = [await self.message(instance_id, each) for each in choices.get("messages", ())]
        key = timer(1, instance_id=instance_id, execution_id=execution, kind="start")
        return NewInstance(
            instance_id=instance_id,
            head=head(
                execution_id=execution,
                commit_id=self._next("c"),
                start_id=start,
                version=HOMES[instance_id][1],
                hold=choices.get("hold", Hold.NONE),
            ),
            metadata=b"new",
            index=IndexEntry("ship", Status.RUNNING, 1),
            messages=unread,
            reminders=[ReminderSet(key, 1)] if choices.get("delayed") else (),
            replace=TERMINAL if choices.get("replace") else frozenset(),
        )

    async def _open_entries(self, instance_id: str) -> tuple[list[Any], list[ReminderKey]]:
        shard, version = HOMES[instance_id]
        calls = await self.model.read_activities(shard, version, due_ms=None, limit=1_000)
        timers = await self.model.read_reminders(shard, version, limit=1_000)
        return (
            [each.key for each in calls if each.key.instance_id == instance_id],
            [key for key, _ in timers if key.instance_id == instance_id],
        )

    async def commit(self, choices: Choices) -> Commit | None:
        instance_id = choices["instance"]
        shard, version = HOMES[instance_id]
        stored = await self.model.read_instance(shard, instance_id)
        if stored is None or stored.head.status in TERMINAL:
            return None
        now = stored.head
        unread = await self.model.read_inbox(shard, instance_id, first=0, end=1_000, limit=1_000)
        numbers = [each.number for each in unread][: {"all": None, "first": 1, "none": 0}[choices["take"]]]
        history = [b"h"] * choices["history"]
        end = choices["end"]
        execution = self._next("e") if end == "renew" else now.execution_id
        after = replace(
            now,
            status=Status.COMPLETED if end == "close" else now.status,
            hold=choices["hold"],
            execution_id=execution,
            commit_id=self._next("c"),
            history_length=len(history) + (0 if end == "renew" else now.history_length),
            taken=now.taken + len(numbers),
        )
        here = {"instance_id": instance_id, "execution_id": now.execution_id}
        calls_removed = [call(each, **here) for each in choices["calls_removed"]]
        timers_removed = [timer(each, **here) for each in choices["timers_removed"]]
        if end:
            calls_removed, timers_removed = await self._open_entries(instance_id)
        there = {"instance_id": instance_id, "execution_id": execution}
        commit = Commit(
            shard=shard,
            token="owner",
            lease_version=version,
            instance_id=instance_id,
            base_execution_id=now.execution_id,
            base_commit_id=now.commit_id,
            base_length=now.history_length,
            head=after,
            metadata=self._next("metadata ").encode(),
            consumed=numbers,
            history=history,
            custom_status=choices["custom"],
            activities_set=[open_call(each, **there) for each in choices["calls"]] if end != "close" else (),
            activities_removed=calls_removed,
            reminders_set=[ReminderSet(timer(each, **there), due) for each, due in choices["timers"]],
            reminders_removed=timers_removed,
            outbox=[OutboxSend(1 - shard, b"sent")] * choices["outbox"],
            appends=[
                (target, await self.message(target, each))
                for target, each in choices["appends"]
                if HOMES[target][0] == shard
            ],
            old_index=IndexEntry("ship", now.status, 1),
            index=IndexEntry("ship", after.status, 1) if end == "close" else None,
            ready_at_ms=choices["ready_at_ms"],
            renew=end == "renew",
            keep_ready=choices["keep_ready"],
            close=end == "close",
        )
        return _spoil(commit, choices["wrong"])

    async def operation(self, choices: Choices) -> Operation | None:
        kind = choices["kind"]
        if kind == "deliver":
            return await self._deliver(choices)
        instance_id = choices.get("instance", "a")
        shard, version = HOMES[instance_id]
        execution = await self._execution(instance_id)
        here = {"instance_id": instance_id, "execution_id": execution}
        match kind:
            case "create":
                chosen = {name: choices[name] for name in ("hold", "replace", "messages", "delayed")}
                return Create(shard, await self.new(instance_id, choices["start"], **chosen))
            case "append":
                closes = None if choices["closes"] is None else call(choices["closes"], **here)
                sent = await self.message(instance_id, choices["message"])
                return Append(shard, instance_id, sent, closes, choices["attempt"])
            case "commit":
                commit = await self.commit(choices)
                if commit is not None:
                    self.last[instance_id] = commit
                return commit
            case "repeat":
                return self.last.get(instance_id)
            case "fire":
                sent = await self.message(instance_id, choices["message"])
                token = "owner" if choices["owned"] else "nobody"
                return FireReminder(shard, token, version, timer(choices["event"], **here), sent)
            case "drop":
                return DropReminder(shard, "owner", version, timer(choices["event"], **here))
            case "replace":
                revision = choices["revision"]
                return ReplaceActivity(
                    shard, version, open_call(choices["event"], revision=revision + 1, **here), revision
                )
            case "purge":
                return Purge(shard, instance_id, "e0" if choices["stale"] else execution)
            case _:
                return None

    async def _deliver(self, choices: Choices) -> Deliver:
        instance_id = choices["instance"]
        first = choices["first"]
        deliveries = [
            Delivery(first + place, instance_id, await self.message(instance_id, each))
            for place, each in enumerate(choices["messages"])
        ]
        if choices["child"]:
            deliveries.append(Delivery(first + 5, create=await self.new(instance_id, choices["start"])))
        return Deliver(HOMES[instance_id][0], choices["source"], deliveries)


def _spoil(commit: Commit, wrong: str) -> Commit:
    match wrong:
        case "token":
            return replace(commit, token="nobody")
        case "execution":
            return replace(commit, base_execution_id="e0")
        case "commit":
            return replace(commit, base_commit_id="c0")
        case "length":
            return replace(commit, base_length=commit.base_length + 1)
        case "message":
            return replace(commit, consumed=[*commit.consumed, 999])
        case _:
            return commit


def _comparable(outcome: Outcome) -> Any:
    """An outcome without what the store's clock decides."""
    if isinstance(outcome, Committed):
        outcome = replace(outcome, outbox=[0] * len(outcome.outbox))
    return type(outcome).__name__, to_builtins(outcome)


async def _forget(opened: Opened, choices: Choices) -> Outcome:
    """Remove the outbox record at a place, whatever number this store gave it."""
    records = await opened.store.read_outbox(choices["shard"], after=0, limit=10)
    numbers = [each.number for each in records][choices["place"] :][:1]
    (outcome,) = await opened.store.execute([RemoveOutbox(choices["shard"], numbers)])
    assert outcome == Done()
    return outcome


async def _run_group(stores: list[Opened], interpreter: Interpreter, group: list[Choices]) -> None:
    for choices in group:
        if choices["kind"] == "forget":
            for opened in stores:
                await _forget(opened, choices)
    made = [await interpreter.operation(choices) for choices in group if choices["kind"] != "forget"]
    operations = [operation for operation in made if operation is not None]
    expected: list[Any] = []
    for opened in stores:
        outcomes = await opened.store.execute([opened.own(operation) for operation in operations])
        answers = [_comparable(outcome) for outcome in outcomes]
        expected = expected or answers
        assert answers == expected, f"{opened.name} answers otherwise than {stores[0].name}"


async def _compare(backends: list[Backend], groups: list[list[Choices]]) -> None:
    stores: list[Opened] = []
    for backend in backends:
        store, leases = backend.make()
        await store.open(shards=SHARDS, durability=backend.durability)
        opened = Opened(backend.name, store, leases)
        for shard, version in sorted(set(HOMES.values())):
            (lease,) = leases.acquire([shard], version=version, owner="me", lease_ms=FAR_MS)
            assert isinstance(lease, Lease)
            opened.tokens[shard, version] = lease.token
        stores.append(opened)
    try:
        interpreter = Interpreter(stores[0].store)
        for group in groups:
            await _run_group(stores, interpreter, group)
        expected = without_times(await dump(stores[0].store, shards=SHARDS))
        for opened in stores[1:]:
            found = without_times(await dump(opened.store, shards=SHARDS))
            assert found == expected, f"{opened.name} stands otherwise than {stores[0].name}"
    finally:
        for opened in stores:
            opened.leases.close()
            await opened.store.close()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(groups=st.lists(st.lists(COMMAND, min_size=1, max_size=4), max_size=20))
def test_every_store_answers_and_stands_as_the_model(
    redis_server: RedisServer, postgres_server: PostgresServer, groups: list[list[Choices]]
) -> None:
    """The same operations, in the same groups, are answered alike and leave the same state everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SqliteBackend(Path(folder))
        sqlite.durability = "D0"
        postgres = PostgresBackend(postgres_server.url)
        postgres.durability = "D0"
        asyncio.run(_compare([MemoryBackend(), sqlite, postgres, RedisBackend(redis_server.url)], groups))
