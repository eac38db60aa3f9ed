"""History as clients see it: events in order, with their record key, turn and time; and their JSON form.

The JSON form (`tenuto workflow history --export`, read by replay tests) is one object::

    {"format": "tenuto-history/1", "instance_id": ..., "execution_id": ..., "name": ..., "version": ...,
     "events": [{"index": 0, "type": "TurnStarted", "fields": {"at_ms": ..., "patches": []}}, ...]}

Types and fields are those of `proto/ENCODING.md`, so a reader may leave out fields that have their default. A payload
is null for None, else a string: the JSON text exactly as recorded (after the client's payload codec). Payloads that
are not UTF-8 are `{"base64": "..."}`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, overload

import msgspec

from tenuto._payloads import PayloadCodec
from tenuto._replay import events
from tenuto._wire.instances import moment
from tenuto_proto.v1 import management_pb2 as pb

FORMAT: Final = "tenuto-history/1"
PAYLOAD_FIELDS: Final = ("input", "result", "payload", "output")


class UnknownEvent(msgspec.Struct, frozen=True):
    """An event of a type that this release does not know: written by a newer engine. `content` is its raw array."""

    tag: int
    content: list[Any]


class HistoryEvent:
    """One recorded fact.

    Args:
        index: position in history, from 0; the record is `history-NNNNNN`.
        turn: the turn that recorded it, from 1.
        at: that turn's time; UTC.
        event: its content; which fields it has depends on `type`.
    """

    __slots__ = ("at", "event", "index", "turn")

    def __init__(self, index: int, turn: int, at: datetime | None, event: events.Event | UnknownEvent) -> None:
        self.index = index
        self.turn = turn
        self.at = at
        self.event = event

    @property
    def key(self) -> str:
        """Name of the record in the state store."""
        return f"history-{self.index:06d}"

    @property
    def type(self) -> str:
        """Name of the event's type, for example `ActivityCompleted`."""
        return type(self.event).__name__

    @property
    def event_id(self) -> int | None:
        """The number of the operation that the event belongs to, None where it belongs to none."""
        number = getattr(self.event, "event_id", None)
        return number if isinstance(number, int) else None

    def to_json(self) -> dict[str, Any]:
        """Return the event in the documented JSON form, with key, turn and time beside it."""
        return {
            "index": self.index,
            "key": self.key,
            "turn": self.turn,
            "at": None if self.at is None else self.at.isoformat(),
            "type": self.type,
            "fields": plain(self.event),
        }

    def __repr__(self) -> str:
        return f"<{self.key} turn {self.turn} {self.event!r}>"


class WorkflowHistory(Sequence[HistoryEvent]):
    """The history of one execution, in order: a sequence of events.

    Args:
        instance_id: the instance.
        execution_id: the execution that the events belong to.
        items: the events.
    """

    def __init__(self, instance_id: str, execution_id: str, items: list[HistoryEvent]) -> None:
        self.instance_id = instance_id
        self.execution_id = execution_id
        self._items = items

    @overload
    def __getitem__(self, index: int) -> HistoryEvent: ...
    @overload
    def __getitem__(self, index: slice) -> list[HistoryEvent]: ...
    def __getitem__(self, index: int | slice) -> HistoryEvent | list[HistoryEvent]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[HistoryEvent]:
        return iter(self._items)

    @property
    def started(self) -> events.ExecutionStarted | None:
        """The fact that began this execution: workflow name, version, input, parent. None before the first turn."""
        found = (item.event for item in self._items if isinstance(item.event, events.ExecutionStarted))
        return next(found, None)

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON form, which replay tests read."""
        started = self.started
        return {
            "format": FORMAT,
            "instance_id": self.instance_id,
            "execution_id": self.execution_id,
            "name": "" if started is None else started.name,
            "version": "" if started is None else started.version,
            "events": [{"index": item.index, "type": item.type, "fields": plain(item.event)} for item in self._items],
        }

    def __repr__(self) -> str:
        return f"<WorkflowHistory of {self.instance_id!r}, execution {self.execution_id}, {len(self)} events>"


def read_history(instance_id: str, pages: list[pb.HistoryPage], codec: PayloadCodec | None) -> WorkflowHistory:
    """Join pages; where the execution changed between them, only the pages of the last one count."""
    execution_id = pages[-1].execution_id if pages else ""
    raw = [data for page in pages if page.execution_id == execution_id for data in page.events]
    return WorkflowHistory(instance_id, execution_id, number_events([decode_event(data, codec) for data in raw]))


def number_events(found: Sequence[events.Event | UnknownEvent]) -> list[HistoryEvent]:
    """Give each event its index, turn and time."""
    items: list[HistoryEvent] = []
    turn, at = 0, None
    for index, event in enumerate(found):
        if isinstance(event, events.TurnStarted):
            turn += 1
            at = moment(event.at_ms)
        items.append(HistoryEvent(index, turn, at, event))
    return items


def decode_event(data: bytes, codec: PayloadCodec | None = None) -> events.Event | UnknownEvent:
    """Decode one event; payloads pass through the codec's `decode`. An unknown type is kept as what it is."""
    try:
        event = events.decode_event(data)
    except msgspec.ValidationError:
        content = msgspec.msgpack.decode(data)
        return UnknownEvent(tag=content[0], content=content[1:])
    if codec is None:
        return event
    changed = {
        name: codec.decode(value) for name in PAYLOAD_FIELDS if isinstance(value := getattr(event, name, None), bytes)
    }
    return msgspec.structs.replace(event, **changed) if changed else event


def plain(value: Any) -> Any:
    """Return a struct, with all inside it, as JSON-compatible values in the documented form."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return payload_json(value)
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def payload_json(data: bytes) -> str | dict[str, str]:
    """Return payload bytes in the documented form: their text, or base64 where they are none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def export_json(history: WorkflowHistory) -> str:
    """Return the documented JSON form as text, one event a line, so that a diff shows what changed."""
    form = history.to_json()
    lines = ",\n".join(f"    {json.dumps(event, ensure_ascii=False)}" for event in form.pop("events"))
    head = json.dumps(form, ensure_ascii=False, indent=2).rstrip("}\n")
    return f'{head},\n  "events": [\n{lines}\n  ]\n}}\n'
