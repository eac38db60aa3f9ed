"""What a store keeps and hands out: records, keys and heads, as plain data.

All text in them is free of spaces and newlines where it says so; `body`, `metadata` and `data` are opaque bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenuto_engine.core.status import Hold, Status

# The end of year 9999: the `look_at_ms` of an entry that its owner need not look at by itself.
NEVER_MS = 253_402_300_799_000


class Head(msgspec.Struct, frozen=True):
    """The part of an instance's `metadata` record that operations compare. All text is free of spaces and newlines.

    `taken` counts the inbox messages that commits have removed over all executions; with the inbox numbering it
    tells whether messages are unread. `inbox_low`: every message numbered below it has been removed.
    """

    status: Status
    hold: Hold
    execution_id: str
    commit_id: str
    history_length: int
    taken: int
    inbox_low: int
    version: str
    start_id: str


class Stored(msgspec.Struct, frozen=True):
    """An instance's metadata as read: the head, the opaque body, and the inbox numbering (next number to give)."""

    head: Head
    metadata: bytes
    inbox_next: int


class Message(msgspec.Struct, frozen=True):
    """One message for an instance's inbox.

    `id`: the sender's command id; where `remember` is true it is looked up in the shard's de-duplication window and
    remembered there, else it is neither.
    `execution_id`: empty for messages to the instance (events, control), else dropped if it is not current.
    `control`: passes holds (terminate, suspend, resume, wake-up).
    `body`: opaque; stored as the value of the record `inbox-NNNNNN`.
    """

    id: str
    body: bytes
    execution_id: str = ""
    control: bool = False
    remember: bool = False


class ReminderKey(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Names one wake-up. `kind`: timer, start, wake, retry, retention, activity-deadline..."""

    kind: str
    event_id: int
    execution_id: str
    instance_id: str


class ReminderSet(msgspec.Struct, frozen=True):
    key: ReminderKey
    due_at_ms: int


class ActivityKey(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Names one open activity call."""

    event_id: int
    execution_id: str
    instance_id: str


class Hint(msgspec.Struct, frozen=True, array_like=True):
    """Says that a call of activity `name` may wait for an engine to claim it. It may be void, or told twice."""

    name: str
    key: ActivityKey


class ActivityRecord(msgspec.Struct, frozen=True):
    """One open activity call as stored.

    `attempt` and `revision` are compared by operations; `look_at_ms` is when the owner must look next (Unix ms; the
    score), `data` is opaque. `revision` rises with every replacement.
    """

    key: ActivityKey
    attempt: int
    revision: int
    look_at_ms: int
    data: bytes


class IndexEntry(msgspec.Struct, frozen=True):
    """Visibility of an instance: it is listed by name, status and creation time."""

    name: str
    status: Status
    created_at_ms: int


class NewInstance(msgspec.Struct, frozen=True):
    """A complete new instance: used by `Create`, and inside outbox deliveries for children.

    `head.start_id` is the id of the start command. `replace`: terminal statuses whose record may be replaced.
    `messages` begin the inbox (numbers from 0); their ids are neither looked up nor remembered. `history` is empty
    but for a rerun. `reminders` are set under `head.version`, and so is the ready mark: now, if a message is unread
    and `head.hold` is NONE or one of the messages is `control`.
    """

    instance_id: str
    head: Head
    metadata: bytes
    index: IndexEntry
    messages: Sequence[Message]
    history: Sequence[bytes] = ()
    reminders: Sequence[ReminderSet] = ()
    replace: frozenset[Status] = frozenset()


class OutboxSend(msgspec.Struct, frozen=True):
    """A message for another shard, numbered by the commit. `body` is opaque (codec: an Envelope)."""

    target_shard: int
    body: bytes


class OutboxRecord(msgspec.Struct, frozen=True):
    number: int
    target_shard: int
    body: bytes


class InboxRecord(msgspec.Struct, frozen=True):
    number: int
    body: bytes


class InstanceFilter(msgspec.Struct, frozen=True):
    """Which instances of one shard to list: newest first, by (created_at_ms, instance_id as UTF-8) falling.

    `name` and `statuses` are compared with the index entry; empty means any. `created_from_ms` is inclusive,
    `created_to_ms` exclusive, 0 means open. `before`: exclusive (created_at_ms, instance_id) cursor. `limit` >= 1.
    """

    name: str = ""
    statuses: frozenset[Status] = frozenset()
    created_from_ms: int = 0
    created_to_ms: int = 0
    id_prefix: str = ""
    before: tuple[int, str] | None = None
    limit: int = 100


class Stock(msgspec.Struct, frozen=True):
    """What a shard holds for one version, in numbers. Moments are Unix ms, 0 where there is nothing.

    `open`: instances that have not ended. `ready`: ready marks, and the oldest of them. `due`: reminders due by the
    moment asked for, and the earliest reminder of all. `reminders`: their number by kind.
    """

    open: int = 0
    ready: int = 0
    oldest_ready_ms: int = 0
    due: int = 0
    oldest_due_ms: int = 0
    reminders: dict[str, int] = {}


class Listed(msgspec.Struct, frozen=True):
    instance_id: str
    created_at_ms: int
    stored: Stored
