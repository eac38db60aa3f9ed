"""Laws of the encoding: what is written is read back, newer trailing fields are passed over, and damage is noticed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto_engine.codec.events import (
    UndecodableError,
    decode_actions,
    decode_event,
    decode_failure,
    encode_event,
    encode_failure,
)
from tenuto_engine.codec.records import (
    ActivityBody,
    Envelope,
    InboxBody,
    MetadataBody,
    decode_activity,
    decode_envelope,
    decode_inbox,
    decode_metadata,
    encode_record,
)
from tenuto_engine.core.actions import Action
from tenuto_engine.core.events import Event, Failure, Parent, RetryPolicy
from tenuto_engine.core.state import OpenChild

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.integers(-(1 << 63), (1 << 63) - 1)
LEAVES: dict[type, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: NUMBER,
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
    float: st.floats(allow_nan=False, width=64),
    Failure: st.deferred(lambda: FAILURES),
}


def strategy(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation as the structs of events, actions and records use them."""
    if kind in LEAVES:
        return LEAVES[kind]
    if kind is type(None):
        return st.none()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return st.builds(kind, **{field.name: strategy(field.type) for field in fields})
    arguments = get_args(kind)
    if getattr(kind, "__origin__", None) is list:
        return st.lists(strategy(arguments[0]), max_size=3)
    assert arguments, kind
    return st.one_of(*map(strategy, arguments))


FAILURES: st.SearchStrategy[Failure] = st.recursive(
    st.builds(Failure, type=TEXT, message=TEXT, stack=TEXT, cause=st.none()),
    lambda causes: st.builds(Failure, type=TEXT, message=TEXT, cause=causes, bases=st.lists(TEXT, max_size=2)),
    max_leaves=4,
)
EVENTS: st.SearchStrategy[Event] = st.one_of(*map(strategy, get_args(Event)))
ACTIONS: st.SearchStrategy[Action] = st.one_of(*map(strategy, get_args(Action)))
RECORDS: dict[type, Callable[[bytes], Any]] = {
    InboxBody: decode_inbox,
    MetadataBody: decode_metadata,
    ActivityBody: decode_activity,
    Envelope: decode_envelope,
}


def with_more(data: bytes, extra: list[Any]) -> bytes:
    """The same array with elements behind its end, as a newer release would write it."""
    return msgspec.msgpack.encode([*msgspec.msgpack.decode(data), *extra])


@given(EVENTS)
def test_events_round_trip(event: Event) -> None:
    """Every event is read back as what was written, and its bytes are always the same."""
    data = encode_event(event)
    assert decode_event(data) == event
    assert encode_event(decode_event(data)) == data


@given(st.lists(ACTIONS, max_size=4))
def test_actions_round_trip(actions: list[Action]) -> None:
    """A list of actions is read back in its order."""
    assert decode_actions(msgspec.msgpack.encode(actions)) == actions


@given(FAILURES)
def test_failures_round_trip(failure: Failure) -> None:
    """A failure is read back with all its causes."""
    assert decode_failure(encode_failure(failure)) == failure


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_records_round_trip(kind: type, data: st.DataObject) -> None:
    """Every record's body is read back as what was written."""
    body = data.draw(strategy(kind))
    assert RECORDS[kind](encode_record(body)) == body


@given(EVENTS, st.lists(st.one_of(NUMBER, TEXT, st.none(), st.binary(max_size=4)), min_size=1, max_size=3))
def test_trailing_elements_are_passed_over(event: Event, extra: list[Any]) -> None:
    """An event with fields that a newer release added at its end is still the event."""
    fields = len(msgspec.structs.fields(event))
    data = encode_event(event)
    assert len(msgspec.msgpack.decode(data)) == fields + 1, "a missing element would be filled by the surplus"
    assert decode_event(with_more(data, extra)) == event


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_trailing_elements_of_records_are_passed_over(kind: type, data: st.DataObject) -> None:
    """A record with fields that a newer release added is still the record."""
    body = data.draw(strategy(kind))
    assert RECORDS[kind](with_more(encode_record(body), ["new"])) == body


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_missing_elements_take_their_defaults(kind: type[Any]) -> None:
    """An event written before its optional fields existed is read with their defaults."""
    required = [field for field in msgspec.structs.fields(kind) if field.required]
    values: dict[Any, Any] = {int: 7, str: "text", Failure: Failure("E", "no")}
    event = kind(**{field.name: values[field.type] for field in required})
    elements = msgspec.msgpack.decode(encode_event(event))
    assert decode_event(msgspec.msgpack.encode(elements[: len(required) + 1])) == event


@given(EVENTS, st.data())
def test_truncated_bytes_are_refused(event: Event, data: st.DataObject) -> None:
    """An event cut short anywhere is undecodable, never another event."""
    raw = encode_event(event)
    with pytest.raises(UndecodableError):
        decode_event(raw[: data.draw(st.integers(0, len(raw) - 1))])


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_truncated_records_are_refused(kind: type, data: st.DataObject) -> None:
    """A record cut short anywhere is undecodable."""
    raw = encode_record(data.draw(strategy(kind)))
    with pytest.raises(UndecodableError):
        RECORDS[kind](raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(st.binary(max_size=60))
def test_any_bytes_are_an_event_or_refused(data: bytes) -> None:
    """Whatever arrives is decoded or refused by one error, and nothing else happens."""
    for decode in (decode_event, decode_actions, decode_failure, *RECORDS.values()):
        with suppress(UndecodableError):
            decode(data)


@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_endless_causes_are_refused(depth: int) -> None:
    """A failure nested deeper than any stack is refused, as an event and as an action too, and crashes nothing."""
    raw = b"\x94\xa1E\xa1m\xa0" * depth + b"\x92\xa1E\xa1m"
    for decode, data in (
        (decode_failure, raw),
        (decode_event, b"\x93\x05\x00" + raw),
        (decode_actions, b"\x91\x93\x07\x00" + raw),
    ):
        with pytest.raises(UndecodableError, match="encoding 1"):
            decode(data)


def test_tags_are_unique_and_stay() -> None:
    """The tags of events and actions are those that stores and other SDKs know; they are never reused."""
    events = [kind.__struct_config__.tag for kind in get_args(Event)]
    actions = [kind.__struct_config__.tag for kind in get_args(Action)]
    assert events == list(range(1, 21))
    assert sorted(actions) == list(range(1, 9))


def test_empty_actions_are_none() -> None:
    """A turn that asks for nothing may send no bytes at all."""
    assert decode_actions(b"") == []


@given(strategy(OpenChild), strategy(Parent), strategy(RetryPolicy))
def test_parts_are_plain_arrays(child: OpenChild, parent: Parent, policy: RetryPolicy) -> None:
    """What stands inside events and records carries no tag: it is an array of its fields."""
    for part in (child, parent, policy):
        elements = msgspec.msgpack.decode(msgspec.msgpack.encode(part))
        assert len(elements) == len(msgspec.structs.fields(part))
