"""Who else is alive: the roll of members as the lease keeper read it last.

Kept on the event loop and replaced whole, so a reader sees one moment. An engine is in the roll before it claims or
owns anything, so whoever is missing from a roll read later than a claim was made is gone, and what it claimed is free.
"""

from __future__ import annotations

from collections.abc import Callable

from tenuto_engine.ports.leases import Member, Roll

# Nothing can have happened so long after a roll that is read every few seconds: the store's clock was set back since.
_IMPOSSIBLE_MS = 60_000


class Membership:
    """The latest roll, and who wants to know of a new one.

    `on_change`: called on the event loop after each roll whose members differ from the former one's in anything but
    the shards they own. `exclusive`: nobody else can have the store open, so whoever else is in the roll is gone.
    """

    def __init__(self, engine_id: str) -> None:
        self._engine_id = engine_id
        self._read_at_ms = 0
        self._members: dict[str, Member] = {}
        self.exclusive = False
        self.on_change: list[Callable[[], None]] = []

    @property
    def members(self) -> list[Member]:
        """All members, this engine included once its first heartbeat was taken; ordered by id."""
        return list(self._members.values())

    @property
    def ids(self) -> set[str]:
        """The ids of all members."""
        return set(self._members)

    def others(self, version: str) -> list[Member]:
        """The other members of a version."""
        return [m for m in self._members.values() if m.version == version and m.engine_id != self._engine_id]

    def may_share(self, version: str) -> bool:
        """Whether another engine of this version stays, and could run activities."""
        # Asked for each commit, and most often by an engine that is alone.
        return len(self._members) > 1 and any(not member.draining for member in self.others(version))

    @property
    def has_peers(self) -> bool:
        """Whether another engine stays, of whichever version."""
        return any(not m.draining and m.engine_id != self._engine_id for m in self._members.values())

    def is_served(self, version: str) -> bool:
        """Whether an engine of this version has a worker and stays."""
        return any(m.version == version and m.has_workers and not m.draining for m in self._members.values())

    def is_mixed(self, version: str) -> bool:
        """Whether engines of another version write to the same shards."""
        return any(member.version != version for member in self._members.values())

    def is_gone(self, engine_id: str, since_ms: int) -> bool:
        """Whether an engine that was alive at `since_ms` (store's clock) has not been seen after it."""
        if engine_id == self._engine_id or engine_id in self._members:
            return False
        if self.exclusive:
            return True  # whoever it was had the store before this engine
        return self._read_at_ms > since_ms or since_ms > self._read_at_ms + _IMPOSSIBLE_MS

    def is_listed(self, engine_id: str) -> bool:
        """Whether an engine stands in the latest roll."""
        return engine_id in self._members

    def learn(self, roll: Roll) -> None:
        """Take a new roll."""
        before = {engine_id: _standing(member) for engine_id, member in self._members.items()}
        self._members = {
            present.member.engine_id: present.member
            for present in roll.present
            if not self.exclusive or present.member.engine_id == self._engine_id
        }
        self._read_at_ms = roll.now_ms
        if before != {engine_id: _standing(member) for engine_id, member in self._members.items()}:
            for notify in self.on_change:
                notify()


def _standing(member: Member) -> tuple[object, ...]:
    return member.version, member.capacity, member.draining, member.has_workers
