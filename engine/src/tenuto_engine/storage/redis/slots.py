"""Which node of a cluster serves which keys: the slot map, and what a node says instead of an answer.

A cluster has 16,384 slots. All keys of a shard share a hash tag and so a slot; every command here touches keys of one
slot only. Pure: reading the map and following a redirection are tables, the connections are elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

from tenuto_engine.storage.redis.address import Place

# What a node answers instead of executing: the slot is elsewhere, on its way, or nobody's. Nothing was written.
NOT_HERE = (MovedError, AskError, TryAgainError, ClusterDownError)
# Words with the key in the first place; all others of ours name it next to the command's name.
_BEHIND_SCRIPT = frozenset({"EVAL", "EVALSHA"})
_KEYLESS = frozenset({"TIME", "PING", "SCRIPT", "PUBLISH", "INFO"})


def slot_of_key(key: str) -> int:
    return key_slot(key.encode())


def slot_of_command(command: Sequence[Any]) -> int | None:
    """The slot of the command's first key; None where it has none and any node may answer."""
    word = command[0]
    if word in _KEYLESS:
        return None
    return slot_of_key(command[3] if word in _BEHIND_SCRIPT else command[1])


class SlotMap:
    """The owner of each slot, as last heard. An owner is a primary."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int, Place]] = []
        # Slots that were looked up, for a map cut into many ranges is slow to search, and slots that moved since.
        self._known: dict[int, Place] = {}

    def owner(self, slot: int) -> Place | None:
        """The node that serves a slot; None where none is known to."""
        known = self._known.get(slot)
        if known is None:
            for first, last, place in self._ranges:
                if first <= slot <= last:
                    known = self._known[slot] = place
                    break
        return known

    def owners(self) -> list[Place]:
        """All nodes that serve something, without repetition."""
        return list(dict.fromkeys(place for _, _, place in self._ranges))

    def learn(self, reply: Iterable[Sequence[Any]], asked: Place) -> None:
        """Take the answer of CLUSTER SLOTS, which `asked` gave."""
        self._ranges = [(int(entry[0]), int(entry[1]), _read_place(entry[2], asked)) for entry in reply]
        self._known = {}

    def note_moved(self, moved: MovedError, asked: Place) -> None:
        """Take what a node said about one slot."""
        self._known[moved.slot_id] = place_named(moved, asked)


def place_named(redirection: AskError, asked: Place) -> Place:
    """Where a redirection points; a node that does not know its own address means the one that was asked."""
    said: Any = redirection  # the library's stubs leave it partly unknown
    return Place(said.host or asked.host, said.port)


def _read_place(node: Sequence[Any], asked: Place) -> Place:
    host = node[0].decode() if isinstance(node[0], bytes) else node[0]
    return Place(asked.host if host in (None, "", "?") else host, int(node[1]))
