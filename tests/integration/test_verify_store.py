"""`tenuto verify`: a store that real workflows left has nothing to find, and each record that is broken is named.

Each corruption breaks one thing in a copy of the good store, and exactly its rule is found.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from broken_store import FAR_MS, SHARDS, Broken, make_good
from tenuto_engine.codec.events import decode_event, encode_event
from tenuto_engine.core import events as e
from tenuto_engine.core.sharding import shard_of
from tenuto_engine.core.status import Status
from tenuto_engine.ports.audit import Defect
from tenuto_engine.ports.records import OutboxRecord, ReminderKey
from tenuto_engine.storage.memory import MemoryAudit, MemoryState
from tenuto_engine.verify.findings import RULES
from tenuto_engine.verify.run import Plan, verify


@pytest.fixture(scope="module")
def good() -> MemoryState:
    """What real workflows left. Do not change it."""
    return asyncio.run(make_good())


@pytest.fixture
def broken(good: MemoryState) -> Broken:
    return Broken(good)


async def test_what_real_workflows_leave_has_nothing_to_find(broken: Broken) -> None:
    """Every kind of instance, as engines leave it, keeps every invariant."""
    report = await broken.check()
    assert report.findings == []
    assert report.counts.instances == 10
    assert report.counts.activities == 1
    assert report.passes == 1


async def test_verifying_writes_nothing(broken: Broken) -> None:
    """A store is the same after a verification, byte by byte."""
    before = [await MemoryAudit(broken.state).audit_shard(shard) for shard in range(SHARDS)]
    await broken.check()
    assert [await MemoryAudit(broken.state).audit_shard(shard) for shard in range(SHARDS)] == before


# -- one record broken at a time ----------------------------------------------------------------------------------


def _second_end(broken: Broken) -> None:
    broken.insert("done", len(broken.instance("done").history), e.ExecutionCompleted(9))


def _after_the_end(broken: Broken) -> None:
    broken.insert("done", len(broken.instance("done").history), e.EventRaised("late"))


def _no_end(broken: Broken) -> None:
    broken.instance("done").history.pop()
    broken.recount("done")


def _status_of_another_end(broken: Broken) -> None:
    broken.head("done", status=Status.TERMINATED)
    broken.instance("done").index = replace(broken.instance("done").index, status=Status.TERMINATED)


def _status_without_reason(broken: Broken) -> None:
    broken.head("renewed", status=Status.SUSPENDED)
    broken.instance("renewed").index = replace(broken.instance("renewed").index, status=Status.SUSPENDED)


def _length(broken: Broken) -> None:
    broken.head("waiting", history_length=broken.instance("waiting").head.history_length + 1)


def _beyond(broken: Broken) -> None:
    broken.instance("waiting").history.append(encode_event(e.EventRaised("more")))


def _bytes(broken: Broken) -> None:
    broken.body("waiting", history_bytes=1)


def _garbage_event(broken: Broken) -> None:
    broken.instance("held").history[1] = b"\xc1"


def _garbage_metadata(broken: Broken) -> None:
    broken.instance("held").metadata = b"\xc1"


def _result_of_nothing(broken: Broken) -> None:
    broken.rewrite("done", broken.event("done", e.ActivityCompleted), event_id=77)


def _result_twice(broken: Broken) -> None:
    index = broken.event("done", e.ActivityCompleted)
    broken.insert("done", index + 1, e.ActivityCompleted(decode_event(broken.instance("done").history[index]).event_id))  # type: ignore[union-attr]


def _event_id_twice(broken: Broken) -> None:
    index = broken.event("done", e.ActivityScheduled)
    event = decode_event(broken.instance("done").history[index])
    broken.insert("done", broken.event("done", e.ActivityCompleted) + 1, replace(event, source="again"))
    broken.insert("done", broken.event("done", e.ActivityCompleted) + 2, e.ActivityCompleted(event.event_id))  # type: ignore[union-attr]


def _stored_renewal(broken: Broken) -> None:
    broken.insert("waiting", len(broken.instance("waiting").history), e.ContinuedAsNew(50))


def _start_twice(broken: Broken) -> None:
    broken.insert("held", 2, decode_event(broken.instance("held").history[1]))


def _start_of_another(broken: Broken) -> None:
    broken.rewrite("held", broken.event("held", e.ExecutionStarted), instance_id="somebody")


def _time_back(broken: Broken) -> None:
    broken.rewrite("done", 0, at_ms=FAR_MS)
    broken.body("done", last_turn_at_ms=FAR_MS)


def _time_of_metadata(broken: Broken) -> None:
    broken.body("held", last_turn_at_ms=1)


def _epoch_back(broken: Broken) -> None:
    broken.rewrite("waiting", 0, epoch=5)


def _epoch_ahead(broken: Broken) -> None:
    for index, raw in enumerate(broken.instance("waiting").history):
        if isinstance(decode_event(raw), e.TurnStarted):
            broken.rewrite("waiting", index, epoch=50)


def _early_timer(broken: Broken) -> None:
    index = broken.event("waiting", e.TimerCreated)
    timer = decode_event(broken.instance("waiting").history[index])
    broken.insert("waiting", len(broken.instance("waiting").history), e.TimerFired(timer.event_id))  # type: ignore[union-attr]
    broken.entries("waiting").reminders.remove(broken.reminder("waiting", "timer"))


def _message_gone(broken: Broken) -> None:
    broken.instance("held").inbox.clear()


def _message_twice(broken: Broken) -> None:
    held = broken.instance("held")
    held.inbox[held.inbox_next + 3] = held.inbox[held.inbox_next - 1]


def _garbage_message(broken: Broken) -> None:
    held = broken.instance("held")
    held.inbox[held.inbox_next - 1] = b"\xc1"


def _reminder_of_no_timer(broken: Broken) -> None:
    broken.add_reminder("waiting", event_id=99)


def _reminder_of_another_life(broken: Broken) -> None:
    broken.add_reminder("waiting", execution_id="former")


def _reminder_after_the_end(broken: Broken) -> None:
    broken.add_reminder("done")


def _delay_without_reminder(broken: Broken) -> None:
    broken.entries("later").reminders.remove(broken.reminder("later", "start"))


def _no_retention(broken: Broken) -> None:
    broken.entries("done").reminders.remove(broken.reminder("done", "retention"))


def _call_lost(broken: Broken) -> None:
    entries = broken.entries("waiting")
    for key in broken.instance("waiting").activities:
        del entries.activities[key]
        entries.looks.remove(key)


def _call_of_nothing(broken: Broken) -> None:
    entries = broken.entries("waiting")
    (record,) = entries.activities.values()
    key = replace(record.key, event_id=99)
    entries.activities[key] = replace(record, key=key)
    entries.looks.set(key, FAR_MS)


def _call_and_result(broken: Broken) -> None:
    (key,) = broken.instance("waiting").activities
    broken.message("waiting", e.ActivityCompleted(key.event_id), key.execution_id)
    broken.entries("waiting").ready.set("waiting", 1)


def _too_many_attempts(broken: Broken) -> None:
    entries = broken.entries("waiting")
    for key, record in entries.activities.items():
        entries.activities[key] = replace(record, attempt=2)


def _half_a_call(broken: Broken) -> None:
    for key in broken.instance("waiting").activities:
        broken.entries("waiting").looks.remove(key)


def _child_gone(broken: Broken) -> None:
    _erase(broken, "waiting/kid")


def _child_of_another(broken: Broken) -> None:
    broken.body("waiting/kid", parent=e.Parent("somebody", "x", 1))


def _child_unasked(broken: Broken) -> None:
    parent = broken.execution("waiting")
    broken.body("held", parent=e.Parent("waiting", parent, 99))


def _child_answered(broken: Broken) -> None:
    event = decode_event(broken.instance("waiting").history[broken.event("waiting", e.ChildCreated)])
    broken.insert("waiting", len(broken.instance("waiting").history), e.ChildCompleted(event.event_id))  # type: ignore[union-attr]


def _child_outlives(broken: Broken) -> None:
    """The tree was terminated, but its child runs on."""
    kid = broken.instance("tree/kid")
    kid.history.pop()
    broken.recount("tree/kid")
    broken.head("tree/kid", status=Status.RUNNING)
    kid.index = replace(kid.index, status=Status.RUNNING)
    broken.entries("tree/kid").reminders.remove(broken.reminder("tree/kid", "retention"))


def _erase(broken: Broken, name: str) -> None:
    shard, instance = broken.shard(name), broken.instance(name)
    del shard.instances[name]
    shard.created.remove(instance.index.created_at_ms, name)


def _entries_of_nobody(broken: Broken) -> None:
    broken.entries("nobody").ready.set("nobody", 1)


def _reminder_of_nobody(broken: Broken) -> None:
    broken.entries("nobody").reminders.set(ReminderKey("timer", 1, "x", "nobody"), FAR_MS)


def _index_of_nobody(broken: Broken) -> None:
    broken.shard("nobody").created.add(1, "nobody")


def _index_of_another_status(broken: Broken) -> None:
    broken.instance("held").index = replace(broken.instance("held").index, status=Status.RUNNING)


def _index_missing(broken: Broken) -> None:
    broken.shard("held").created.remove(broken.instance("held").index.created_at_ms, "held")


def _mark_missing(broken: Broken) -> None:
    broken.message("renewed", e.EventRaised("hello"))


def _mark_on_hold(broken: Broken) -> None:
    broken.entries("held").ready.set("held", 1)


def _mark_for_nothing(broken: Broken) -> None:
    broken.entries("done").ready.set("done", 1)


def _mark_of_another_version(broken: Broken) -> None:
    broken.message("renewed", e.EventRaised("hello"))
    broken.entries("renewed").ready.set("renewed", 1)
    broken.shard("renewed").entries["v9"].ready.set("renewed", 1)


def _resume_unseen(broken: Broken) -> None:
    broken.message("held", e.ExecutionResumed())


def _lease_without_token(broken: Broken) -> None:
    broken.state.leases[0, ""].owner = "engine-1"
    broken.state.leases[0, ""].token = ""


def _outbox_ahead(broken: Broken) -> None:
    broken.send(0, "done", e.EventRaised("x"), number=99_999_999_999_999_999)


def _outbox_astray(broken: Broken) -> None:
    broken.send(0, "done", e.EventRaised("x"), to_shard=(shard_of("done", SHARDS) + 1) % SHARDS)


def _garbage_outbox(broken: Broken) -> None:
    broken.state.shards[0].outbox[1] = OutboxRecord(1, 0, b"\xc1")


def _received_ahead(broken: Broken) -> None:
    broken.state.shards[0].taken_from[1] = 99_999_999_999_999_999


def _seen_tomorrow(broken: Broken) -> None:
    broken.state.shards[0].seen._at["c1"] = FAR_MS


def _shard_too_many(broken: Broken) -> None:
    broken.state.shards[SHARDS].outbox[1] = OutboxRecord(1, 0, b"")


CORRUPTIONS: list[tuple[Callable[[Broken], None], str, str]] = [
    (_second_end, "terminal-event", "done"),
    (_after_the_end, "terminal-event", "done"),
    (_no_end, "terminal-event", "done"),
    (_status_of_another_end, "terminal-event", "done"),
    (_status_without_reason, "terminal-event", "renewed"),
    (_length, "history-names", "waiting"),
    (_beyond, "history-names", "waiting"),
    (_bytes, "history-bytes", "waiting"),
    (_garbage_event, "history-unreadable", "held"),
    (_garbage_metadata, "history-unreadable", "held"),
    (_result_of_nothing, "history-illegal", "done"),
    (_result_twice, "history-illegal", "done"),
    (_event_id_twice, "history-illegal", "done"),
    (_stored_renewal, "history-illegal", "waiting"),
    (_start_twice, "history-illegal", "held"),
    (_start_of_another, "history-illegal", "held"),
    (_time_back, "turn-time", "done"),
    (_time_of_metadata, "turn-time", "held"),
    (_epoch_back, "epoch-order", "waiting"),
    (_epoch_ahead, "epoch-ahead", f"shard {shard_of('waiting', SHARDS)}"),
    (_early_timer, "timer-early", "waiting"),
    (_message_gone, "inbox-numbers", "held"),
    (_message_twice, "inbox-numbers", "held"),
    (_garbage_message, "inbox-unreadable", "held"),
    (_reminder_of_no_timer, "reminder-void", "waiting"),
    (_reminder_of_another_life, "reminder-void", "waiting"),
    (_reminder_after_the_end, "reminder-void", "done"),
    (_delay_without_reminder, "reminder-lost", "later"),
    (_no_retention, "retention-lost", "done"),
    (_call_lost, "activity-lost", "waiting"),
    (_call_of_nothing, "activity-void", "waiting"),
    (_call_and_result, "activity-void", "waiting"),
    (_too_many_attempts, "activity-attempts", "waiting"),
    (_half_a_call, "orphan", f"shard {shard_of('waiting', SHARDS)}"),
    (_child_gone, "child-lost", "waiting"),
    (_child_of_another, "child-lost", "waiting"),
    (_child_unasked, "child-parent", "held"),
    (_child_answered, "child-parent", "waiting/kid"),
    (_child_outlives, "terminate-lost", "tree"),
    (_entries_of_nobody, "orphan", "nobody"),
    (_reminder_of_nobody, "orphan", "nobody"),
    (_index_of_nobody, "orphan", "nobody"),
    (_index_of_another_status, "index-differs", "held"),
    (_index_missing, "index-differs", "held"),
    (_mark_missing, "ready-lost", "renewed"),
    (_mark_on_hold, "ready-void", "held"),
    (_mark_for_nothing, "ready-void", "done"),
    (_mark_of_another_version, "orphan", "renewed"),
    (_resume_unseen, "ready-lost", "held"),
    (_lease_without_token, "lease-record", "shard 0"),
    (_outbox_ahead, "outbox-numbers", "shard 0"),
    (_outbox_astray, "outbox-numbers", "shard 0"),
    (_garbage_outbox, "outbox-unreadable", "shard 0"),
    (_received_ahead, "outbox-numbers", "shard 0"),
    (_seen_tomorrow, "seen-moment", "shard 0"),
    (_shard_too_many, "orphan", "the store"),
]


@pytest.mark.parametrize(("corrupt", "rule", "subject"), CORRUPTIONS, ids=lambda part: getattr(part, "__name__", None))
async def test_each_broken_record_is_named(
    broken: Broken, corrupt: Callable[[Broken], None], rule: str, subject: str
) -> None:
    """What one corruption breaks is found, by its rule and at its place, and nothing else is."""
    corrupt(broken)
    named = subject if subject.startswith(("shard", "the store")) else f"instance '{subject}'"
    assert await broken.rules() == {(rule, named)}


async def test_every_rule_of_the_store_alone_has_its_corruption() -> None:
    """The table above breaks every rule that needs nothing but the store."""
    beside = {
        "result-differs", "event-lost", "event-twice", "event-order", "start-lost", "start-differs",
        "activity-unseen", "activity-key", "plaintext", "not-ended", "backlog", "open-count",
    }  # fmt: skip
    assert {rule for _, rule, _ in CORRUPTIONS} | beside == set(RULES)


async def test_what_changes_between_two_looks_is_no_finding(broken: Broken) -> None:
    """A finding is believed only if it is found again: what a live store shows from two sides is not reported."""

    class Moving(MemoryAudit):
        """Repairs itself before the second look."""

        async def strays(self) -> list[Defect]:
            self.looks = getattr(self, "looks", 0) + 1
            if self.looks == 2:
                broken.entries("done").ready.remove("done")
            return await super().strays()

    broken.entries("done").ready.set("done", 1)
    report = await verify(Moving(broken.state), Plan(pauses_seconds=(0.0, 0.0)))
    assert (report.findings, report.unsettled) == ([], 0)


async def test_what_never_stands_still_is_counted_not_reported(broken: Broken) -> None:
    """What looks wrong every time, but each time at another point of its instance, is not settled."""

    class Moving(MemoryAudit):
        async def strays(self) -> list[Defect]:
            broken.head("done", commit_id=f"{broken.instance('done').head.commit_id}x")
            return await super().strays()

    broken.entries("done").ready.set("done", 1)
    report = await verify(Moving(broken.state), Plan(pauses_seconds=(0.0, 0.0)))
    assert (report.findings, report.unsettled, report.passes) == ([], 1, 3)


def test_the_page_names_every_rule() -> None:
    """docs/verify.md has the table of rules as they are."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "verify.md").read_text(encoding="utf-8")
    rows = [f"| {rule.invariant} | `{name}` | {rule.claim} |" for name, rule in RULES.items()]
    assert re.findall(r"^\| [IL]\d+ \| .*$", page, re.MULTILINE) == rows
    invariants = [rule.invariant for rule in RULES.values()]
    assert invariants == sorted(invariants, key=lambda name: (name[0], int(name[1:])))
