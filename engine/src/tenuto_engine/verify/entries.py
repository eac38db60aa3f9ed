"""What a shard looks after for an instance, against what the instance waits for (I5, I6, I7, L1, L5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from tenuto_engine.codec.events import UndecodableError
from tenuto_engine.codec.records import ActivityBody, decode_activity
from tenuto_engine.core import events as e
from tenuto_engine.core.decide import CONTROL
from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.audit import ShardAudit
from tenuto_engine.ports.records import ActivityRecord, ReminderKey
from tenuto_engine.runtime.births import START_REMINDER
from tenuto_engine.runtime.turn_commit import RETENTION_REMINDER, TIMER_REMINDER, WAKE_REMINDER
from tenuto_engine.verify.facts import Facts
from tenuto_engine.verify.findings import Found

_KINDS = (TIMER_REMINDER, START_REMINDER, WAKE_REMINDER, RETENTION_REMINDER)


class Entries(msgspec.Struct):
    """What one shard keeps for one instance, with the version under which it is kept."""

    ready: list[tuple[str, int]] = []
    reminders: list[tuple[str, ReminderKey, int]] = []
    activities: list[tuple[str, ActivityRecord]] = []


def entries_by_instance(shard: ShardAudit) -> dict[str, Entries]:
    """Sort a shard's entries by the instance they name."""
    kept: defaultdict[str, Entries] = defaultdict(Entries)
    for version, audit in shard.versions.items():
        for instance_id, at_ms in audit.ready:
            kept[instance_id].ready.append((version, at_ms))
        for key, due_at_ms in audit.reminders:
            kept[key.instance_id].reminders.append((version, key, due_at_ms))
        for record in audit.activities:
            kept[record.key.instance_id].activities.append((version, record))
    return dict(kept)


def check_orphans(found: Found, entries: Entries) -> None:
    """Judge the entries of an instance that does not exist."""
    for version, _ in entries.ready:
        found.add("orphan", f"ready:{version}", expected="nothing, for the instance is gone", found="a ready mark")
    for version, key, due_at_ms in entries.reminders:
        text = f"{key.kind} {key.event_id}, due at {due_at_ms}"
        found.add("orphan", f"reminders:{version}", expected="nothing, for the instance is gone", found=text)
    for version, record in entries.activities:
        text = f"call {record.key.event_id}, attempt {record.attempt}"
        found.add("orphan", f"activities:{version}", expected="nothing, for the instance is gone", found=text)


def check_entries(facts: Facts, entries: Entries) -> None:
    """Judge what a shard keeps for an instance: neither more nor less than it waits for."""
    _check_versions(facts, entries)
    _check_inbox(facts)
    if facts.is_whole:
        _check_reminders(facts, [(key, due) for _, key, due in entries.reminders])
        _check_activities(facts, [record for _, record in entries.activities])
    _check_mark(facts, is_marked=bool(entries.ready))


def _check_versions(facts: Facts, entries: Entries) -> None:
    version = facts.head.version
    kept = [("ready", v, "orphan") for v, _ in entries.ready]
    kept += [("reminders", v, "reminder-void") for v, _, _ in entries.reminders]
    kept += [("activities", v, "activity-void") for v, _ in entries.activities]
    for where, under, rule in sorted(set(kept)):
        if under != version:
            facts.found.add(rule, f"{where}:{under}", expected=f"under version {version!r}", found="an entry here")


def _check_inbox(facts: Facts) -> None:
    """The numbering, what was taken, and the records that are there agree."""
    found, head = facts.found, facts.head
    numbers = [message.number for message in facts.inbox]
    if not facts.is_whole:
        return
    unread = facts.inbox_next - head.taken
    found.expect("inbox-numbers", "inbox", expected=f"{unread} unread", found=f"{len(numbers)} unread")
    for number in numbers:
        if not head.inbox_low <= number < facts.inbox_next:
            text = f"{head.inbox_low} to {facts.inbox_next - 1}"
            found.add("inbox-numbers", f"inbox-{number:06d}", expected=f"a number in {text}", found=number)


def unread_of(facts: Facts, kinds: tuple[type, ...]) -> set[int]:
    """The operations of this execution whose result of these kinds waits in the inbox."""
    current = facts.head.execution_id
    return {
        message.event.event_id  # type: ignore[union-attr]
        for message in facts.inbox
        if isinstance(message.event, kinds) and message.body.execution_id in ("", current)
    }


