"""History as clients see it: events in order, with their record key, turn and time; and their JSON form.

The JSON form (`tenuto workflow history --export`, read by replay tests) is one object::

    {"format": "tenuto-history/1", "instance_id": ..., "execution_id": ..., "name": ..., "version": ...,
     "events": [{"index": 0, "type": "TurnStarted", "fields": {"at_ms": ..., "patches": []}}, ...]}

Types and fields are those of `proto/ENCODING.md`, so a reader may leave out fields that have their default. A payload
is null for None, else a string: the JSON text exactly as recorded (after the client's payload codec). Payloads that
are not UTF-8 are `{"base64": "..."}`. Where a client's codec has decoded them, `"payloads": "decoded"` stands in the
head: who replays such a history must not decode them again.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import UnionType
from typing import Any, Final, TypeGuard, get_args, overload

import msgspec

from tenuto._payloads import PayloadCodec
from tenuto._replay import events
from tenuto._wire.instances import moment
from tenuto.errors import UnreadableHistory
from tenuto_proto.v1 import management_pb2 as pb

FORMAT: Final = "tenuto-history/1"
PAYLOAD_FIELDS: Final = ("input", "result", "payload", "output")
# The first millisecond of year 10000: the engine records no moment beyond, and Python's calendar knows none.
_END_OF_TIME_MS: Final = 253_402_300_800_000
_KINDS: Final[dict[str, type[events.Event]]] = {kind.__name__: kind for kind in get_args(events.Event)}


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
        is_decoded: whether a payload codec has decoded the payloads; False: they are as recorded.
    """

    def __init__(
        self, instance_id: str, execution_id: str, items: list[HistoryEvent], *, is_decoded: bool = False
    ) -> None:
        self.instance_id = instance_id
        self.execution_id = execution_id
        self.is_decoded = is_decoded
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
            **({"payloads": "decoded"} if self.is_decoded else {}),
            "events": [{"index": item.index, "type": item.type, "fields": plain(item.event)} for item in self._items],
        }

    def __repr__(self) -> str:
        return f"<WorkflowHistory of {self.instance_id!r}, execution {self.execution_id}, {len(self)} events>"


def read_history(instance_id: str, pages: list[pb.HistoryPage], codec: PayloadCodec | None) -> WorkflowHistory:
    """Join pages; where the execution changed between them, only the pages of the last one count."""
    execution_id = pages[-1].execution_id if pages else ""
    raw = [data for page in pages if page.execution_id == execution_id for data in page.events]
    items = number_events([decode_event(data, codec) for data in raw])
    return WorkflowHistory(instance_id, execution_id, items, is_decoded=codec is not None)


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


def import_json(text: str | bytes, *, source: str = "") -> WorkflowHistory:
    """Read the documented JSON form, as `export_json` and `tenuto workflow history --export` write it.

    Args:
        text: the JSON.
        source: how errors call it, for example its file's name; empty: "the history".

    Raises:
        UnreadableHistory: it is not of this form, or of a newer one; the message names the place and what to do.
    """
    return _Reader(source or "the history").read(text)


