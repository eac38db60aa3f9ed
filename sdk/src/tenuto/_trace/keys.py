"""The records of the state store that one instance has, and what each kind is for."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final, cast

from tenuto._trace.model import StateKey
from tenuto._wire.records import StateRecord, StateRecords

_NUMBERED: Final = re.compile(r"^(history|inbox)-(\d{6,})$")

_MEANINGS: Final = {
    "metadata": "workflow name, version, status, execution id, history length, last commit; checked at every commit",
    "customStatus": "what the workflow last gave to set_custom_status",
    "history": "what happened, append-only: one record per event, never changed once written; replay reads these",
    "inbox": "arrived and not yet taken by a turn: results, timers, events; removed by the commit that records them",
    "inbox-numbering": "the number that the next inbox message gets",
}
_RELATED: Final = {
    "activit": "an activity call that is open: attempt, deliveries, deadlines; removed when its result is stored",
    "remind": "a wake-up at a moment of the store's clock; survives every process",
    "outbox": "a message for another shard that is not yet delivered",
    "ready": "marks the instance as having unread messages",
}


def inbox_records(records: StateRecords) -> list[StateRecord]:
    """Return the unread messages, in order of arrival."""
    return sorted((one for one in records.records if one.key.startswith("inbox-0")), key=lambda one: one.key)


def decoded(record: StateRecord) -> dict[str, Any]:
    """Return the engine's decoded form of a record; empty where there is none."""
    try:
        found: object = json.loads(record.json) if record.json else {}
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def state_keys(records: StateRecords, history: Sequence[tuple[str, int]]) -> tuple[StateKey, ...]:
    """Return the instance's records, runs of numbered ones as one entry.

    Args:
        records: as the engine showed them, possibly cut.
        history: keys and sizes in bytes of the history records, which are known even where `records` was cut.
    """
    sizes = {**{one.key: len(one.value) for one in records.records}, **dict(history)}
    found: list[StateKey] = []
    for kind in ("metadata", "customStatus"):
        if kind in sizes:
            found.append(StateKey(kind, 1, sizes.pop(kind), _MEANINGS[kind]))
    for kind in ("history", "inbox"):
        numbered = sorted(key for key in sizes if (match := _NUMBERED.match(key)) and match.group(1) == kind)
        if numbered:
            size = sum(sizes.pop(key) for key in numbered)
            found.append(StateKey(_range(numbered), len(numbered), size, _MEANINGS[kind]))
    found += [StateKey(key, 1, size, _MEANINGS.get(key, "")) for key, size in sorted(sizes.items())]
    found += [StateKey(one.key, 1, 0, _related_meaning(one.key)) for one in records.related]
    return tuple(found)


def _range(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]} … {keys[-1]}"


def _related_meaning(key: str) -> str:
    return next((meaning for word, meaning in _RELATED.items() if word in key.lower()), "an entry of the shard")
