"""What the driver believes of instances that an operation does not say, but that names keys.

The version of an instance is part of the names of its ready mark, reminders and activity entries, and a script must
name its keys before it reads the record. So the driver names what it believes; a script that finds another version
changes nothing and answers the right one, and the operation is sent again. A wrong belief costs a round trip, and lets
later operations of the group pass; so what this engine created, read or committed is remembered.
"""

from __future__ import annotations

# About 20 MB when full. An engine works on fewer instances at a time; the oldest belief is dropped first.
_MAX_VERSIONS = 100_000
# Each is read just before it is used, so only those of the operations under way matter.
_MAX_FORMER = 10_000


class Beliefs:
    """Versions of instances; and the versions and workflow names of those about to be removed."""

    def __init__(self) -> None:
        self._usual = ""
        self._versions: dict[str, str] = {}
        self._former: dict[str, tuple[str, str]] = {}

    def version(self, instance_id: str) -> str:
        """The version last seen, else that of the last commit: most instances have this engine's."""
        return self._versions.get(instance_id, self._usual)

    def note_version(self, instance_id: str, version: str) -> None:
        """Learn an instance's version. Nothing is kept while nobody uses versions."""
        if not version and not self._versions:
            return
        if len(self._versions) >= _MAX_VERSIONS and instance_id not in self._versions:
            del self._versions[next(iter(self._versions))]
        self._versions[instance_id] = version

    def note_new(self, instance_id: str, version: str) -> None:
        """Learn the version that an instance will have if its id is free."""
        if instance_id not in self._versions:
            self.note_version(instance_id, version)

    def note_commit(self, instance_id: str, version: str, lease_version: str) -> None:
        """Learn from a commit: `lease_version` is that of the engine at work."""
        self._usual = lease_version
        self.note_version(instance_id, version)

    def former(self, instance_id: str) -> tuple[str, str]:
        """The version and workflow name of an instance that is to be removed; empty where nothing is known."""
        return self._former.get(instance_id, ("", ""))

    def note_former(self, instance_id: str, version: str, name: str) -> None:
        if len(self._former) >= _MAX_FORMER:
            self._former.clear()
        self._former[instance_id] = (version, name)

    def expect_removal(self, instance_id: str) -> None:
        """Believe the version of the next instance with this id, rather than that of the present one."""
        self._versions.pop(instance_id, None)