class _Reader:
    """Reads one exported history; every refusal begins with where it is."""

    def __init__(self, source: str) -> None:
        self._source = source

    def refuse(self, problem: str, where: str = "") -> UnreadableHistory:
        """The error for what stands at a place inside."""
        place = f"{self._source}: {where}" if where else self._source
        return UnreadableHistory(f"{place} {problem}", source=self._source)

    def read(self, text: str | bytes) -> WorkflowHistory:
        form = self._parse(text)
        found = form.get("events")
        if not _is_list(found):
            raise self.refuse("has no list of events; export it again: tenuto workflow history INSTANCE --export FILE")
        items = number_events([self._event(entry, position) for position, entry in enumerate(found)])
        instance_id, execution_id = self._text(form, "instance_id"), self._text(form, "execution_id")
        return WorkflowHistory(instance_id, execution_id, items, is_decoded=form.get("payloads") == "decoded")

    def _parse(self, text: str | bytes) -> dict[str, Any]:
        try:
            form: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise self.refuse(f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
        except (UnicodeDecodeError, RecursionError) as error:
            raise self.refuse(f"is not JSON: {error}") from error
        if not _is_dict(form):
            raise self.refuse("is JSON, but no exported history: it holds no object")
        version = form.get("format")
        if version == FORMAT:
            return form
        if version is None and "events" in form:
            raise self.refuse(
                "shows a history without being an export; write one with: tenuto workflow history INSTANCE "
                "--export FILE"
            )
        if version is None:
            raise self.refuse('is JSON, but no exported history: it has no "format"')
        raise self.refuse(f"has the format {version!r}, and this release reads {FORMAT!r}; upgrade tenuto to read it")

    def _text(self, form: dict[str, Any], name: str) -> str:
        value = form.get(name)
        if not isinstance(value, str):
            raise self.refuse(f'has no text as "{name}"')
        return value

    def _event(self, entry: Any, position: int) -> events.Event:
        where = f"events[{position}]"
        if not _is_dict(entry):
            raise self.refuse("is no object", where)
        name = entry.get("type")
        kind = _KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            raise self.refuse(
                f"has the type {name!r}, which this release does not know: a newer engine wrote it; upgrade tenuto",
                where,
            )
        index = entry.get("index", position)
        if index != position:
            raise self.refuse(f"has the index {index!r}, but is event {position} of the file: some are missing", where)
        event: events.Event = self._struct(entry.get("fields", {}), kind, f"{where} ({name})")
        return event

    def _struct(self, fields: Any, kind: type[Any], where: str) -> Any:
        """A struct of `kind`; names that it does not have are passed over, as the encoding's surplus elements are."""
        if not _is_dict(fields):
            raise self.refuse("has no object as its fields", where)
        values = {
            field.name: self._value(fields[field.name], (kind, field), f"{where}.{field.name}")
            for field in msgspec.structs.fields(kind)
            if field.name in fields
        }
        try:
            return kind(**values)
        except TypeError as error:
            raise self.refuse(f"is incomplete: {error}", where) from error

    def _value(self, raw: Any, of: tuple[type[Any], msgspec.structs.FieldInfo], where: str) -> Any:
        kind, field = of
        if field.name in PAYLOAD_FIELDS:
            return self._payload(raw, where)
        if raw is None and type(None) in get_args(field.type):
            return None
        inner = _struct_inside(field.type)
        if inner is not None:
            if isinstance(field.type, UnionType) or field.type is inner:
                return self._struct(raw, inner, where)
            return [self._struct(one, inner, f"{where}[{i}]") for i, one in enumerate(self._list(raw, where))]
        try:
            value = msgspec.convert(raw, field.type)
        except msgspec.ValidationError as error:
            raise self.refuse(f"is not valid: {error}", where) from error
        if kind is events.TurnStarted and field.name == "at_ms" and not 0 <= value < _END_OF_TIME_MS:
            raise self.refuse(f"is {value} ms, which is no moment before year 10000", where)
        return value

    def _list(self, raw: Any, where: str) -> list[Any]:
        if not _is_list(raw):
            raise self.refuse("is no list", where)
        return raw

    def _payload(self, raw: Any, where: str) -> bytes | None:
        try:
            if raw is None:
                return None
            if isinstance(raw, str):
                return raw.encode()
            if _is_dict(raw) and isinstance(coded := raw.get("base64"), str):
                return base64.b64decode(coded, validate=True)
        except (UnicodeEncodeError, binascii.Error) as error:
            raise self.refuse(f"is no payload: {error}", where) from error
        raise self.refuse('is no payload: neither null, nor text, nor {"base64": "..."}', where)


def _struct_inside(annotation: Any) -> type[Any] | None:
    """The struct that a field holds: alone, optional, or as a list."""
    found = [one for one in (annotation, *get_args(annotation)) if isinstance(one, type)]
    return next((one for one in found if issubclass(one, msgspec.Struct)), None)


def _is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
