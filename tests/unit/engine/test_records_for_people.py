"""Stored records decoded for people."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tenuto_engine.codec.events import encode_event
from tenuto_engine.codec.records import InboxBody, MetadataBody, encode_record
from tenuto_engine.core import events as e
from tenuto_engine.core.status import Hold, Status
from tenuto_engine.edge.records import record_json
from tenuto_engine.ports.records import Head, Stored

STORED = Stored(Head(Status.SUSPENDED, Hold.SUSPENDED, "x1", "c1", 2, 1, 0, "v1", "start"), b"", 7)


def shown(name: str, record: bytes) -> Any:
    """A record as `tenuto state show` receives it."""
    return json.loads(record_json(name, record, STORED))


def test_history_records_name_their_event() -> None:
    """An event is shown by its name and fields; payloads that are JSON are shown as what they say."""
    event = e.ActivityFailed(3, e.Failure("E", "no", cause=e.Failure("F", "why")), 2)
    found = shown("history-000001", encode_event(event))
    assert (found["event"], found["event_id"], found["attempt"]) == ("ActivityFailed", 3, 2)
    assert found["failure"]["cause"]["message"] == "why"
    assert shown("history-000002", encode_event(e.EventRaised("paid", b'{"sum": 7}')))["payload"] == {"sum": 7}


def test_inbox_records_hold_their_event() -> None:
    """A message is shown with its id, its time and the event it will become."""
    record = encode_record(InboxBody("m1", 5, "x1", encode_event(e.TimerFired(4))))
    assert shown("inbox-000003", record) == {
        "message_id": "m1",
        "at_ms": 5,
        "execution_id": "x1",
        "event": {"event": "TimerFired", "event_id": 4},
    }


def test_metadata_joins_head_and_body() -> None:
    """The head's words and the inbox numbering stand beside the body's fields."""
    found = shown("metadata", encode_record(MetadataBody("ship", 2, 10, 20)))
    assert (found["status"], found["hold"], found["inbox_next"]) == ("SUSPENDED", "SUSPENDED", 7)
    assert (found["name"], found["generation"], found["execution_id"]) == ("ship", 2, "x1")


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'"caf\xc3\xa9"', "café"),
        (b'"\\ud800"', "\ud800"),
        (b"plain text", {"base64": "cGxhaW4gdGV4dA=="}),
        (b"\xff\xfe", {"base64": "//4="}),
        (b"[" * 100_000, {"base64": base64.b64encode(b"[" * 100_000).decode()}),
        (b"", {"base64": ""}),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_any_payload_can_be_shown(payload: bytes, said: object) -> None:
    """JSON is shown as it is, all else (a codec's bytes, nesting beyond any stack) as base64; both always travel."""
    text = record_json("customStatus", payload, STORED)
    assert json.loads(text) == said
    text.encode()


@pytest.mark.parametrize("name", ["history-000000", "inbox-000000", "metadata"])
@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\xcc\xff\x01"], ids=repr)
def test_damaged_records_say_so(name: str, data: bytes) -> None:
    """A record that cannot be decoded is shown with the reason, and hides no other."""
    assert "encoding 1" in shown(name, data)["undecodable"]
