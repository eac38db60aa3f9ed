"""Entries of open activity calls as bytes, and what the owner and the runner of a call read out of them."""

from __future__ import annotations

import msgspec
import pytest

from tenuto_engine.codec.records import ActivityBody, decode_activity, encode_record
from tenuto_engine.ports.records import NEVER_MS, ActivityKey, ActivityRecord
from tenuto_engine.runtime.call import Call, token_of

KEY = ActivityKey(1, "x1", "order-1")
BODY = ActivityBody("ship", 3, 1_000, "engine-1", 1_000, 1)


def call(**fields: object) -> Call:
    """A call whose entry has these fields."""
    body = msgspec.structs.replace(BODY, **fields)
    return Call(KEY, 0, body, attempt=1, revision=1, look_at_ms=NEVER_MS)


@pytest.mark.parametrize("length", range(6, len(ActivityBody.__struct_fields__) + 1))
def test_entries_of_former_releases_are_read(length: int) -> None:
    """Fields were only added at the end: an entry without the newest ones has their defaults."""
    written: list[object] = msgspec.msgpack.decode(encode_record(BODY))
    assert decode_activity(msgspec.msgpack.encode(written[:length])) == BODY


def test_the_token_of_a_delivery_names_attempt_and_delivery() -> None:
    """A delivery has a token of its own, which any engine can make from the entry."""
    assert call(deliveries=4).token == token_of(KEY, attempt=1, deliveries=4)


def test_an_answered_attempt_does_not_count_as_a_vanished_delivery() -> None:
    """Each former attempt ended with an answer or a timeout, so one of its deliveries is not counted."""
    third = Call(KEY, 0, msgspec.structs.replace(BODY, deliveries=5), attempt=3, revision=9, look_at_ms=0)
    assert third.unanswered == 3


def test_what_is_read_late_does_not_undo_what_was_written() -> None:
    """An older revision is ignored, unless it was certainly read after the last write."""
    known = Call(KEY, 0, BODY, attempt=2, revision=5, look_at_ms=NEVER_MS)
    older = ActivityRecord(KEY, 1, 4, 7, b"")
    known.learn(older, BODY)
    assert (known.attempt, known.revision) == (2, 5)
    known.learn(older, BODY, is_latest=True)
    assert (known.attempt, known.revision, known.look_at_ms) == (1, 4, 7)


def test_only_a_running_attempt_is_watched_by_its_runner() -> None:
    """Start-to-close and heartbeat timeouts count from the hand-out and the last sign of life."""
    waiting = call(start_to_close_ms=50, heartbeat_ms=20)
    assert waiting.runner_looks_at_ms() == NEVER_MS
    assert waiting.deadline_ms() == NEVER_MS
    assert call(schedule_to_close_ms=70).deadline_ms() == 1_070


def test_a_call_waits_for_a_worker_once_its_next_attempt_is_due() -> None:
    """Neither a call that runs nor one that waits for its next attempt waits for a worker."""
    assert not call().waits_for_worker(5_000)
    assert call(claim="").waits_for_worker(5_000)
    assert not call(claim="", due_at_ms=6_000).waits_for_worker(5_000)
