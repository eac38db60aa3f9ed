"""What the memory store holds: shards of instances, and the entries that are found by time.

The containers here keep one promise each (`Scored`: earliest first; `Seen`: forgets after the window) and know
nothing of operations; those are in `operations`.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

from tenuto_engine.ports.leases import Member
from tenuto_engine.ports.notifier import OnNudge
from tenuto_engine.ports.records import ActivityKey, ActivityRecord, Head, IndexEntry, OutboxRecord, ReminderKey
from tenuto_engine.storage.clock import DEDUP_WINDOW_MS, system_ms
from tenuto_engine.storage.hints import Hints

# A prune looks at this many ids beside each one remembered: the window empties faster than it fills, and no
# operation pays for the ids of a burst that ended long ago.
PRUNE_STEP = 4

Key = TypeVar("Key", bound=Hashable)


class Scored(Generic[Key]):
    """A mapping of keys to scores that is read lowest score first; among equal scores the first set comes first."""

    __slots__ = ("_entries", "_order", "_position")

    def __init__(self) -> None:
        self._entries: dict[Key, tuple[int, int]] = {}
        self._order: list[tuple[int, int, Key]] = []
        self._position = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def score(self, key: Key) -> int | None:
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def set(self, key: Key, score: int) -> None:
        """Give `key` this score, replacing the one it had."""
        self.remove(key)
        # The position is unique, so comparing entries never reaches the key, which need not be ordered.
        self._position += 1
        self._entries[key] = (score, self._position)
        insort(self._order, (score, self._position, key))

    def remove(self, key: Key) -> bool:
        """Remove `key`; answer whether it was there."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        del self._order[bisect_left(self._order, entry)]
        return True

    def first(self, limit: int) -> list[tuple[Key, int]]:
        """Return at most `limit` keys with their scores, lowest first."""
        return [(key, score) for score, _, key in self._order[:limit]]


class ByCreation:
    """Instance ids in order of creation; among equal moments in order of their UTF-8, which is that of `str`."""

    __slots__ = ("_order",)

    def __init__(self) -> None:
        self._order: list[tuple[int, str]] = []

    def add(self, created_at_ms: int, instance_id: str) -> None:
        insort(self._order, (created_at_ms, instance_id))

    def remove(self, created_at_ms: int, instance_id: str) -> None:
        del self._order[bisect_left(self._order, (created_at_ms, instance_id))]

    def newest(self, *, first_ms: int, before: tuple[int, str] | None) -> Iterator[tuple[int, str]]:
        """Yield (created at, id), newest first, from below `before` down to `first_ms`."""
        start = len(self._order) if before is None else bisect_left(self._order, before)
        for position in range(start - 1, bisect_left(self._order, (first_ms, "")) - 1, -1):
            yield self._order[position]


class Seen:
    """Ids of accepted commands, each for the de-duplication window, in the order in which they came."""

    __slots__ = ("_at", "_window_ms")

    def __init__(self, window_ms: int) -> None:
        self._at: dict[str, int] = {}
        self._window_ms = window_ms

    def has(self, command_id: str, now_ms: int) -> bool:
        at = self._at.get(command_id)
        return at is not None and now_ms - at < self._window_ms

    def remember(self, command_id: str, now_ms: int) -> None:
        if not command_id:
            return
        for _ in range(PRUNE_STEP):
            oldest = next(iter(self._at), None)
            if oldest is None or now_ms - self._at[oldest] < self._window_ms:
                break
            del self._at[oldest]
        self._at.pop(command_id, None)
        self._at[command_id] = now_ms

    def remembered(self) -> Iterable[tuple[str, int]]:
        """Return all ids that are still held, also those whose window is over, with the moments they came."""
        return self._at.items()

    def ids(self, now_ms: int) -> Iterable[str]:
        """Return the ids that are still in the window."""
        return [command_id for command_id in self._at if self.has(command_id, now_ms)]


@dataclass(slots=True)
class Instance:
    """One instance's records. `control_next` is one above the number of the last control message, 0 if none came."""

    head: Head
    metadata: bytes
    index: IndexEntry
    history: list[bytes] = field(default_factory=list[bytes])
    inbox: dict[int, bytes] = field(default_factory=dict[int, bytes])
    inbox_next: int = 0
    control_next: int = 0
    custom_status: bytes | None = None
    reminders: set[ReminderKey] = field(default_factory=set[ReminderKey])
    activities: set[ActivityKey] = field(default_factory=set[ActivityKey])


class Entries:
    """What one version of one shard has to look after: ready instances, reminders, open activity calls."""

    __slots__ = ("activities", "looks", "ready", "reminders")

    def __init__(self) -> None:
        self.ready: Scored[str] = Scored()
        self.reminders: Scored[ReminderKey] = Scored()
        self.activities: dict[ActivityKey, ActivityRecord] = {}
        self.looks: Scored[ActivityKey] = Scored()


class Shard:
    """One shard: everything that an operation may touch."""

    __slots__ = ("created", "entries", "instances", "outbox", "outbox_last", "seen", "taken_from")

    def __init__(self, window_ms: int) -> None:
        self.instances: dict[str, Instance] = {}
        self.created = ByCreation()
        self.entries: defaultdict[str, Entries] = defaultdict(Entries)
        self.outbox: dict[int, OutboxRecord] = {}
        self.outbox_last = 0
        self.taken_from: dict[int, int] = {}
        self.seen = Seen(window_ms)


@dataclass(slots=True)
class LeaseRecord:
    """A shard's lease as stored; an empty token is nobody's. Never deleted, so that the epoch never goes back."""

    owner: str = ""
    epoch: int = 0
    token: str = ""
    expires_at_ms: int = 0
    cause: str = ""
    released_at_ms: int = 0


class MemoryState:
    """All that the stores opened on it share; it outlives them.

    Args:
        clock: the store's clock, Unix milliseconds; the system's by default.
        dedup_window_ms: how long the ids of accepted commands are remembered; >= 0.
        random_hex: that many random bytes as hex digits, for the tokens of leases.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], int] = system_ms,
        dedup_window_ms: int = DEDUP_WINDOW_MS,
        random_hex: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self.clock = clock
        self.random_hex = random_hex
        self.shard_count: int | None = None
        self.shards: defaultdict[int, Shard] = defaultdict(lambda: Shard(dedup_window_ms))
        self.lease_lock = Lock()
        self.leases: dict[tuple[int, str], LeaseRecord] = {}
        self.members: dict[str, tuple[Member, int]] = {}
        self.receivers: list[OnNudge] = []
        self.hints = Hints()

    def owns(self, shard: int, version: str, token: str) -> bool:
        """Return whether `token` is the one last granted, whether or not its time is over."""
        lease = self.leases.get((shard, version))
        return lease is not None and lease.token == token != ""
