"""What a store executes: a closed union of operations, each atomic and each within one shard.

Each says in which order it checks and what it writes. The rules that hold for all of them: `ports.store`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenuto_engine.ports.records import (
    ActivityKey,
    ActivityRecord,
    Head,
    IndexEntry,
    Message,
    NewInstance,
    OutboxSend,
    ReminderKey,
    ReminderSet,
)


class Create(msgspec.Struct, frozen=True):
    """Make an instance, unless its id is taken.

    Checks in this order: the instance exists with this start id -> `Exists(duplicate=True)`; the start id is in the
    shard's window of seen ids (its instance was purged or replaced) -> `Exists(duplicate=True)` with an empty
    execution id and the status of the present instance, COMPLETED where there is none; the instance exists with a
    status not in `replace` -> `Exists(duplicate=False)`. Nothing is written then. An empty start id is never equal
    to another and never remembered.
    A replaced instance's start id is remembered as seen, and its record (custom status and unread messages too),
    index entries, ready mark, reminders and activity entries are removed in the same operation. A driver that
    cannot find those by instance may rely on the commit that closed the instance: it removed all by name except the
    reminders that it set itself. The inbox numbering begins at 0 again. `Created.ready`: it was marked ready.
    """

    shard: int
    instance: NewInstance


class Append(msgspec.Struct, frozen=True):
    """Put one message into an inbox, under no lease.

    Checks in this order: `message.remember` and its id is in the seen window -> `Appended(-1, duplicate=True)`;
    instance missing -> `Refused("not_found")`; `message.execution_id` set and not current ->
    `Refused("stale_execution")`; status terminal -> `Refused("terminal")`; `closes` set and that activity entry
    (under the instance's version) missing -> `Refused("activity_closed")`, or, where `attempt` is not 0, its attempt
    another -> `Refused("stale_attempt")`.
    Then: assigns the next number, writes the record, removes the entry named by `closes`, remembers the id where
    asked, and marks the instance ready by now, under its own version, unless it is held and the message is not
    control; an existing mark stays as it is.
    """

    shard: int
    instance_id: str
    message: Message
    closes: ActivityKey | None = None
    attempt: int = 0


class Commit(msgspec.Struct, frozen=True):
    """One fenced commit of a turn (or of one part of an oversized one).

    Checks in this order: lease token of (shard, `lease_version`), whatever the lease's expiry -> `Fenced`; instance
    exists -> `Conflict("missing")`; stored commit id equals `head.commit_id`: this very commit was applied before ->
    `Committed(duplicate=True)` with the present `inbox_next` and nothing else known; `base_*` equal the stored
    (execution id, commit id, history length) -> `Conflict("execution" | "commit" | "length", the stored value)`;
    every record in `consumed` (distinct numbers) exists -> `Conflict("message", first missing number)`.

    Writes, in this order: history records from index `base_length` on; removal of consumed messages; `metadata` with
    `head` (`head.taken` is given by the caller and includes this commit's consumed); `custom_status` where not None
    (else the present one stays, also over a renewal); activity entries and reminders removed (under `lease_version`;
    those that do not exist are ignored), then set (under `head.version`; the versions differ only where the instance
    passes to another one, and then the owner lists all entries); outbox records (numbered in order, rising for the
    life of the shard, never below the store's clock in microseconds); index entry where `index` is not None
    (`old_index` is the one it replaces; while an instance lives only the status of its entry changes); `appends` to
    instances of the same shard (each as an `Append` would, seen ids included, and against what this commit has just
    written; refusals are reported, never fail the commit). New instances, children too, go by the outbox.
    The ready mark is settled last, under `head.version`. "Unread": the inbox numbering, appends to itself included,
    differs from `head.taken`. The mark is
    * removed, if `head.status` is terminal; unread records stay until the purge;
    * where `head.hold` is not NONE: removed, unless the last *control* message ever appended to this instance is
      still unread, for then a resume or terminate that came during the turn would be forgotten;
    * where nothing is unread and `keep_ready` (an open turn) is false: removed;
    * else set to `ready_at_ms` if that is not 0; if 0, an existing mark stays and a missing one is set to now (so the
      commit that clears a hold makes the instance ready again if messages are unread).

    `renew`: a new execution (continue-as-new): its `history` begins at index 0 in place of the former record, whose
    activity entries and reminders the owner lists as removed; messages not consumed and the inbox numbering stay.
    `close`: the execution ended: `head.status` and `index.status` are terminal, and the count of open instances of
    the version falls by one. The owner lists every open activity entry and reminder as removed, and sets none later.
    """

    shard: int
    token: str
    lease_version: str
    instance_id: str
    base_execution_id: str
    base_commit_id: str
    base_length: int
    head: Head
    metadata: bytes
    consumed: Sequence[int] = ()
    history: Sequence[bytes] = ()
    custom_status: bytes | None = None
    activities_set: Sequence[ActivityRecord] = ()
    activities_removed: Sequence[ActivityKey] = ()
    reminders_set: Sequence[ReminderSet] = ()
    reminders_removed: Sequence[ReminderKey] = ()
    outbox: Sequence[OutboxSend] = ()
    appends: Sequence[tuple[str, Message]] = ()
    old_index: IndexEntry | None = None
    index: IndexEntry | None = None
    ready_at_ms: int = 0
    renew: bool = False
    keep_ready: bool = False
    close: bool = False


class FireReminder(msgspec.Struct, frozen=True):
    """Remove a due reminder and append its message, in one fenced operation.

    Checks: lease token -> `Fenced`; reminder (under `lease_version`) exists -> `Refused("gone")`; due by the store's
    clock (due_at_ms <= now) -> `Refused("early")`. Then the reminder is removed and the message appended to
    `key.instance_id` as an `Append` would: answers its `Appended`. A message the instance refuses (not_found,
    stale_execution, terminal) is dropped with the reminder: `Refused(reason, dropped=True)`.
    """

    shard: int
    token: str
    lease_version: str
    key: ReminderKey
    message: Message


class DropReminder(msgspec.Struct, frozen=True):
    """Remove a reminder whose work is done or void, fenced. Answers `Done` (also if it did not exist) or `Fenced`."""

    shard: int
    token: str
    lease_version: str
    key: ReminderKey


class ReplaceActivity(msgspec.Struct, frozen=True):
    """Replace an open activity entry (under `lease_version`) if its revision is `expected_revision`; under no lease.

    Answers `Done`, `Refused("activity_closed")` (it is missing) or `Refused("stale_attempt")` (revision differs).
    """

    shard: int
    lease_version: str
    record: ActivityRecord
    expected_revision: int


class Purge(msgspec.Struct, frozen=True):
    """Remove an instance whole, if it is terminal and its execution id is `execution_id`.

    Checks in this order: `Refused("not_found")`, `Refused("stale_execution")`, `Refused("not_terminal")`. Removes the
    record, index entries, ready mark, the given reminders and activity entries and whatever else of either is left
    (as `Create` does for a replaced instance), under the instance's version; remembers its start id: `Done`.
    """

    shard: int
    instance_id: str
    execution_id: str
    reminders: Sequence[ReminderKey] = ()
    activities: Sequence[ActivityKey] = ()


class Delivery(msgspec.Struct, frozen=True):
    """One outbox message as it is delivered: an append or a create, with its number at the source shard."""

    number: int
    instance_id: str = ""
    message: Message | None = None
    create: NewInstance | None = None


class Deliver(msgspec.Struct, frozen=True):
    """Take messages of one source shard into this shard, in order, each at most once.

    `deliveries` are in rising order of number; each holds a message for `instance_id` or a `create`. One whose number
    is not above the highest recorded for `source_shard` is ignored: `Appended(-1, duplicate=True)`; but an ignored
    `create` that would be refused now with `Exists(duplicate=False)` answers so. Any other is executed as `Append` or
    `Create` would; refusals count as taken. Effects and the new highest number are one operation: `Delivered`.
    """

    shard: int
    source_shard: int
    deliveries: Sequence[Delivery]


class RemoveOutbox(msgspec.Struct, frozen=True):
    """Forget delivered messages of this source shard. Under no lease. Answers `Done`."""

    shard: int
    numbers: Sequence[int]


Operation = Create | Append | Commit | FireReminder | DropReminder | ReplaceActivity | Purge | Deliver | RemoveOutbox
