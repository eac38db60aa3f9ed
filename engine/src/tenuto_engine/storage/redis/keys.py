"""Names of keys, record headers and members: how the state model of architecture section 3 is written in Redis.

All keys of one shard share the hash tag `{app/shard}`, so that an operation is one script on one node. Texts inside
headers and members are separated by single spaces. An empty text is written `-`, and a text that begins with `-` gets
another one in front, so that both can be told apart. The port says that these texts hold no space; one that does is
escaped (`%20`), because the header is what every later operation must be able to read.
"""

from __future__ import annotations

import re

from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.records import ActivityKey, ActivityRecord, Head, ReminderKey

_ESCAPES = str.maketrans({" ": "%20", "\n": "%0A", "%": "%25"})
_NAME = re.compile(r"[a-z0-9.-]{1,120}")


def write_text(text: str) -> str:
    """Write a text so that it is neither empty nor holds a separator."""
    if not text or text[0] == "-":
        text = "-" + text
    # Ids hardly ever hold one of these, and looking is ten times cheaper than translating: eight a step.
    if " " in text or "%" in text or "\n" in text:
        return text.translate(_ESCAPES)
    return text


def read_text(written: str) -> str:
    if "%" in written:
        written = written.replace("%20", " ").replace("%0A", "\n").replace("%25", "%")
    return written[1:] if written[:1] == "-" else written


def write_head(head: Head) -> str:
    """Write the header line of a `metadata` record; what a commit compares comes first, so it is one prefix."""
    return (
        f"{write_text(head.execution_id)} {write_text(head.commit_id)} {head.history_length} {head.status:d}"
        f" {head.hold:d} {head.taken} {head.inbox_low} {write_text(head.version)} {write_text(head.start_id)}\n"
    )


def read_metadata(record: bytes) -> tuple[Head, bytes]:
    """Split a `metadata` record into its head and the opaque body.

    Raises:
        ValueError: the record was not written by this driver.
    """
    line, _, body = record.partition(b"\n")
    execution, commit, length, status, hold, taken, low, version, start = line.decode().split(" ")
    head = Head(
        status=Status(int(status)),
        hold=Hold(int(hold)),
        execution_id=read_text(execution),
        commit_id=read_text(commit),
        history_length=int(length),
        taken=int(taken),
        inbox_low=int(low),
        version=read_text(version),
        start_id=read_text(start),
    )
    return head, body


def write_reminder(key: ReminderKey) -> str:
    return f"{key.kind} {key.event_id} {write_text(key.execution_id)} {key.instance_id}"


def read_reminder(member: bytes) -> ReminderKey:
    kind, event_id, execution, instance_id = member.decode().split(" ", 3)
    return ReminderKey(kind, int(event_id), read_text(execution), instance_id)


def write_activity(key: ActivityKey) -> str:
    return f"{key.event_id} {write_text(key.execution_id)} {key.instance_id}"


def read_activity_key(member: bytes) -> ActivityKey:
    event_id, execution, instance_id = member.decode().split(" ", 2)
    return ActivityKey(int(event_id), read_text(execution), instance_id)


def read_activity(member: bytes, value: bytes, look_at_ms: int) -> ActivityRecord:
    attempt, revision, data = value.split(b" ", 2)
    return ActivityRecord(
        key=read_activity_key(member),
        attempt=int(attempt),
        revision=int(revision),
        look_at_ms=look_at_ms,
        data=data,
    )


class ShardKeys:
    """The key names of one shard."""

    __slots__ = ("all", "base", "confirmed", "open", "outbox", "outbox_last", "received", "seen")

    def __init__(self, base: str) -> None:
        self.base = base
        self.seen = base + "seen"
        self.outbox = base + "outbox"
        self.outbox_last = base + "outbox-last"
        self.received = base + "received"
        self.all = base + "index:all"
        self.open = base + "index:open"
        self.confirmed = base + "confirmed"

    def instance(self, instance_id: str) -> str:
        return self.base + "instance:" + instance_id

    def lease(self, version: str) -> str:
        return self.base + "lease:" + version

    def ready(self, version: str) -> str:
        return self.base + "ready:" + version

    def reminders(self, version: str) -> str:
        return self.base + "reminders:" + version

    def activities(self, version: str) -> str:
        return self.base + "activities:" + version

    def look(self, version: str) -> str:
        """The same activity entries, scored by when the owner must look next."""
        return self.base + "activities-look:" + version

    def status(self, status: Status) -> str:
        return f"{self.base}index:status:{status:d}"

    def name(self, name: str) -> str:
        return self.base + "index:name:" + name


class Keys:
    """The key names of one app.

    Args:
        key_prefix: the first part of every key, to share a server; matches `[a-z0-9.-]{1,120}`.
        app: the app's name (`namespace.name` under the operator); matches the same.

    Raises:
        ValueError: one of them does not match.
    """

    def __init__(self, key_prefix: str, app: str) -> None:
        for what, text in (("key prefix", key_prefix), ("app", app)):
            if not _NAME.fullmatch(text):
                raise ValueError(f"the {what} {text!r} is refused: give 1 to 120 of a-z, 0-9, '.' and '-'")
        self._prefix = key_prefix
        self._app = app
        self._shards: dict[int, ShardKeys] = {}
        self.layout = f"{key_prefix}:{{{app}}}:layout"
        self.members = f"{key_prefix}:{{{app}}}:members"
        self.member_expiry = f"{key_prefix}:{{{app}}}:members-expiry"
        self.nudge = f"{key_prefix}:{{{app}}}:nudge:"

    def spill(self, version: str, name: str) -> str:
        """Hints of calls for any engine; a list for each activity, so that nobody takes what it cannot run."""
        return f"{self._prefix}:{{{self._app}}}:spill:{version}:{name}"

    def __getitem__(self, shard: int) -> ShardKeys:
        keys = self._shards.get(shard)
        if keys is None:
            keys = self._shards[shard] = ShardKeys(f"{self._prefix}:{{{self._app}/{shard}}}:")
        return keys
