"""Reading a store and judging it, and again: a live store is never one moment.

One pass reads shard after shard while engines change them, so what looks wrong may have been a moment's view from two
sides. A finding is believed when it is found again, in every further pass, with its subject standing where it stood.
One whose subject moves on all the time is not settled: it is counted, not believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from tenuto_engine.core.status import TERMINAL, Hold
from tenuto_engine.ports.audit import AuditedStore, AuditInfo, InstanceAudit, ShardAudit
from tenuto_engine.ports.errors import UnreadableRecord
from tenuto_engine.verify.clients import Clients, check_clients, check_missing
from tenuto_engine.verify.entries import (
    Entries,
    check_entries,
    check_orphans,
    entries_by_instance,
    timers_without_reminder,
)
from tenuto_engine.verify.facts import Facts, read_facts
from tenuto_engine.verify.findings import Finding, Found
from tenuto_engine.verify.histories import check_history, last_epoch
from tenuto_engine.verify.ledger import Ledger, check_ledger
from tenuto_engine.verify.relations import Member, OnTheWay, check_relations, member_of, read_outbox
from tenuto_engine.verify.shards import Tally, check_received, check_shard, check_visible, count, visible_by_instance

# A moment's view goes away by itself within a few commits. Whatever is on its way between two instances passes two
# places while neither of them moves, so three further looks are enough.
_PAUSES_SECONDS = (0.2, 0.5, 1.0)


class Plan(msgspec.Struct, frozen=True):
    """What to judge by beside the store.

    `settled`: the caller knows that everything that can end has ended: nothing may be open or on its way.
    `plaintext`: no record may show it; empty for none. `pauses_seconds`: before each further look.
    """

    clients: Clients | None = None
    ledger: Ledger | None = None
    settled: bool = False
    plaintext: bytes = b""
    pauses_seconds: tuple[float, ...] = _PAUSES_SECONDS


class Counts(msgspec.Struct):
    """How much was looked at. `unarmed_timers`: open, without reminder: cancelled, which leaves no record, or lost."""

    shards: int = 0
    instances: int = 0
    ended: int = 0
    events: int = 0
    unread: int = 0
    reminders: int = 0
    activities: int = 0
    outbox: int = 0
    unarmed_timers: int = 0


class Report(msgspec.Struct, frozen=True):
    """What was found. `unsettled`: seen in every pass, but never twice at the same point of its subject."""

    store: AuditInfo
    counts: Counts
    findings: Sequence[Finding]
    unsettled: int
    passes: int


class _Pass(msgspec.Struct):
    """One reading of the whole store."""

    counts: Counts = msgspec.field(default_factory=Counts)
    findings: list[Finding] = []
    members: dict[str, Member] = {}
    way: OnTheWay = msgspec.field(default_factory=OnTheWay)
    shards: dict[int, ShardAudit] = {}


async def verify(store: AuditedStore, plan: Plan) -> Report:
    """Open a store, read it until what is found stands still, and close it.

    Raises: StoreRefused, StoreUnavailable.
    """
    try:
        info = await store.open()
        look = await _look(store, info.shards, plan)
        believed, recurring, passes = set(look.findings), _unstamped(look.findings), 1
        for pause in plan.pauses_seconds:
            if not believed and not recurring:
                break
            await asyncio.sleep(pause)
            look = await _look(store, info.shards, plan)
            believed &= set(look.findings)
            recurring &= _unstamped(look.findings)
            passes += 1
    finally:
        await store.close()
    return Report(info, look.counts, sorted(believed), len(recurring - _unstamped(believed)), passes)


def _unstamped(findings: Iterable[Finding]) -> set[Finding]:
    return {replace(finding, stamp="") for finding in findings}


async def _look(store: AuditedStore, shards: int, plan: Plan) -> _Pass:
    look = _Pass(Counts(shards=shards))
    strays = Found(-1, "the store")
    for defect in await store.strays():
        strays.add("orphan", defect.where, expected="a shard of this app", found=defect.problem)
    look.findings += strays.findings
    for number in range(shards):
        await _look_at_shard(store, number, look, plan, shards=shards)
    look.findings += check_relations(look.members, look.way)
    for found in check_received(look.shards):
        look.findings += found.findings
    if plan.clients is not None:
        missing = [name for name in plan.clients.instances() if name not in look.members]
        look.findings += [finding for name in missing for finding in check_missing(plan.clients, name)]
    if plan.ledger is not None:
        look.findings += plan.ledger.check_keys()
    return look


async def _look_at_shard(store: AuditedStore, number: int, look: _Pass, plan: Plan, *, shards: int) -> None:
    shard = await store.audit_shard(number)
    # What is compared across shards stays; the rest would be the whole store in memory.
    look.shards[number] = ShardAudit([], {}, [], shard.outbox_last, shard.received, [], [])
    entries, visible = entries_by_instance(shard), visible_by_instance(shard)
    tally = Tally()
    for instance_id in shard.instances:
        audit = await _read_instance(store, number, instance_id, look)
        if audit is None:
            continue
        facts = read_facts(number, audit)
        kept = entries.pop(instance_id, Entries())
        check_history(facts)
        check_entries(facts, kept)
        check_visible(facts, audit.index, visible.pop(instance_id, ()))
        count(tally, facts, last_epoch(facts))
        _check_beside(facts, audit, plan)
        _count(look.counts, facts, kept)
        look.members[instance_id] = member_of(facts)
        look.findings += facts.found.findings
    for instance_id in sorted({*entries, *visible}):
        found = Found(number, f"instance '{instance_id}'")
        check_orphans(found, entries.get(instance_id, Entries()))
        for entry in visible.get(instance_id, ()):
            found.add("orphan", f"index:{entry.index}", expected="nothing, for the instance is gone", found="an entry")
        look.findings += found.findings
    found = check_shard(number, shard, tally, now_ms=await store.now_ms())
    read_outbox(found, shard.outbox, last=shard.outbox_last, shards=shards, way=look.way)
    look.counts.outbox += len(shard.outbox)
    if plan.settled and shard.outbox:
        found.add("backlog", "outbox", expected="no message", found=f"{len(shard.outbox)} messages")
    if plan.plaintext:
        _search(found, plan.plaintext, _bodies(shard))
    look.findings += found.findings


async def _read_instance(store: AuditedStore, number: int, instance_id: str, look: _Pass) -> InstanceAudit | None:
    try:
        return await store.audit_instance(number, instance_id)
    except UnreadableRecord as error:
        found = Found(number, f"instance '{instance_id}'")
        found.add("history-unreadable", "record", expected="the record of an instance", found=error)
        look.findings += found.findings
        return None


def _check_beside(facts: Facts, audit: InstanceAudit, plan: Plan) -> None:
    """What only the caller knows: acknowledgements, runs of activities, that all is over, what must not be seen."""
    if plan.clients is not None:
        check_clients(plan.clients, facts)
    if plan.ledger is not None:
        check_ledger(plan.ledger, facts)
    if plan.settled and facts.head.status not in TERMINAL:
        hold = "" if facts.head.hold is Hold.NONE else f", on hold ({facts.head.hold.name})"
        text = f"{facts.head.status.name}{hold}, {len(facts.inbox)} unread messages"
        facts.found.add("not-ended", "metadata", expected="a terminal status", found=text)
    if plan.plaintext:
        _search(facts.found, plan.plaintext, [("metadata", audit.stored.metadata), *audit.records])


def _bodies(shard: ShardAudit) -> Iterable[tuple[str, bytes]]:
    for record in shard.outbox:
        yield f"outbox {record.number}", record.body
    for audit in shard.versions.values():
        for call in audit.activities:
            yield f"activity {call.key.event_id} of '{call.key.instance_id}'", call.data


def _search(found: Found, text: bytes, records: Iterable[tuple[str, bytes]]) -> None:
    for name, value in records:
        if text in value:
            found.add("plaintext", name, expected="the text nowhere", found=f"it, at byte {value.index(text)}")


def _count(counts: Counts, facts: Facts, kept: Entries) -> None:
    counts.instances += 1
    counts.ended += facts.is_over
    counts.events += len(facts.history)
    counts.unread += 0 if facts.is_over else len(facts.inbox)
    counts.reminders += len(kept.reminders)
    counts.activities += len(kept.activities)
    counts.unarmed_timers += timers_without_reminder(facts, kept)
