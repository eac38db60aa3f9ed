"""A store as real workflows leave it, and copies of it to be broken.

Finished, failed, waiting, held, delayed, renewed and rerun instances, a terminated tree: one of each.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

import tenuto as wf
from apps import ended, run, served
from engines import EngineHere, make_settings
from tenuto import aio
from tenuto.client import WorkflowStatus
from tenuto_engine.codec.events import decode_event, encode_event
from tenuto_engine.codec.records import Envelope, InboxBody, decode_metadata, encode_record
from tenuto_engine.core import events as e
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.ports.records import OutboxRecord, ReminderKey
from tenuto_engine.storage.memory import MemoryAudit, MemoryLeaseStore, MemoryState, MemoryStore
from tenuto_engine.storage.memory.state import Entries, Instance, Shard
from tenuto_engine.verify.run import Plan, Report, verify

SHARDS = 4
FAR_MS = 4_000_000_000_000
Steps = Generator[Any, Any, Any]


def double(ctx: wf.WorkflowActivityContext, number: int) -> int:
    return 2 * number


def refuse(ctx: wf.WorkflowActivityContext, number: int) -> int:
    raise ValueError(f"no {number}")


def once(ctx: wf.WorkflowContext, number: int) -> Steps:
    return (yield ctx.call_activity(double, input=number))


def fails(ctx: wf.WorkflowContext, number: int) -> Steps:
    yield ctx.call_activity(refuse, input=number)


def listens(ctx: wf.WorkflowContext) -> Steps:
    yield ctx.wait_for_external_event("never")


def waits(ctx: wf.WorkflowContext) -> Steps:
    """Has one of everything open: a call that nobody runs, a timer, a child; and takes two notes first."""
    for _ in range(2):
        yield ctx.wait_for_external_event("note")
    call = ctx.call_activity("nobody's", input=1)
    timer = ctx.create_timer(timedelta(hours=1))
    child = ctx.call_child_workflow(listens, instance_id=f"{ctx.instance_id}/kid")
    yield wf.when_any([call, timer, child])


def grows(ctx: wf.WorkflowContext) -> Steps:
    yield ctx.call_child_workflow(listens, instance_id=f"{ctx.instance_id}/kid")


def renews(ctx: wf.WorkflowContext, left: int) -> Steps:
    if left:
        yield ctx.call_activity(double, input=left)
        ctx.continue_as_new(left - 1)
        return
    yield ctx.wait_for_external_event("never")


async def begun(client: aio.WorkflowClient, name: str, *, generation: int = 1) -> None:
    """Wait until an instance, or one of its later executions, has had its first turn."""
    while True:
        state = await client.get_workflow_state(name)
        if state is not None and state.generation == generation and await client.get_workflow_history(name):
            return


async def fill(client: aio.WorkflowClient) -> None:
    """Leave one instance in each state there is."""
    await run(client, once, 3, instance_id="done")
    await run(client, fails, 3, instance_id="failed")
    await client.schedule_new_workflow(waits, instance_id="waiting")
    for number in range(2):
        await client.raise_workflow_event("waiting", "note", data={"sender": "ann", "number": number})
    await client.schedule_new_workflow(grows, instance_id="tree")
    await begun(client, "tree/kid")
    await client.terminate_workflow("tree")
    for name in ("tree", "tree/kid"):
        await ended(client, name)
    await client.schedule_new_workflow(listens, instance_id="held")
    await begun(client, "held")
    await client.pause_workflow("held")
    await client.raise_workflow_event("held", "note", data=1)
    await client.schedule_new_workflow(listens, instance_id="later", start_at=datetime(2100, 1, 1, tzinfo=UTC))
    await client.schedule_new_workflow(renews, input=2, instance_id="renewed")
    await begun(client, "waiting/kid")
    await begun(client, "renewed", generation=3)
    history = await client.get_workflow_history("done")
    (call,) = [each.event_id for each in history if each.type == "ActivityScheduled"]
    assert call is not None
    await client.rerun_workflow_from_event("done", call, new_instance_id="rerun")
    await ended(client, "rerun")
    assert (await client.get_workflow_state("held")).runtime_status is WorkflowStatus.SUSPENDED  # type: ignore[union-attr]


async def make_good() -> MemoryState:
    state = MemoryState()
    settings = make_settings(shards=str(SHARDS), runtime={"drain_seconds": 0.1})
    stores = (MemoryStore(state=state, app="default"), MemoryLeaseStore(state=state))
    workflows = (once, fails, listens, waits, grows, renews)
    async with (
        EngineHere(settings, stores) as engine,
        served(engine, workflows=workflows, activities=[double, refuse]) as client,
    ):
        await fill(client)
        while any(shard.outbox for shard in state.shards.values()):
            await client.get_workflow_state("done")
    return state


class Broken:
    """A copy of the good store, to be broken."""

    def __init__(self, good: MemoryState) -> None:
        self.state = MemoryState()
        self.state.shard_count = good.shard_count
        self.state.shards = copy.deepcopy(good.shards)
        self.state.leases = copy.deepcopy(good.leases)

    def shard(self, name: str) -> Shard:
        return self.state.shards[shard_of(name, SHARDS)]

    def entries(self, name: str) -> Entries:
        return self.shard(name).entries[""]

    def instance(self, name: str) -> Instance:
        return self.shard(name).instances[name]

    def event(self, name: str, kind: type) -> int:
        """Where in its history an instance has the first event of a kind."""
        return next(i for i, raw in enumerate(self.instance(name).history) if isinstance(decode_event(raw), kind))

    def rewrite(self, name: str, index: int, **changes: Any) -> None:
        history = self.instance(name).history
        history[index] = encode_event(replace(decode_event(history[index]), **changes))
        self.recount(name)

    def head(self, name: str, **changes: Any) -> None:
        instance = self.instance(name)
        instance.head = replace(instance.head, **changes)

    def body(self, name: str, **changes: Any) -> None:
        instance = self.instance(name)
        instance.metadata = encode_record(replace(decode_metadata(instance.metadata), **changes))

    def recount(self, name: str) -> None:
        """Let metadata agree with a history that was changed."""
        history = self.instance(name).history
        self.head(name, history_length=len(history))
        self.body(name, history_bytes=sum(map(len, history)))

    def insert(self, name: str, index: int, event: e.Event) -> None:
        self.instance(name).history.insert(index, encode_event(event))
        self.recount(name)

    def reminder(self, name: str, kind: str) -> ReminderKey:
        return next(key for key in self.instance(name).reminders if key.kind == kind)

    def add_reminder(self, name: str, **key: Any) -> None:
        known = ReminderKey("timer", 1, self.execution(name), name)
        self.entries(name).reminders.set(replace(known, **key), FAR_MS)

    def execution(self, name: str) -> str:
        return self.instance(name).head.execution_id

    def message(self, name: str, event: e.Event, execution_id: str = "") -> None:
        instance = self.instance(name)
        body = InboxBody("m", 1, execution_id, encode_event(event))
        instance.inbox[instance.inbox_next] = encode_record(body)
        instance.inbox_next += 1

    def send(self, source: int, target: str, event: e.Event, *, number: int = 10, to_shard: int | None = None) -> None:
        shard = self.state.shards[source]
        body = encode_record(Envelope(target, "m", "", encode_event(event)))
        there = shard_of(target, SHARDS) if to_shard is None else to_shard
        shard.outbox[number] = OutboxRecord(number, there, body)
        shard.outbox_last = max(shard.outbox_last, 10)

    async def check(self, **plan: Any) -> Report:
        return await verify(MemoryAudit(self.state), Plan(pauses_seconds=(0.0,), **plan))

    async def rules(self, **plan: Any) -> set[tuple[str, str]]:
        """The rules that are broken, and of what."""
        return {(each.rule, each.subject) for each in (await self.check(**plan)).findings}
