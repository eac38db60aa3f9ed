"""The state of one execution: a fold over its history, and nothing that history does not say.

The fold works in place, because copying the open operations at every event would make a fan-out quadratic. That is
safe under one rule: whoever holds a state whose commit was refused drops it and folds the stored history anew; memory
is never patched.
"""

from __future__ import annotations

import hashlib

import msgspec

from tenuto_engine.core.events import ActivityScheduled, ChildCreated, Parent
from tenuto_engine.core.limits import MAX_CARRIED_CHILDREN
from tenuto_engine.core.status import Hold, Status


class OpenChild(msgspec.Struct, frozen=True, array_like=True):
    """A child that has not reported its end. Carried over continue-as-new."""

    event_id: int
    instance_id: str
    execution_id: str


class InstanceState(msgspec.Struct):
    """One execution as its history tells it.

    `length`, `size_bytes`: records of the history and their bytes. `last_turn_at_ms`: time of the newest turn; the
    next is never before it. `activities`: open calls by event id, with the event and its index in history.
    `carried`: children started by earlier executions of this instance that were open when it continued as new.
    """

    instance_id: str
    execution_id: str
    name: str = ""
    version: str = ""
    parent: Parent | None = None
    generation: int = 1
    trace_parent: str = ""
    input: bytes | None = None
    foreign: bytes | None = None
    status: Status = Status.PENDING
    hold: Hold = Hold.NONE
    reason: str = ""
    length: int = 0
    size_bytes: int = 0
    last_turn_at_ms: int = 0
    activities: dict[int, tuple[ActivityScheduled, int]] = {}
    timers: dict[int, int] = {}
    children: dict[int, ChildCreated] = {}
    carried: list[OpenChild] = []

    def open_children(self) -> list[OpenChild]:
        """All children that have not reported their end, also those of earlier executions."""
        current = [OpenChild(i, c.instance_id, c.child_execution_id) for i, c in self.children.items()]
        return [*self.carried, *current]

    def children_to_carry(self) -> list[OpenChild]:
        """The newest open children, bounded.

        A child's result names the execution that started it, so one carried over never leaves the list; an eternal
        parent that starts children without waiting for them would fill its metadata. Those beyond the bound are no
        longer terminated or purged with it.
        """
        return self.open_children()[-MAX_CARRIED_CHILDREN:]

    @property
    def pending_operations(self) -> int:
        return len(self.activities) + len(self.timers) + len(self.children)


def derived_id(execution_id: str, purpose: str, index: int) -> str:
    """Return an id that follows from where it is made: the same turn, done again, makes the same one.

    The random root is the execution id of the first execution, so derived ids are as unguessable and unique as it.
    """
    seed = f"{execution_id}/{purpose}/{index}".encode()
    return hashlib.blake2b(seed, digest_size=12).hexdigest()
