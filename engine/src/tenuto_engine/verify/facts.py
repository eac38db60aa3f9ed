"""One instance as its records say it is: decoded, folded, and what could not be decoded named."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from tenuto_engine.codec.events import UndecodableError, decode_event
from tenuto_engine.codec.records import InboxBody, MetadataBody, decode_inbox, decode_metadata
from tenuto_engine.core.apply import fold
from tenuto_engine.core.events import Event
from tenuto_engine.core.state import InstanceState, OpenChild
from tenuto_engine.core.status import TERMINAL
from tenuto_engine.ports.audit import InstanceAudit
from tenuto_engine.ports.records import Head
from tenuto_engine.verify.findings import Found

_NUMBERED = re.compile(r"(history|inbox)-(\d{6,})")
_Value = TypeVar("_Value")


class Unread(msgspec.Struct, frozen=True):
    """One message of the inbox."""

    number: int
    body: InboxBody
    event: Event


class Facts(msgspec.Struct):
    """What one instance's records say. `state` is the fold of what could be read of `history`."""

    shard: int
    head: Head
    body: MetadataBody
    inbox_next: int
    history: list[Event]
    sizes: list[int]
    inbox: list[Unread]
    state: InstanceState
    found: Found
    is_whole: bool = True

    @property
    def instance_id(self) -> str:
        return self.state.instance_id

    @property
    def is_over(self) -> bool:
        return self.head.status in TERMINAL

    @property
    def is_young(self) -> bool:
        """No turn was committed yet."""
        return self.head.commit_id == ""


def stamp_of(audit: InstanceAudit) -> str:
    """Where an instance stands: whatever happens to it changes this."""
    head = audit.stored.head
    return f"{head.execution_id} {head.commit_id} {audit.stored.inbox_next}"


def read_facts(shard: int, audit: InstanceAudit) -> Facts:
    """Decode an instance; what cannot be read is a finding, and the rest is judged without it."""
    head = audit.stored.head
    found = Found(shard, f"instance '{audit.instance_id}'", stamp_of(audit))
    for defect in audit.defects:
        found.add("orphan", defect.where, expected="as every release writes it", found=defect.problem)
    body = _decode(found, "metadata", decode_metadata, audit.stored.metadata)
    is_whole = body is not None
    history: dict[int, bytes] = {}
    unread: list[Unread] = []
    for name, value in audit.records:
        match _NUMBERED.fullmatch(name):
            case None if name == "customStatus":
                continue
            case None:
                found.add("orphan", name, expected="a record of a known name", found=f"{len(value)} bytes")
            case parts if parts[1] == "history":
                history[int(parts[2])] = value
            case parts:
                message = _read_message(found, name, int(parts[2]), value)
                is_whole = is_whole and message is not None
                if message is not None:
                    unread.append(message)
    unread.sort(key=lambda message: message.number)
    _check_names(found, head.history_length, history)
    events: list[Event] = []
    sizes: list[int] = []
    for index in range(head.history_length):
        raw = history.get(index)
        event = None if raw is None else _decode(found, f"history-{index:06d}", decode_event, raw)
        if raw is None or event is None:
            break
        events.append(event)
        sizes.append(len(raw))
    is_whole = is_whole and len(events) == head.history_length
    body = body or MetadataBody("", 1, 0, 0)
    return Facts(
        shard, head, body, audit.stored.inbox_next, events, sizes, unread,
        _fold(audit.instance_id, head, body, list(zip(events, sizes, strict=True))), found, is_whole,
    )  # fmt: skip


def _decode(found: Found, record: str, decode: Callable[[bytes], _Value], data: bytes) -> _Value | None:
    try:
        return decode(data)
    except UndecodableError as error:
        rule = "inbox-unreadable" if record.startswith("inbox") else "history-unreadable"
        found.add(rule, record, expected="bytes of a known encoding", found=error)
        return None


def _read_message(found: Found, name: str, number: int, value: bytes) -> Unread | None:
    body = _decode(found, name, decode_inbox, value)
    event = None if body is None else _decode(found, name, decode_event, body.event)
    return None if body is None or event is None else Unread(number, body, event)


def _check_names(found: Found, length: int, history: dict[int, bytes]) -> None:
    missing = [index for index in range(length) if index not in history]
    beyond = sorted(index for index in history if index >= length)
    if missing:
        text = f"{len(missing)} missing, the first is history-{missing[0]:06d}"
        found.add("history-names", "history", expected=f"{length} records", found=text)
    if beyond:
        text = f"{len(beyond)} beyond, the first is history-{beyond[0]:06d}"
        found.add("history-names", "history", expected=f"{length} records", found=text)


def _fold(instance_id: str, head: Head, body: MetadataBody, recorded: Sequence[tuple[Event, int]]) -> InstanceState:
    state = InstanceState(
        instance_id=instance_id,
        execution_id=head.execution_id,
        version=head.version,
        parent=body.parent,
        generation=body.generation,
        carried=list[OpenChild](body.children),
    )
    fold(state, recorded)
    return state
