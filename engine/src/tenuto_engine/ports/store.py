"""The state store as the engine sees it: operations that are each atomic, checked before their first write.

A driver executes operations and holds no policy: it compares what it is told to compare, writes what it is told
to write, and answers which comparison failed. Everything that an operation touches belongs to one shard, so a
driver can keep a shard on one node (Redis Cluster) or in one table partition.

Three rules hold for every operation:

* **Check, then write.** All that can fail is checked first; an operation that is refused has changed nothing.
* **Independent answers.** Operations executed as a group (one pipeline, one transaction) are answered one by one;
  a refused one does not undo the others. They take effect in the order given.
* **Time is the store's.** Due times, expiries and windows are judged by the store's clock, never the engine's.

Bytes given in `history`, `messages`, `metadata`, `entries` are opaque here: `codec` makes and reads them.
Source: architecture sections 2, 3, 5, 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tenuto_engine.core.status import Hold, Status


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


# -- what operations carry ----------------------------------------------------------------------------------------


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


class ReminderKey(msgspec.Struct, frozen=True, array_like=True):
    """Names one wake-up. `kind`: timer, start, wake, retry, retention, activity-deadline..."""

    kind: str
    event_id: int
    execution_id: str
    instance_id: str


class ReminderSet(msgspec.Struct, frozen=True):
    key: ReminderKey
    due_at_ms: int


class ActivityKey(msgspec.Struct, frozen=True, array_like=True):
    """Names one open activity call."""

    event_id: int
    execution_id: str
    instance_id: str


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


# -- operations ---------------------------------------------------------------------------------------------------


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


# -- outcomes -----------------------------------------------------------------------------------------------------


class Created(msgspec.Struct, frozen=True):
    ready: bool = True


class Exists(msgspec.Struct, frozen=True):
    """The id is taken. `duplicate`: by this very command."""

    duplicate: bool
    status: Status
    execution_id: str


class Appended(msgspec.Struct, frozen=True):
    """`number` is the message's number in the inbox (-1 for a duplicate, which wrote nothing)."""

    number: int
    duplicate: bool = False


class Committed(msgspec.Struct, frozen=True):
    """`inbox_next` is the numbering after the commit; `outbox` the numbers given, `appended` the outcomes, in order."""

    inbox_next: int
    outbox: Sequence[int] = ()
    appended: Sequence[Appended | Refused] = ()
    duplicate: bool = False


class Fenced(msgspec.Struct, frozen=True):
    """The lease token is not the stored one: another owner exists or existed. Drop all memory of the shard."""


class Conflict(msgspec.Struct, frozen=True):
    """The instance stands elsewhere than the commit assumed: drop it from memory and load it anew."""

    what: str
    detail: str = ""


class Refused(msgspec.Struct, frozen=True):
    """Nothing was written (but for a reminder dropped with its void message). `reason` is one of the words above."""

    reason: str
    dropped: bool = False


class Done(msgspec.Struct, frozen=True):
    pass


class Delivered(msgspec.Struct, frozen=True):
    outcomes: Sequence[Appended | Refused | Created | Exists]


class Unconfirmed(msgspec.Struct, frozen=True):
    """The store did not answer: the operation may or may not have happened. `error` says what was seen."""

    error: str


class Rejected(msgspec.Struct, frozen=True):
    """The store certainly did not execute the operation (full, read-only, not connected). Try again later."""

    error: str


Outcome = (
    Created | Exists | Appended | Committed | Fenced | Conflict | Refused | Done | Delivered | Unconfirmed | Rejected
)


# -- reads --------------------------------------------------------------------------------------------------------


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


class Listed(msgspec.Struct, frozen=True):
    instance_id: str
    created_at_ms: int
    stored: Stored


class StoreInfo(msgspec.Struct, frozen=True):
    """What `open` found. `exclusive`: this process alone can have the store open, so leases need not run out.

    `durability`: the tier delivered (D0..D3); `verified` false where the server hides its settings.
    """

    description: str
    durability: str
    verified: bool
    exclusive: bool


