"""Metrics tell the truth: each counter equals what the store holds, or what it was asked and has answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import msgspec
import pytest

import tenuto as wf
from apps import ended, served
from engines import EngineHere
from faulty import FaultyStore, until
from scrapes import OPENMETRICS, Scrape, scraped
from tenuto import aio
from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.ports.operations import Append, Commit, Create, Deliver, FireReminder, ReplaceActivity
from tenuto_engine.ports.outcomes import Appended, Committed, Created, Delivered, Done, Fenced, Refused
from tenuto_engine.ports.store import Store
from tenuto_engine.runtime.metrics.groups import OPERATIONS, REMINDER_KINDS
from tenuto_engine.storage.memory import MemoryLeaseStore, MemoryState
from tenuto_engine.storage.memory.state import Instance

Steps = Generator[Any, Any, Any]


def flaky(ctx: wf.WorkflowActivityContext, attempts: int) -> int:
    if ctx.attempt < attempts:
        raise ConnectionError("not yet")
    return ctx.attempt


async def quick(_ctx: wf.WorkflowActivityContext, value: int) -> int:
    return value


def small(ctx: wf.WorkflowContext, value: int) -> Steps:
    """A child."""
    return (yield ctx.call_activity(quick, input=value))


def rich(ctx: wf.WorkflowContext, fails: bool) -> Steps:
    """Activities with retries, timers that fire and that are cancelled, a child, an event, a custom status."""
    ctx.set_custom_status("under way")
    policy = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=1), max_number_of_attempts=9)
    yield ctx.call_activity(flaky, input=4, retry_policy=policy)
    yield wf.when_all([ctx.call_activity(quick, input=number) for number in range(5)])
    yield ctx.create_timer(timedelta(milliseconds=5))
    yield ctx.call_child_workflow(small, input=7, instance_id=f"{ctx.instance_id}/child")
    yield wf.when_any([ctx.wait_for_external_event("go"), ctx.create_timer(timedelta(hours=1))])
    if fails:
        raise ValueError("as asked")
    return "done"


def waiting(ctx: wf.WorkflowContext, _: None) -> Steps:
    """Waits for long."""
    yield ctx.create_timer(timedelta(hours=2))


def again(ctx: wf.WorkflowContext, left: int) -> Steps:
    """Continues as new."""
    yield ctx.call_activity(quick, input=left)
    if left:
        ctx.continue_as_new(left - 1)


class ReplicaAcks(msgspec.Struct):
    """As a store has it."""

    ok: int
    short: int


class Measured:
    """An engine over the reference model, whose every operation is written down, and its metrics page."""

    def __init__(self, engine: EngineHere, state: MemoryState, store: FaultyStore, web: httpx.AsyncClient) -> None:
        self.engine, self.state, self.store, self.web = engine, state, store, web

    @property
    def instances(self) -> dict[str, Instance]:
        """Everything stored, by id."""
        return {name: found for shard in self.state.shards.values() for name, found in shard.instances.items()}

    @property
    def pending(self) -> dict[str, int]:
        """Stored reminders by kind."""
        entries = [entry for shard in self.state.shards.values() for entry in shard.entries.values()]
        keys = [key for entry in entries for key, _ in entry.reminders.first(10_000)]
        return dict(Counter(REMINDER_KINDS[key.kind] for key in keys))

    @property
    def far_timers(self) -> int:
        """Stored timers that will not fire during the test."""
        entries = [entry for shard in self.state.shards.values() for entry in shard.entries.values()]
        soon_ms = self.state.clock() + 600_000
        return sum(at > soon_ms and k.kind == "timer" for e in entries for k, at in e.reminders.first(10_000))

    async def scrape(self, *, accept: str = "text/plain") -> Scrape:
        """The page, with its gauges of stored things counted just now."""
        await self.engine.app.engine._stocktaking.take()
        return await scraped(self.web, accept=accept)


@pytest.fixture
async def measured() -> AsyncIterator[Measured]:
    state = MemoryState()
    store = FaultyStore(state)
    stores = (cast(Store, store), MemoryLeaseStore(state=state))
    async with EngineHere(stores=stores) as engine, httpx.AsyncClient(base_url=engine.http) as web:
        yield Measured(engine, state, store, web)


async def live(measured: Measured, client: aio.WorkflowClient) -> None:
    """Some instances of every kind: completed, failed, terminated, waiting, delayed."""
    for name, fails in (("rich-1", False), ("rich-2", False), ("rich-3", True)):
        await client.schedule_new_workflow(rich, input=fails, instance_id=name)
    for name in ("waiting-1", "waiting-2", "waiting-3"):
        await client.schedule_new_workflow(waiting, instance_id=name)
        await client.wait_for_workflow_start(name)
    tomorrow = datetime.fromtimestamp(measured.state.clock() / 1000, tz=UTC) + timedelta(days=1)
    await client.schedule_new_workflow(waiting, instance_id="delayed", start_at=tomorrow)
    await until(lambda: measured.far_timers == 6, "all wait")
    for name in ("rich-1", "rich-2", "rich-3"):
        await client.raise_workflow_event(name, "go")
        await ended(client, name)
    await client.pause_workflow("waiting-1")
    await client.resume_workflow("waiting-1")
    await client.terminate_workflow("waiting-2")
    await ended(client, "waiting-2")
    await until(lambda: not any(shard.outbox for shard in measured.state.shards.values()), "all delivered")


async def test_counters_equal_what_the_store_holds(measured: Measured) -> None:
    """Records, instances, endings and reminders are as many as the store itself holds."""
    async with served(measured.engine, workflows=[rich, small, waiting], activities=[flaky, quick]) as client:
        await live(measured, client)
        page = await measured.scrape()
    found = measured.instances
    assert len(found) == 10
    records = page.by("tenuto_state_records_total", "kind")
    assert records["history"] == sum(len(one.history) for one in found.values())
    assert records["inbox"] == sum(one.inbox_next for one in found.values())
    assert page.total("tenuto_history_events_count") == sum(one.head.status in TERMINAL for one in found.values())
    assert page.total("tenuto_history_events_sum") == sum(
        len(one.history) for one in found.values() if one.head.status in TERMINAL
    )
    assert page.by("tenuto_workflow_started_total", "type") == Counter(one.index.name for one in found.values())
    ends = Counter(
        (one.index.name, Status(one.index.status).name.lower())
        for one in found.values()
        if one.index.status in TERMINAL
    )
    assert page.by("tenuto_workflow_completed_total", "type", "status") == ends
    assert page.total("tenuto_workflow_running") == sum(one.head.status not in TERMINAL for one in found.values()) == 3
    assert page.by("tenuto_activity_completed_total", "type", "status", "attempt_bucket") == {
        ("flaky", "completed", "3-5"): 3,
        ("quick", "completed", "1"): 18,
    }
    assert page.total("tenuto_activity_retries_total") == 9
    assert page.total("tenuto_activity_duration_seconds_count") == 21
    assert page.total("tenuto_activity_schedule_to_start_seconds_count") == 21 + 9
    assert page.total("tenuto_workflow_schedule_to_start_seconds_count") == 9


async def test_reminders_add_up(measured: Measured) -> None:
    """What was registered has fired, was cancelled, or is pending in the store, kind by kind."""
    async with served(measured.engine, workflows=[rich, small, waiting], activities=[flaky, quick]) as client:
        await live(measured, client)
        page = await measured.scrape()
    registered = page.by("tenuto_reminder_registered_total", "kind")
    assert registered == {"timer": 9, "schedule": 1, "retention": 7}
    assert page.by("tenuto_reminder_pending", "kind") == measured.pending
    fired = page.by("tenuto_reminder_fired_total", "kind", "result")
    assert fired == {("timer", "ok"): 3}
    cancelled = page.total("tenuto_reminder_write_total", op="cancel", result="ok")
    assert registered["timer"] == 3 + cancelled + measured.pending["timer"]
    assert cancelled == 4
    assert page.total("tenuto_reminder_write_total", op="set", result="ok") == sum(registered.values())
    assert page.total("tenuto_reminder_write_total", op="fire", result="ok") == 3
    assert page.total("tenuto_reminder_lateness_seconds_count", kind="timer") == 3
    assert page.total("tenuto_state_records_total", kind="reminder") == sum(registered.values())


async def test_delays_and_retention_add_up_too(measured: Measured) -> None:
    """A delayed start that is terminated, and the retention of an instance that is purged, count as cancelled."""
    tomorrow = datetime.fromtimestamp(measured.state.clock() / 1000, tz=UTC) + timedelta(days=1)
    async with served(measured.engine, workflows=[waiting]) as client:
        for name in ("one", "two"):
            await client.schedule_new_workflow(waiting, instance_id=name, start_at=tomorrow)
        await client.terminate_workflow("one")
        await ended(client, "one")
        page = await measured.scrape()
        assert page.by("tenuto_reminder_registered_total", "kind") == {"schedule": 2, "retention": 1}
        assert page.total("tenuto_reminder_write_total", op="cancel") == 1
        assert page.by("tenuto_reminder_pending", "kind") == {"schedule": 1, "retention": 1} == measured.pending
        await client.purge_workflow("one")
        page = await measured.scrape()
    assert page.total("tenuto_reminder_write_total", op="cancel") == 2
    assert page.by("tenuto_reminder_pending", "kind") == {"schedule": 1} == measured.pending


async def test_replicas_answers_are_shown_where_the_store_waits_for_them() -> None:
    """A store that counts its replicas' confirmations has them on the page; another one has no such sample."""
    state = MemoryState()
    store = FaultyStore(state)
    store.inner.replica_acks = ReplicaAcks(ok=5, short=2)  # type: ignore[attr-defined]
    stores = (cast(Store, store), MemoryLeaseStore(state=state))
    async with EngineHere(stores=stores) as engine, httpx.AsyncClient(base_url=engine.http) as web:
        page = await scraped(web)
    assert page.by("tenuto_state_replica_ack_total", "result") == {"ok": 5, "short": 2}


