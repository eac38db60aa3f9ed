"""What a replayed workflow asked for, as plain values that two replays can be compared by.

A transcript is the list of everything that leaves the workflow: operations in their order with their inputs, custom
statuses, the result. Payloads are JSON text before any codec. Where code stood (`source`) is shown, never compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from tenuto._replay import actions as a
from tenuto._replay import events as e
from tenuto._replay.stepping import SteppedCode

_MAX_SHOWN: Final = 160


class Entry(msgspec.Struct, frozen=True):
    """One thing that left the workflow.

    Args:
        turn: in which turn, from 1.
        kind: `activity`, `timer`, `result` and so on.
        name: of what was called; empty where it has none.
        event_id: the operation's number; 0 where it has none.
        values: what was given along, by name.
        source: the user's line, where it is known.
    """

    turn: int
    kind: str
    name: str = ""
    event_id: int = 0
    values: dict[str, str | None] = {}
    source: str = ""

    @property
    def headline(self) -> str:
        """The entry for people: kind, name, number, place."""
        text = f"{self.kind} '{self.name}'" if self.name else self.kind
        place = f"operation {self.event_id}" if self.event_id else f"turn {self.turn}"
        return f"{text} ({place}{f', at {self.source}' if self.source else ''})"


class Difference(msgspec.Struct, frozen=True):
    """Where two transcripts part: position, both entries (None: that one has ended), and the value that differs.

    `field` is empty where they ask for different things altogether.
    """

    position: int
    left: Entry | None
    right: Entry | None
    field: str = ""

    @property
    def is_structural(self) -> bool:
        """Whether kind, name or order differ, so that nothing behind can be compared."""
        return not self.field

    @property
    def where(self) -> Entry:
        """The entry to name the place by."""
        found = self.left if self.left is not None else self.right
        assert found is not None, "two ended transcripts do not differ"
        return found

    def sides(self) -> tuple[str, str]:
        """Both sides for people, in few words."""
        if self.field:
            return self._value(self.left), self._value(self.right)
        return _headline(self.left), _headline(self.right)

    def _value(self, entry: Entry | None) -> str:
        return shorten(str((entry.values if entry is not None else {}).get(self.field)))


def _headline(entry: Entry | None) -> str:
    return "nothing more" if entry is None else entry.headline


def shorten(text: str, limit: int = _MAX_SHOWN) -> str:
    """One line of at most `limit` characters, control characters escaped."""
    if not text.isprintable():
        text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def differences(left: Sequence[Entry], right: Sequence[Entry]) -> list[Difference]:
    """All differences in order; the first structural one is the last, for what follows it has no counterpart."""
    found: list[Difference] = []
    for position in range(max(len(left), len(right))):
        one = left[position] if position < len(left) else None
        other = right[position] if position < len(right) else None
        if one is None or other is None or _identity(one) != _identity(other):
            return [*found, Difference(position, one, other)]
        names = [*one.values, *(name for name in other.values if name not in one.values)]
        found += [
            Difference(position, one, other, name) for name in names if one.values.get(name) != other.values.get(name)
        ]
    return found


def _identity(entry: Entry) -> tuple[str, str, int]:
    return entry.kind, entry.name, entry.event_id


class Recorder:
    """The observer that writes the transcript."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._turn = 0
        self._statuses = 0

    def applying(self, event: e.Event) -> None:
        """Turns are counted by their first event."""
        if isinstance(event, e.TurnStarted):
            self._turn += 1

    def applied(self, event: e.Event, code: SteppedCode) -> None:
        """Nothing to write: what the code did is written as it does it."""

    def asked(self, action: a.Action) -> None:
        """An operation, or the end."""
        self.entries.append(_ENTRIES[type(action)](self._turn, action))

    def showed(self, custom_status: bytes) -> None:
        """A custom status."""
        self.entries.append(Entry(self._turn, "custom status", values={"value": text_of(custom_status)}))

    def note(self, kind: str, text: str) -> None:
        """Writes what ended the replay before its history did."""
        self.entries.append(Entry(self._turn, kind, values={"text": text}))


def text_of(payload: bytes | None) -> str | None:
    """A payload as text; bytes that are no UTF-8 with escapes."""
    return None if payload is None else payload.decode("utf-8", "backslashreplace")


def same_json(left: str | None, right: str | None) -> bool:
    """Whether two payloads are the same JSON but for the order of keys and spaces."""
    try:
        return bool(json.loads(left or "null") == json.loads(right or "null"))
    except (ValueError, RecursionError):
        return False


def _activity(turn: int, x: a.ScheduleActivity) -> Entry:
    return Entry(turn, "activity", x.name, x.event_id, {"input": text_of(x.input)}, x.source)


def _timer(turn: int, x: a.CreateTimer) -> Entry:
    return Entry(turn, "timer", "", x.event_id, {"due (ms)": str(x.due_at_ms)}, x.source)


def _child(turn: int, x: a.StartChild) -> Entry:
    values = {"instance id": x.instance_id, "input": text_of(x.input)}
    return Entry(turn, "child workflow", x.name, x.event_id, values, x.source)


def _sent(turn: int, x: a.SendEvent) -> Entry:
    values = {"receiver": x.instance_id, "payload": text_of(x.payload)}
    return Entry(turn, "event to another instance", x.name, x.event_id, values, x.source)


def _failed(turn: int, x: a.FailExecution) -> Entry:
    return Entry(turn, "failure", "", x.event_id, {"error": x.failure.type, "message": x.failure.message})


def _cancelled(turn: int, x: a.CancelTimer) -> Entry:
    return Entry(turn, "cancelled timer", "", x.event_id)


def _completed(turn: int, x: a.CompleteExecution) -> Entry:
    return Entry(turn, "result", "", x.event_id, {"value": text_of(x.result)})


def _continued(turn: int, x: a.ContinueAsNew) -> Entry:
    return Entry(turn, "continuation as new", "", x.event_id, {"input": text_of(x.input)})


# One entry per member of `Action`; a test compares the two.
_ENTRIES: Final[dict[type, Callable[[int, Any], Entry]]] = {
    a.ScheduleActivity: _activity,
    a.CreateTimer: _timer,
    a.CancelTimer: _cancelled,
    a.StartChild: _child,
    a.SendEvent: _sent,
    a.CompleteExecution: _completed,
    a.FailExecution: _failed,
    a.ContinueAsNew: _continued,
}


def recorded_entry(event: e.Event, decode: Callable[[bytes | None], bytes | None]) -> Entry | None:
    """What history holds of an operation, in the same form; None for events that are none.

    Args:
        event: the recorded event.
        decode: undoes the payload codec, where there is one.
    """
    match event:
        case e.ActivityScheduled():
            values = {"input": text_of(decode(event.input))}
            return Entry(0, "activity", event.name, event.event_id, values, event.source)
        case e.TimerCreated():
            return Entry(0, "timer", "", event.event_id, {"due (ms)": str(event.due_at_ms)}, event.source)
        case e.ChildCreated():
            values = {"instance id": event.instance_id, "input": text_of(decode(event.input))}
            return Entry(0, "child workflow", event.name, event.event_id, values, event.source)
        case e.EventSent():
            values = {"receiver": event.instance_id, "payload": text_of(decode(event.payload))}
            return Entry(0, "event to another instance", event.name, event.event_id, values, event.source)
        case e.ExecutionCompleted():
            return Entry(0, "result", "", event.event_id, {"value": text_of(decode(event.result))})
        case e.ExecutionFailed():
            failure = event.failure
            return Entry(0, "failure", "", event.event_id, {"error": failure.type, "message": failure.message})
        case _:
            return None
