"""The watch over open calls: none that is wanted is forgotten, whatever was wanted in between."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tenuto_engine.codec.records import ActivityBody
from tenuto_engine.ports.records import NEVER_MS, ActivityKey
from tenuto_engine.runtime import watch as watch_module
from tenuto_engine.runtime.call import Call
from tenuto_engine.runtime.watch import Watch


def _call(number: int) -> Call:
    body = ActivityBody("act", 1, 0, "me", 0, 1, None, 1_000, 0, 0, "flow")
    return Call(ActivityKey(number, "e", "order"), 0, body, attempt=1, revision=1, look_at_ms=NEVER_MS)


def _run(call: Call, *, since_ms: int) -> None:
    """A worker has it."""
    call.session, call.started_at_ms = cast("Any", object()), since_ms


def test_a_call_that_waited_for_a_worker_meanwhile_is_watched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its former moment may have been tidied away while nobody ran it; the next run has a moment of its own."""
    monkeypatch.setattr(watch_module, "_COMPACT_FROM", 2)
    watch = Watch(lambda call: call.session is not None)
    watch.nudge = lambda: None
    lost, *others = (_call(number) for number in range(4))
    _run(lost, since_ms=100)
    watch.set(lost)
    lost.session = None  # its worker went away
    for call in others:
        _run(call, since_ms=5_000)
        watch.set(call)
    _run(lost, since_ms=200)
    watch.set(lost)
    assert watch.take_due(1_200) == [lost]
