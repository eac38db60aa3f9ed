"""What a store answers: one outcome for each operation, a closed union."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenuto_engine.core.status import Status


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