def _check_reminders(facts: Facts, reminders: Sequence[tuple[ReminderKey, int]]) -> None:
    found, head, state = facts.found, facts.head, facts.state
    fired = unread_of(facts, (e.TimerFired,))
    kinds: set[str] = set()
    for key, due_at_ms in reminders:
        record = f"reminder {key.kind} {key.event_id}"
        kinds.add(key.kind)
        if key.execution_id != head.execution_id:
            found.add("reminder-void", record, expected=f"execution {head.execution_id}", found=key.execution_id)
        elif key.kind not in _KINDS:
            found.add("reminder-void", record, expected=f"one of {', '.join(_KINDS)}", found=key.kind)
        elif facts.is_over != (key.kind == RETENTION_REMINDER):
            text = "only that of its retention" if facts.is_over else "none of a retention before the end"
            found.add("reminder-void", record, expected=text, found=f"due at {due_at_ms}")
        elif key.kind == TIMER_REMINDER:
            due = None if key.event_id in fired else state.timers.get(key.event_id)
            if due != due_at_ms:
                text = "no such open timer" if due is None else f"due at {due}"
                found.add("reminder-void", record, expected=text, found=f"due at {due_at_ms}")
    if facts.is_over and RETENTION_REMINDER not in kinds:
        found.add("retention-lost", "reminders", expected="a retention reminder", found="none")
    woken = any(isinstance(message.event, e.WokenUp) for message in facts.inbox)
    if head.hold is Hold.DELAYED and not woken and not kinds & {START_REMINDER, WAKE_REMINDER}:
        found.add("reminder-lost", "reminders", expected="the reminder that ends the delay", found="none")


def timers_without_reminder(facts: Facts, entries: Entries) -> int:
    """Count open timers that no reminder will fire: cancelled, which leaves no record, or lost."""
    if facts.is_over:
        return 0
    armed = {key.event_id for _, key, _ in entries.reminders if key.kind == TIMER_REMINDER}
    return len(set(facts.state.timers) - armed - unread_of(facts, (e.TimerFired,)))


def _check_activities(facts: Facts, records: Sequence[ActivityRecord]) -> None:
    found, state = facts.found, facts.state
    kept: set[int] = set()
    open_calls = {} if facts.is_over else state.activities
    for record in records:
        where = f"activity {record.key.event_id}"
        scheduled = open_calls.get(record.key.event_id)
        if record.key.execution_id != facts.head.execution_id or scheduled is None:
            found.add("activity-void", where, expected="no such open call", found=f"attempt {record.attempt}")
            continue
        kept.add(record.key.event_id)
        event, index = scheduled
        body = _decode(found, where, record)
        if body is not None:
            found.expect("activity-void", where, expected=(event.name, index), found=(body.name, body.history_index))
        limit = event.retry.max_attempts if event.retry is not None else 1
        if record.attempt < 1 or (limit and record.attempt > limit):
            found.add("activity-attempts", where, expected=f"attempt 1 to {limit}", found=record.attempt)
    answered = unread_of(facts, (e.ActivityCompleted, e.ActivityFailed))
    for event_id in sorted(set(open_calls) - kept - answered):
        name = open_calls[event_id][0].name
        found.add("activity-lost", f"activity {event_id}", expected=f"the entry of {name}, or its result", found="none")
    for event_id in sorted(kept & answered):
        found.add("activity-void", f"activity {event_id}", expected="no entry, for its result is there", found="both")


def _decode(found: Found, where: str, record: ActivityRecord) -> ActivityBody | None:
    try:
        return decode_activity(record.data)
    except UndecodableError as error:
        found.add("history-unreadable", where, expected="bytes of a known encoding", found=error)
        return None


def _check_mark(facts: Facts, *, is_marked: bool) -> None:
    """The ready mark follows from status, hold, unread messages and an open turn."""
    head = facts.head
    controlled = any(isinstance(message.event, CONTROL) for message in facts.inbox)
    has_work = facts.inbox_next != head.taken or facts.body.open_turn
    wanted = not facts.is_over and (controlled if head.hold is not Hold.NONE else has_work)
    if wanted and not is_marked:
        text = f"{len(facts.inbox)} unread, hold {head.hold.name}"
        facts.found.add("ready-lost", "ready", expected="a ready mark", found=f"none; {text}")
    elif is_marked and not wanted:
        text = f"status {Status(head.status).name}, hold {head.hold.name}, {len(facts.inbox)} unread"
        facts.found.add("ready-void", "ready", expected="no ready mark", found=f"one; {text}")