def records_of(log: list[tuple[Any, Any]]) -> Counter[str]:
    """Records written, by kind, as the operations and their answers tell."""
    written: Counter[str] = Counter()

    def new(instance: Any) -> None:
        written.update(
            history=len(instance.history),
            metadata=1,
            inbox=len(instance.messages),
            reminder=len(instance.reminders),
        )

    for operation, outcome in log:
        match operation, outcome:
            case Create(), Created():
                new(operation.instance)
            case ((Append() | FireReminder()), Appended(duplicate=False)):
                written["inbox"] += 1
            case ReplaceActivity(), Done():
                written["activity"] += 1
            case Deliver(), Delivered():
                for delivery, one in zip(operation.deliveries, outcome.outcomes, strict=True):
                    if isinstance(one, Created):
                        new(delivery.create)
                    written["inbox"] += isinstance(one, Appended) and one.number >= 0
            case Commit(), Committed(duplicate=False):
                written.update(
                    history=len(operation.history),
                    metadata=1,
                    custom_status=operation.custom_status is not None,
                    activity=len(operation.activities_set),
                    reminder=len(operation.reminders_set),
                    outbox=len(operation.outbox),
                    inbox=sum(isinstance(one, Appended) and one.number >= 0 for one in outcome.appended),
                )
    return +written


