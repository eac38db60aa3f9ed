"""One ownership of one shard. A shard lost and taken again is another object, so late answers find it dead."""

from __future__ import annotations

from tenuto_engine.ports.leases import Lease
from tenuto_engine.ports.records import ActivityKey, OutboxRecord
from tenuto_engine.runtime.call import Call
from tenuto_engine.runtime.instance import LiveInstance, Phase

_UNDER_WAY = frozenset({Phase.TURN, Phase.CONFIRMING, Phase.COMMITTING})


class Shard:
    """What is kept for one owned shard. `alive` ends with the lease; nothing is done for a dead shard.

    `leaving`: it is being handed over: what runs may end, and nothing is begun.
    """

    __slots__ = (
        "alive",
        "delivering",
        "entries",
        "lease",
        "leaving",
        "live",
        "loading",
        "next_due_ms",
        "number",
        "outbox",
        "outbox_read",
        "outbox_reading",
        "outbox_stale",
    )

    def __init__(self, lease: Lease) -> None:
        self.number = lease.shard
        self.lease = lease
        self.alive = True
        self.leaving = False
        self.live: dict[str, LiveInstance] = {}
        self.loading: set[str] = set()
        self.entries: dict[ActivityKey, Call] = {}
        self.outbox: dict[int, list[OutboxRecord]] = {}
        self.outbox_read = False  # all that others left unsent is in `outbox`
        self.outbox_reading = False
        self.outbox_stale = False  # something was committed since the read under way began
        self.delivering: set[int] = set()
        self.next_due_ms: int | None = None

    def note_due(self, due_at_ms: int) -> bool:
        """Remember that a reminder is due then; returns whether it is the earliest known."""
        if self.next_due_ms is not None and self.next_due_ms <= due_at_ms:
            return False
        self.next_due_ms = due_at_ms
        return True

    @property
    def may_begin(self) -> bool:
        """Whether a turn may begin here."""
        return self.alive and not self.leaving

    @property
    def is_busy(self) -> bool:
        """Whether a turn is under way: handing the shard over now would have it run again elsewhere."""
        return any(instance.phase in _UNDER_WAY for instance in self.live.values())

    def close(self) -> None:
        """Forget everything: the stored state is the truth from here on."""
        self.alive = False
        for instance in self.live.values():
            instance.phase = Phase.DROPPED
            for notify in instance.on_progress:
                notify()
        self.live.clear()
        self.entries.clear()
        self.outbox.clear()
