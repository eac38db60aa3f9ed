"""What belongs to a shard as a whole: visibility, counts, leases, numbers, orphans (I3, I4, I15, I16)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.ports.audit import ShardAudit, Visible
from tenuto_engine.ports.records import IndexEntry
from tenuto_engine.verify.facts import Facts
from tenuto_engine.verify.findings import Found

# The clocks of a server and of what replaced it may differ by this much.
_CLOCKS_APART_MS = 60_000


class Tally(msgspec.Struct):
    """What is counted while the instances of a shard are read one by one."""

    open_counts: Counter[str] = msgspec.field(default_factory=Counter[str])
    highest_epochs: dict[str, int] = {}


def count(tally: Tally, facts: Facts, epoch: int) -> None:
    """Take an instance into the tally of its shard."""
    version = facts.head.version
    if facts.head.status not in TERMINAL:
        tally.open_counts[version] += 1
    tally.highest_epochs[version] = max(tally.highest_epochs.get(version, 0), epoch)


def visible_by_instance(shard: ShardAudit) -> dict[str, list[Visible]]:
    """Sort the visibility indexes by the instance they name."""
    named: defaultdict[str, list[Visible]] = defaultdict(list)
    for entry in shard.visible:
        named[entry.instance_id].append(entry)
    return dict(named)


def check_visible(facts: Facts, index: IndexEntry, entries: Iterable[Visible]) -> None:
    """An instance stands in the index of all, of its name and of its status, and in no other."""
    found, head, body = facts.found, facts.head, facts.body
    if facts.is_whole:
        known = (body.name, Status(head.status).name, body.created_at_ms)
        found.expect(
            "index-differs", "index", expected=known, found=(index.name, index.status.name, index.created_at_ms)
        )
    wanted = dict.fromkeys(("all", f"name:{index.name}", f"status:{head.status:d}"), index.created_at_ms)
    there = {entry.index: entry.created_at_ms for entry in entries}
    for name in sorted({*wanted, *there}):
        found.expect(
            "index-differs", f"index:{name}", expected=wanted.get(name, "no entry"), found=there.get(name, "no entry")
        )


def check_shard(number: int, shard: ShardAudit, tally: Tally, *, now_ms: int) -> Found:
    """Judge the records that no instance owns. The stamp of each finding is what was read."""
    found = Found(number, f"shard {number}")
    for defect in shard.defects:
        found.add("orphan", defect.where, expected="what the operations of a store leave", found=defect.problem)
    _check_leases(found, shard, tally)
    if shard.open_counts is not None:
        for version in sorted({*shard.open_counts, *tally.open_counts}):
            found.expect(
                "open-count",
                f"open instances of version {version!r}",
                expected=tally.open_counts[version],
                found=shard.open_counts.get(version, 0),
            )
    late = [(command_id, at_ms) for command_id, at_ms in shard.seen if at_ms > now_ms + _CLOCKS_APART_MS]
    for command_id, at_ms in late:
        found.add("seen-moment", f"seen {command_id}", expected="a moment before the store's now", found=at_ms)
    return found


def _check_leases(found: Found, shard: ShardAudit, tally: Tally) -> None:
    for version, audit in shard.versions.items():
        lease = audit.lease
        if lease is None:
            continue
        record = f"lease:{version}"
        if bool(lease.owner) != bool(lease.token) or lease.epoch < 1:
            text = f"owner {lease.owner!r}, epoch {lease.epoch}, {'a' if lease.token else 'no'} token"
            found.add("lease-record", record, expected="owner and token, or neither; an epoch from 1", found=text)
        highest = tally.highest_epochs.get(version, 0)
        if highest > lease.epoch:
            found.add("epoch-ahead", record, expected=f"at least {highest}, which a turn has", found=lease.epoch)


def check_received(shards: dict[int, ShardAudit]) -> Iterable[Found]:
    """No shard has taken a higher number from another than that one has given."""
    for number, shard in shards.items():
        found = Found(number, f"shard {number}")
        for source, highest in shard.received.items():
            given = shards[source].outbox_last if source in shards else 0
            if highest > given:
                text = f"at most {given}, the last that shard {source} has given"
                found.add("outbox-numbers", f"received from {source}", expected=text, found=highest)
        yield found
