"""Which instances of a shard match a filter: read from the narrowest index, newest first, checked against the rest.

An index names ids by creation time. The id of a listed instance is read again with its record, for it may have been
purged in between; a filter by name and by several statuses is joined by asking the other index for each id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenuto_engine.ports.records import InstanceFilter, Listed
from tenuto_engine.storage.redis.keys import ShardKeys
from tenuto_engine.storage.redis.nodes import Reading
from tenuto_engine.storage.redis.reads import RedisReads

# Index entries looked at in one round trip. Filters that match rarely take several.
_PAGE = 200


class RedisListing(RedisReads):
    """Reads with the visibility query."""

    async def list_instances(self, shard: int, wanted: InstanceFilter) -> list[Listed]:
        """See the port. An instance created or purged while listing may be in the answer or not."""
        keys = self._keys[shard]
        listed: list[Listed] = []
        cursor = wanted.before
        while len(listed) < wanted.limit:
            page = await _read_page(self._links, keys, wanted, cursor)
            if not page:
                break
            created, instance_id = page[-1]
            cursor = (created, instance_id)
            matching = await _match_statuses(self._links, keys, wanted, page)
            stored = await self.read_instances(shard, [instance_id for _, instance_id in matching])
            for (created_at_ms, instance_id), record in zip(matching, stored, strict=True):
                if record is not None:
                    listed.append(Listed(instance_id, created_at_ms, record))
        return listed[: wanted.limit]


def _main_index(keys: ShardKeys, wanted: InstanceFilter) -> str:
    if wanted.name:
        return keys.name(wanted.name)
    if len(wanted.statuses) == 1:
        return keys.status(next(iter(wanted.statuses)))
    return keys.all


async def _read_page(
    links: Reading, keys: ShardKeys, wanted: InstanceFilter, cursor: tuple[int, str] | None
) -> list[tuple[int, str]]:
    """The next entries of the main index below the cursor that lie in the time range and have the id's prefix."""
    index = _main_index(keys, wanted)
    lowest = wanted.created_from_ms or "-inf"
    highest = f"({wanted.created_to_ms}" if wanted.created_to_ms else "+inf"
    skipped = 0
    if cursor is not None and (not wanted.created_to_ms or cursor[0] < wanted.created_to_ms):
        highest = str(cursor[0])
    while True:
        (reply,) = await links.ask(("ZREVRANGEBYSCORE", index, highest, lowest, "WITHSCORES", "LIMIT", skipped, _PAGE))
        if not reply:
            return []
        entries = [(int(float(reply[i + 1])), reply[i].decode()) for i in range(0, len(reply), 2)]
        if cursor is not None:
            entries = [entry for entry in entries if _is_below(entry, cursor)]
        if entries:
            return entries
        # Many instances made in one millisecond: go on behind those that were listed already.
        skipped += _PAGE


def _is_below(entry: tuple[int, str], cursor: tuple[int, str]) -> bool:
    return entry[0] < cursor[0] or (entry[0] == cursor[0] and entry[1].encode() < cursor[1].encode())


async def _match_statuses(
    links: Reading, keys: ShardKeys, wanted: InstanceFilter, page: Sequence[tuple[int, str]]
) -> list[tuple[int, str]]:
    entries = [entry for entry in page if entry[1].startswith(wanted.id_prefix)]
    statuses = sorted(wanted.statuses)
    if not entries or not statuses or (len(statuses) == 1 and not wanted.name):
        return entries
    commands: list[tuple[Any, ...]] = [
        ("ZSCORE", keys.status(status), instance_id) for _, instance_id in entries for status in statuses
    ]
    scores = await links.ask(*commands)
    width = len(statuses)
    return [
        entry
        for i, entry in enumerate(entries)
        if any(score is not None for score in scores[i * width : (i + 1) * width])
    ]
