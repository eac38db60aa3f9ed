"""What is known where replay met a difference, and who is asked for more about the code: the material of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from tenuto._replay import actions, events
from tenuto._replay.comparison import OPERATIONS, Difference, RecordedOperation

_CLOSING = (
    events.ActivityCompleted,
    events.ActivityFailed,
    events.TimerFired,
    events.ChildCompleted,
    events.ChildFailed,
)


class Suspect(msgspec.Struct, frozen=True):
    """A place in the code that may behave differently each time, as the linter sees it."""

    rule: str
    place: str
    message: str
    instead: str


class Suspects(msgspec.Struct, frozen=True):
    """What the linter found in a workflow function; `note` says why it could not look, else it is empty."""

    found: list[Suspect] = []
    note: str = ""


class Investigator(Protocol):
    """Looks at the code behind a difference. Its methods never raise, and are called only once there is one."""

    def mentioned(self, function: Callable[..., Any]) -> frozenset[str] | None:
        """Names that the function, and what it calls in its project, mention; None where its code is not at hand."""
        ...

    def suspects(self, function: Callable[..., Any]) -> Suspects:
        """What the linter finds in the function."""
        ...

    def text_of(self, source: str, function: Callable[..., Any]) -> str | None:
        """The whole text of the file that `source` ("folder/file.py:12") is of; None where it is not at hand."""
        ...


class Recorded(msgspec.Struct, frozen=True):
    """A recorded operation and where it stands: its event's index in history, and the turn's number from 1."""

    event: RecordedOperation
    index: int
    turn: int


class Scene(msgspec.Struct, frozen=True):
    """A difference and its surroundings.

    `history` is what was replayed, `position` the event at which the difference showed. `confirmed`: the operations
    that the code asked for just before and history confirmed, oldest first. `asked`: what it asked for beyond them, the
    one that differs first; empty where it asked for nothing. `waits_at`: the line at which the code stands.
    """

    instance_id: str
    execution_id: str
    workflow: str
    function: Callable[..., Any]
    code_hash: str
    history: Sequence[events.Event]
    position: int
    difference: Difference
    confirmed: Sequence[actions.Action]
    asked: Sequence[actions.Action]
    waits_at: str

    def operations(self) -> tuple[list[Recorded], list[Recorded]]:
        """Recorded operations before the difference, and from it on, both in order."""
        before: list[Recorded] = []
        later: list[Recorded] = []
        turn = 0
        for index, event in enumerate(self.history):
            if isinstance(event, events.TurnStarted):
                turn += 1
            elif isinstance(event, OPERATIONS):
                (before if index < self.position else later).append(Recorded(event, index, turn))
        return before, later

    def turn(self) -> int:
        """The number of the turn in which the difference showed."""
        return sum(isinstance(event, events.TurnStarted) for event in self.history[: self.position + 1])

    def recorded_hash(self) -> str:
        """The hash of the code that recorded this part of history; empty where none is recorded."""
        found = ""
        for event in self.history[: self.position + 1]:
            if isinstance(event, events.TurnStarted) and event.code_hash:
                found = event.code_hash
        return found

    def last_closed(self) -> int:
        """The operation whose result the code received last before the difference; 0 where there is none."""
        before = (e.event_id for e in reversed(self.history[: self.position]) if isinstance(e, _CLOSING))
        return next(before, 0)

    def went_on_unasked(self, recorded: Recorded) -> bool:
        """Whether the code that wrote history asked for more behind this operation before any event was received."""
        for event in [*self.history[: recorded.index], *self.history[recorded.index + 1 :]]:
            if isinstance(event, events.EventRaised):
                return False
            if isinstance(event, OPERATIONS) and event.event_id > recorded.event.event_id:
                return True
        return False

    def is_waited_for(self, recorded: Recorded) -> bool:
        """Whether the code that wrote history asked for nothing more until this operation had its result."""
        for event in self.history[recorded.index + 1 :]:
            if isinstance(event, OPERATIONS):
                return False
            if isinstance(event, _CLOSING) and event.event_id == recorded.event.event_id:
                return True
        return True