class Store(Protocol):
    """One app's state in one database. All methods are coroutines on one event loop.

    Raises `StoreUnavailable` from reads when the store cannot be reached; `execute` never raises for that: it
    answers `Unconfirmed` or `Rejected` for the operations concerned.
    """

    async def open(self, *, shards: int, durability: str) -> StoreInfo:
        """Connect, check or write the layout record, check shard count and durability.

        Raises: LayoutTooNew, ShardsDiffer, DurabilityRefused (naming the setting), StoreUnavailable.
        """
        ...

    async def close(self) -> None: ...

    async def execute(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Execute a group in order; answer each. Never raises for a fault of the store."""
        ...

    async def now_ms(self) -> int:
        """The store's clock, Unix milliseconds."""
        ...

    async def read_instance(self, shard: int, instance_id: str) -> Stored | None: ...

    async def read_instances(self, shard: int, instance_ids: Sequence[str]) -> list[Stored | None]: ...

    async def read_custom_status(self, shard: int, instance_id: str) -> bytes | None: ...

    async def read_inbox(self, shard: int, instance_id: str, *, first: int, end: int, limit: int) -> list[InboxRecord]:
        """Unread messages numbered in [first, end), by computed names, rising, at most `limit`."""
        ...

    async def read_history(
        self, shard: int, instance_id: str, *, first: int, count: int, max_bytes: int
    ) -> list[bytes]:
        """Records [first, first + count) up to the first missing; at least one, else within `max_bytes` together."""
        ...

    async def read_ready(self, shard: int, version: str, *, limit: int) -> list[tuple[str, int]]:
        """Instances marked ready, oldest first, with their marks (Unix ms)."""
        ...

    async def read_ready_many(
        self, shards: Sequence[int], version: str, *, limit: int
    ) -> dict[int, list[tuple[str, int]]]:
        """`read_ready` for several shards in one round trip; shards without marks are left out."""
        ...

    async def read_reminders(self, shard: int, version: str, *, limit: int) -> list[tuple[ReminderKey, int]]:
        """The earliest reminders, due or not, with their due times."""
        ...

    async def count_reminders(self, shards: Sequence[int], version: str) -> int: ...

    async def read_activities(
        self, shard: int, version: str, *, due_ms: int | None, limit: int
    ) -> list[ActivityRecord]:
        """Open entries by `look_at_ms`, earliest first; only those due by `due_ms` where it is given."""
        ...

    async def read_activity(self, shard: int, version: str, key: ActivityKey) -> ActivityRecord | None: ...

    async def read_outbox(self, shard: int, *, after: int, limit: int) -> list[OutboxRecord]:
        """Undelivered messages numbered above `after`, in order."""
        ...

    async def list_instances(self, shard: int, wanted: InstanceFilter) -> list[Listed]: ...

    async def raw_records(self, shard: int, instance_id: str, *, limit: int) -> list[tuple[str, bytes]]:
        """At most `limit` records by name (`customStatus`, `history-000000`, `inbox-000000`, `metadata`: the body)."""
        ...

    def key_of(self, shard: int, instance_id: str) -> str:
        """The name under which the store keeps an instance, for people."""
        ...


# -- leases -------------------------------------------------------------------------------------------------------


class Lease(msgspec.Struct, frozen=True):
    """A shard granted. `token` is random and new with every grant; `epoch` rises by one with every grant."""

    shard: int
    version: str
    owner: str
    epoch: int
    token: str


class LeaseHeld(msgspec.Struct, frozen=True):
    shard: int
    owner: str
    epoch: int
    remaining_ms: int


class Member(msgspec.Struct, frozen=True):
    """One engine process of the app, as its heartbeat describes it."""

    engine_id: str
    version: str
    capacity: int
    draining: bool
    has_workers: bool
    address: str = ""


class LeaseStore(Protocol):
    """Ownership, judged by the store's clock. Synchronous: it is called from a thread of its own.

    It has its own connection, so that load on the data path never costs a lease. No hidden retries: a lost reply raises
    `StoreUnavailable`, and the caller acquires anew.
    """

    def acquire(
        self, shards: Sequence[int], *, version: str, owner: str, lease_ms: int, force: bool = False
    ) -> list[Lease | LeaseHeld]:
        """Grant each shard whose lease is free, expired or the caller's own; epoch + 1 (first 1) and a new token.

        Answers in order. `force`: the caller knows that no other process can be alive (an exclusive store).
        """
        ...

    def renew(self, leases: Sequence[Lease], *, lease_ms: int) -> list[bool]:
        """Prolong leases whose token is still the stored one (also expired ones that nobody took)."""
        ...

    def release(self, leases: Sequence[Lease]) -> None:
        """Give up leases whose token is still the stored one; the epoch stays."""
        ...

    def heartbeat(self, member: Member, *, ttl_ms: int) -> int:
        """Record the member as alive for `ttl_ms`; answers the store's clock (Unix ms)."""
        ...

    def leave(self, engine_id: str) -> None: ...

    def members(self) -> list[Member]:
        """Members whose heartbeat has not run out."""
        ...

    def close(self) -> None: ...
