"""The Redis store, opened to look at: every key of the app, also those that no operation would read.

Keys are found by SCAN, because a key that nothing names any more is what an audit is for. All reads are pages, so that
a large store never holds the server up. Nothing here writes, and no script needs to be loaded.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from tenuto_engine.ports.audit import (
    AuditInfo,
    Defect,
    InstanceAudit,
    ShardAudit,
    StoredLease,
    VersionAudit,
    Visible,
)
from tenuto_engine.ports.errors import LayoutTooNew, StoreRefused, UnreadableRecord
from tenuto_engine.ports.records import ActivityRecord, IndexEntry, OutboxRecord, ReminderKey, Stored
from tenuto_engine.storage.redis.address import Place, parse_address
from tenuto_engine.storage.redis.cluster import Cluster
from tenuto_engine.storage.redis.keys import Keys, ShardKeys, read_activity, read_metadata, read_reminder, read_text
from tenuto_engine.storage.redis.link import Link, Locator
from tenuto_engine.storage.redis.nodes import Node, Reading, SentinelLocator
from tenuto_engine.storage.redis.server import LAYOUT_VERSION

_PAGE = 1_000
# How often an instance that changes while it is read is read again; the auditor judges only what held still.
_TRIES = 5
# What is not a record: the numbering, the index entry, and the reminders that the closing commit set.
_OWN_FIELDS = frozenset({"metadata", "inbox", "index", "retained"})
# The names under which a shard keeps something. The first is followed by an instance id, the second group by a
# version, `index` by the name of an index; the others stand alone.
_KNOWN = re.compile(
    r"(?s)(?:(?P<kind>instance|lease|ready|reminders|activities|activities-look|index):(?P<rest>.*)"
    r"|(?P<alone>outbox|outbox-last|received|seen|confirmed))"
)


class RedisAudit:
    """Implements `tenuto_engine.ports.audit.AuditedStore`.

    Args:
        keys: the names of the app's keys.
        links: connections to read over; closed with the audit, as is `locator`.
    """

    def __init__(self, keys: Keys, links: Reading, *, locator: Locator | None = None) -> None:
        self._keys = keys
        self._links = links
        self._locator = locator
        first = keys[0].base.removesuffix("0}:")
        self._shard_of_key = re.compile(rf"{re.escape(first)}(\d+)\}}:(?s:(.*))")
        self._pattern = first + "*"
        self._found: dict[int, set[str]] = {}
        self._strays: list[Defect] = []
        self._shards = 0

    async def open(self) -> AuditInfo:
        layout = self._keys.layout
        replies: list[Any] = await self._links.ask(
            ("HGET", layout, "version"), ("HGET", layout, "shards"), ("INFO", "server")
        )
        version, shards, facts = replies
        if version is None or shards is None:
            if await self._has_keys():
                raise StoreRefused(
                    f"the layout record {layout} is lost, but keys of its shards are there; restore a backup, or start"
                    " an engine with the --shards that the store was made with, which writes the record anew"
                )
            raise StoreRefused(f"there is no store under {layout}; check --state-store, --app and --key-prefix")
        if not version.isdigit() or not shards.isdigit():
            raise StoreRefused(f"the layout record {layout} is not one of ours: {version!r}, {shards!r}")
        if int(version) > LAYOUT_VERSION:
            raise LayoutTooNew(
                f"{layout} has layout {int(version)}, this release knows layouts up to {LAYOUT_VERSION};"
                " verify it with the release that wrote it"
            )
        self._shards = int(shards)
        release = re.search(rb"(?:redis|valkey)_version:([0-9.]+)", facts)
        return AuditInfo(f"Redis {release[1].decode() if release else '?'}", int(version), self._shards)

    async def close(self) -> None:
        await self._links.close()
        if self._locator is not None:
            await self._locator.close()

    async def now_ms(self) -> int:
        ((seconds, micros),) = await self._links.ask(("TIME",))
        return int(seconds) * 1000 + int(micros) // 1000

    # -- which keys there are --------------------------------------------------------------------------------------

    async def _look_around(self) -> None:
        """Find the names of all keys of all shards. A live store's are a few moments old when they are used."""
        found: defaultdict[int, set[str]] = defaultdict(set)
        strays: set[Defect] = set()
        for part in await self._links.parts():
            async for key in self._scan(part):
                parts = self._shard_of_key.fullmatch(key)
                if parts is None or int(parts[1]) >= self._shards:
                    strays.add(Defect(key, f"belongs to no shard of this app, which has {self._shards}"))
                else:
                    found[int(parts[1])].add(parts[2])
        self._found = {shard: found[shard] for shard in range(self._shards)}
        self._strays = sorted(strays)

    async def _scan(self, part: Reading) -> AsyncIterator[str]:
        """The names of all keys of the app's shards on one server, some of them twice."""
        cursor: bytes | int = 0
        while True:
            ((cursor, page),) = await part.ask(("SCAN", cursor, "MATCH", self._pattern, "COUNT", _PAGE))
            for raw in page:
                yield raw.decode(errors="replace")
            if int(cursor) == 0:
                return

    async def _has_keys(self) -> bool:
        for part in await self._links.parts():
            async for _ in self._scan(part):
                return True
        return False

    async def strays(self) -> list[Defect]:
        await self._look_around()
        return self._strays

    async def _names(self, shard: int) -> set[str]:
        """The names of one shard's keys; looks again where they were given out before."""
        if shard not in self._found:
            await self._look_around()
        return self._found.pop(shard)

    # -- one shard -------------------------------------------------------------------------------------------------

    async def audit_shard(self, shard: int) -> ShardAudit:
        keys, names = self._keys[shard], await self._names(shard)
        instances, versions, indexes, defects = {""}, {""}, set[str](), list[Defect]()
        for name in names:
            parts = _KNOWN.fullmatch(name)
            if parts is None:
                defects.append(Defect(keys.base + name, "no release of this driver writes a key of this name"))
            elif parts["kind"] == "instance":
                instances.add(parts["rest"])
            elif parts["kind"] == "index":
                indexes.add(parts["rest"])
            elif parts["kind"] is not None:
                versions.add(parts["rest"])
        visible = await self._visible(keys, {*indexes, "all"} - {"open"})
        # An index may name an instance that was made after the keys were looked for.
        instances |= {entry.instance_id for entry in visible}
        audited: dict[str, VersionAudit] = {}
        for version in sorted(versions):
            audit = await self._version(keys, version, defects)
            if audit != VersionAudit():
                audited[version] = audit
        outbox, last, received, counts = await self._shared(keys)
        return ShardAudit(
            instances=sorted(await self._existing(keys, instances - {""})),
            versions=audited,
            outbox=outbox,
            outbox_last=last,
            received=received,
            seen=sorted([(member.decode(), score) async for member, score in self._scores(keys.seen)]),
            visible=visible,
            open_counts=counts,
            defects=sorted(defects),
        )

    async def _existing(self, keys: ShardKeys, ids: set[str]) -> list[str]:
        wanted = sorted(ids)
        existing: list[str] = []
        for first in range(0, len(wanted), _PAGE):
            page = wanted[first : first + _PAGE]
            replies = await self._links.ask(*[("EXISTS", keys.instance(instance_id)) for instance_id in page])
            existing += [instance_id for instance_id, reply in zip(page, replies, strict=True) if reply]
        return existing

    async def _visible(self, keys: ShardKeys, indexes: set[str]) -> list[Visible]:
        return sorted(
            [
                Visible(index, member.decode(), score)
                for index in sorted(indexes)
                async for member, score in self._scores(f"{keys.base}index:{index}")
            ]
        )

    async def _version(self, keys: ShardKeys, version: str, defects: list[Defect]) -> VersionAudit:
        (lease,) = await self._links.ask(("HMGET", keys.lease(version), "owner", "epoch", "token", "expiry"))
        ready = [(member.decode(), score) async for member, score in self._scores(keys.ready(version))]
        reminders: list[tuple[ReminderKey, int]] = []
        async for member, score in self._scores(keys.reminders(version)):
            try:
                reminders.append((read_reminder(member), score))
            except ValueError:
                defects.append(Defect(keys.reminders(version), f"the member {member!r} is no reminder"))
        return VersionAudit(
            lease=None if lease[1] is None else _lease(lease),
            ready=sorted(ready),
            reminders=sorted(reminders),
            activities=sorted(await self._activities(keys, version, defects), key=lambda record: record.key),
        )

    async def _activities(self, keys: ShardKeys, version: str, defects: list[Defect]) -> list[ActivityRecord]:
        where = keys.activities(version)
        looks = {member: score async for member, score in self._scores(keys.look(version))}
        records: list[ActivityRecord] = []
        async for member, value in self._fields(where):
            look_at_ms = looks.pop(member, None)
            try:
                records.append(read_activity(member, value, look_at_ms or 0))
            except ValueError:
                defects.append(Defect(where, f"the field {member!r} is no activity entry"))
                continue
            if look_at_ms is None:
                defects.append(Defect(where, f"the call {member.decode()!r} is not in {keys.look(version)}"))
        defects += [
            Defect(keys.look(version), f"the call {member.decode()!r} has no entry in {where}") for member in looks
        ]
        return records

    async def _shared(self, keys: ShardKeys) -> tuple[list[OutboxRecord], int, dict[int, int], dict[str, int]]:
        outbox: list[OutboxRecord] = []
        async for member, _ in self._scores(keys.outbox):
            number, target, body = member.split(b" ", 2)
            outbox.append(OutboxRecord(int(number), int(target), body))
        received = {int(source): int(number) async for source, number in self._fields(keys.received)}
        counts = {read_text(version.decode()): int(count) async for version, count in self._fields(keys.open)}
        # Last, for it only rises: a message read before it can never be above it.
        (last,) = await self._links.ask(("GET", keys.outbox_last))
        outbox.sort(key=lambda record: record.number)
        return outbox, int(last or 0), dict(sorted(received.items())), dict(sorted(counts.items()))

    # -- one instance ----------------------------------------------------------------------------------------------

    async def audit_instance(self, shard: int, instance_id: str) -> InstanceAudit | None:
        key = self._keys[shard].instance(instance_id)
        command = ("HMGET", key, "metadata", "inbox", "index")
        (head,) = await self._links.ask(command)
        fields: dict[str, bytes] = {}
        for _ in range(_TRIES):
            fields = {name.decode(errors="replace"): value async for name, value in self._fields(key)}
            (after,) = await self._links.ask(command)
            if after == head:
                break
            head = after
        metadata, inbox, index = head
        if metadata is None and not fields:
            return None
        if metadata is None or inbox is None or index is None:
            raise UnreadableRecord(f"{key} lacks one of its fields metadata, inbox, index; it has {sorted(fields)[:5]}")
        try:
            stored, body = read_metadata(metadata)
            number = int(inbox.partition(b" ")[0])
            created, _, name = index.decode().partition(" ")
            entry = IndexEntry(name, stored.status, int(created))
        except ValueError as error:
            raise UnreadableRecord(f"{key} has fields that are not ours: {error}") from error
        records = sorted((name, value) for name, value in fields.items() if name not in _OWN_FIELDS)
        return InstanceAudit(instance_id, Stored(stored, body, number), entry, records)

    # -- pages -----------------------------------------------------------------------------------------------------

    async def _scores(self, key: str) -> AsyncIterator[tuple[bytes, int]]:
        """The members of a sorted set with their scores, in order."""
        first = 0
        while True:
            (reply,) = await self._links.ask(("ZRANGE", key, first, first + _PAGE - 1, "WITHSCORES"))
            for i in range(0, len(reply), 2):
                yield reply[i], int(float(reply[i + 1]))
            if len(reply) < 2 * _PAGE:
                return
            first += _PAGE

    async def _fields(self, key: str) -> AsyncIterator[tuple[bytes, bytes]]:
        """The fields of a hash with their values, each once."""
        cursor: bytes | int = 0
        seen: set[bytes] = set()
        while True:
            ((cursor, reply),) = await self._links.ask(("HSCAN", key, cursor, "COUNT", _PAGE))
            for i in range(0, len(reply), 2):
                if reply[i] not in seen:
                    seen.add(reply[i])
                    yield reply[i], reply[i + 1]
            if int(cursor) == 0:
                return


def _lease(fields: list[Any]) -> StoredLease:
    owner, epoch, token, expiry = fields
    return StoredLease((owner or b"").decode(), int(epoch), (token or b"").decode(), int(float(expiry or 0)))


def audit_redis(url: str, *, app: str, key_prefix: str, timeout_s: float = 5.0) -> RedisAudit:
    """Make the audit of one app's state. Arguments as of `RedisStore`."""
    address = parse_address(url)
    locator = SentinelLocator(address) if address.kind == "sentinel" else None

    def make(place: Place) -> Node:
        return Node(address, place, timeout_s=timeout_s, prepare=_refuse_writing, prepare_read=None, locate=locator)

    links: Reading
    if address.kind == "cluster":
        links = Cluster(address.places, make, patience_s=timeout_s)
    else:
        links = make(address.first).readers
    return RedisAudit(Keys(key_prefix, app), links, locator=locator)


async def _refuse_writing(_node: Node, _link: Link) -> None:
    raise StoreRefused("an audit writes nothing")
