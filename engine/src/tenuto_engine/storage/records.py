"""Names of an instance's records, the same in every database and in the lesson: `history-000003`, `inbox-000000`.

Six digits are the least: numbers above 999,999 are longer, so names are computed and compared, never ranged over.
"""

from __future__ import annotations

from tenuto_engine.ports.records import IndexEntry

METADATA = "metadata"
CUSTOM_STATUS = "customStatus"


def history_name(index: int) -> str:
    return f"history-{index:06d}"


def inbox_name(number: int) -> str:
    return f"inbox-{number:06d}"


def instance_key(key_prefix: str, app: str, shard: int, instance_id: str) -> str:
    """Return the name of an instance's record for people: where Redis keeps it, and what other stores show."""
    return f"{key_prefix}:{{{app}/{shard}}}:instance:{instance_id}"


def visible_in(index: IndexEntry | None) -> list[str]:
    """Return the visibility indexes that name an instance with this entry; `all` alone where it has none."""
    return ["all"] if index is None else ["all", f"name:{index.name}", f"status:{index.status:d}"]