async def scrape_at_rest(measured: Measured) -> tuple[Scrape, dict[str, int]]:
    """A page, and the reads that it counts: the engine looks around now and then, so perhaps also during a scrape."""
    store = measured.store
    await measured.engine.app.engine._stocktaking.take()
    while True:
        before = len(store.log), dict(store.reads)
        page = await scraped(measured.web)
        if before == (len(store.log), dict(store.reads)):
            return page, before[1]


async def test_reads_and_writes_equal_what_the_store_was_asked(measured: Measured) -> None:
    """Every operation and every read is counted once, by its answer, also those refused, fenced or repeated."""
    log, store = measured.store.log, measured.store
    async with served(measured.engine, workflows=[rich, small, waiting, again], activities=[flaky, quick]) as client:
        await live(measured, client)
        await client.schedule_new_workflow(again, input=3, instance_id="again")
        await ended(client, "again")
        await client.raise_workflow_event("again", "too late")
        again_id = await client.rerun_workflow_from_event("rich-1", 1)
        await client.raise_workflow_event(again_id, "go")
        await ended(client, again_id)
        await client.purge_workflow("rich-2")
        store.bend(lambda operation: isinstance(operation, Append), Refused("not_found"))
        with pytest.raises(wf.InstanceNotFound):
            await client.raise_workflow_event("waiting-1", "go")
        store.bend(lambda operation: isinstance(operation, Commit), Fenced())
        await client.raise_workflow_event("waiting-1", "go")
        await until(lambda: any(isinstance(outcome, Fenced) for _, outcome in log), "a fenced commit")
        await client.terminate_workflow("waiting-1")
        await ended(client, "waiting-1")
        await client.get_workflow_history("rich-1")
        page, asked = await scrape_at_rest(measured)
    assert page.total("tenuto_state_write_total") == len(log)
    assert page.by("tenuto_state_write_total", "op") == Counter(OPERATIONS[type(operation)] for operation, _ in log)
    assert page.total("tenuto_state_write_total", result="fenced") == 1
    assert page.total("tenuto_fenced_writes_total") == 1
    assert page.total("tenuto_state_write_duration_seconds_count") == len(log)
    assert page.total("tenuto_state_group_operations_sum") == len(log)
    assert page.by("tenuto_state_records_total", "kind") == records_of(log)
    assert page.by("tenuto_state_read_total", "op") == {
        name.removeprefix("read_"): times for name, times in asked.items()
    }
    assert page.total("tenuto_state_read_duration_seconds_count") == sum(asked.values())
    assert page.total("tenuto_instances_purged_total") == 2  # with its child
    assert page.total("tenuto_messages_dropped_total", reason="terminal") == 1


async def test_both_formats_say_the_same(measured: Measured) -> None:
    """The classic text and OpenMetrics parse, hold the same families and values, and exemplars lead to the trace."""
    async with served(measured.engine, workflows=[rich, small, waiting], activities=[flaky, quick]) as client:
        await live(measured, client)
    text, opened = await measured.scrape(), await measured.scrape(accept=OPENMETRICS)
    assert text.families.keys() == opened.families.keys()
    moving = ("state_read", "state_write", "state_group", "event_loop_lag", "lease_", "oldest_age")
    fixed = {name: value for name, value in text.short.items() if not any(word in name[0] for word in moving)}
    assert fixed == {name: opened.short[name] for name in fixed}
    described = {d.name: d for d in measured.engine.app.engine.context.metrics.described}
    assert text.families.keys() <= {name.removesuffix("_total") for name in described}
    for family in text.families.values():
        for sample in family.samples:
            assert {"app", "version"} <= sample.labels.keys(), sample
