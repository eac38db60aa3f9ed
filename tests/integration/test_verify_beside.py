"""`tenuto verify` beside the store: what clients were told and activities did, by their own logs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from broken_store import FAR_MS, Broken, make_good
from tenuto_engine.codec.events import decode_event
from tenuto_engine.core import events as e
from tenuto_engine.storage.memory import MemoryState
from tenuto_engine.verify.clients import Clients, Line
from tenuto_engine.verify.ledger import Ledger, Run


@pytest.fixture(scope="module")
def good() -> MemoryState:
    """What real workflows left. Do not change it."""
    return asyncio.run(make_good())


@pytest.fixture
def broken(good: MemoryState) -> Broken:
    return Broken(good)


async def test_nothing_may_be_open_where_all_is_said_to_have_ended(broken: Broken) -> None:
    """`settled` turns what still waits, or is on its way, into findings."""
    broken.send(0, "done", e.EventRaised("x"), number=1)
    open_ones = {"waiting", "waiting/kid", "held", "later", "renewed"}
    expected = {("not-ended", f"instance '{name}'") for name in open_ones} | {("backlog", "shard 0")}
    assert await broken.rules(settled=True) == expected


async def test_plain_text_is_found_where_a_codec_should_hide_it(broken: Broken) -> None:
    """A text is searched for in every record, and found in histories and inboxes."""
    assert await broken.rules(plaintext=b"no such text") == set()
    found = await broken.rules(plaintext=b'"sender"')
    assert found == {("plaintext", "instance 'waiting'")}


def start_line(broken: Broken, name: str, **changes: Any) -> Line:
    known = Line("start", 1, name, 1, execution=broken.execution(name), name="once", payload="3")
    return replace(known, **changes)


def note(number: int, **changes: Any) -> Line:
    payload = json.dumps({"number": number, "sender": "ann"})
    line = Line("event", FAR_MS, "waiting", FAR_MS, name="note", payload=payload, sender="ann", number=number)
    return replace(line, **changes)


async def test_what_clients_were_told_and_stands_there_is_fine(broken: Broken) -> None:
    """Starts, events in order, and results that clients were told are found as they are."""
    lines = [start_line(broken, "done"), note(0), note(1)]
    lines.append(Line("result", 2, "done", 1, execution=broken.execution("done"), status="COMPLETED", payload="6"))
    assert await broken.rules(clients=Clients(lines)) == set()


CLIENTS: list[tuple[Callable[[Broken], list[Line]], str, str]] = [
    (lambda b: [start_line(b, "done", instance="gone")], "start-lost", "gone"),
    (lambda b: [start_line(b, "done", execution="another")], "start-lost", "done"),
    (lambda b: [start_line(b, "done", payload="4")], "start-differs", "done"),
    (lambda b: [replace(start_line(b, "done"), name="twice")], "start-differs", "done"),
    (lambda b: [start_line(b, "done", payload="4", execution="")], "start-differs", "done"),
    (lambda b: [note(2)], "event-lost", "waiting"),
    (lambda b: [replace(note(0), number=1), replace(note(1), number=0)], "event-order", "waiting"),
    (
        lambda b: [Line("result", 1, "done", 1, execution=b.execution("done"), status="COMPLETED", payload="7")],
        "result-differs",
        "done",
    ),
    (
        lambda b: [Line("result", 1, "done", 1, execution="x", status="COMPLETED", payload=str(n)) for n in (1, 2)],
        "result-differs",
        "done",
    ),
]


@pytest.mark.parametrize(("log", "rule", "name"), CLIENTS)
async def test_each_broken_promise_to_a_client_is_named(
    broken: Broken, log: Callable[[Broken], list[Line]], rule: str, name: str
) -> None:
    """What a client was told and does not stand there is found, and nothing else is."""
    assert await broken.rules(clients=Clients(log(broken))) == {(rule, f"instance '{name}'")}


async def test_an_event_recorded_twice_is_found(broken: Broken) -> None:
    """An event that a client raised once, and that stands there twice, is found."""
    index = broken.event("waiting", e.EventRaised)
    broken.insert("waiting", index, decode_event(broken.instance("waiting").history[index]))
    # The place of the scheduled call in history moved with it.
    assert ("event-twice", "instance 'waiting'") in await broken.rules(clients=Clients([note(0)]))


EXCUSED: list[list[Line]] = [
    [Line("start", 1, "gone", 1, execution="x"), Line("purge", 2, "gone", 2, outcome="unknown")],
    [Line("start", 1, "gone", 1, outcome="unknown")],
    [Line("store-died", 1_500), Line("start", 1_000, "gone", 900, execution="x")],
    [note(7, outcome="unknown")],
    [note(7, at_ms=1_000), Line("store-died", 1_500)],
    [note(7, instance="done")],
]


@pytest.mark.parametrize("log", EXCUSED)
async def test_what_may_be_missing_is_not_missed(broken: Broken, log: list[Line]) -> None:
    """Unknown outcomes, purges, ended instances, and the declared second before a death of the store are excused."""
    assert await broken.rules(clients=Clients(log, lost_ms=1_000)) == set()


async def test_only_the_declared_second_is_excused(broken: Broken) -> None:
    """An acknowledgement older than what the tier may lose is missed, whatever died later."""
    lines = [Line("store-died", 2_500), Line("start", 1_000, "gone", 900, execution="x")]
    assert await broken.rules(clients=Clients(lines, lost_ms=1_000)) == {("start-lost", "instance 'gone'")}


def run_line(broken: Broken, **changes: Any) -> Run:
    event = decode_event(broken.instance("done").history[broken.event("done", e.ActivityScheduled)])
    known = Run("done", broken.execution("done"), event.event_id, 1, "key-1")  # type: ignore[union-attr]
    return replace(known, **changes)


def others(broken: Broken) -> list[Run]:
    """The runs of all calls but that of `done`."""
    runs: list[Run] = []
    for name in ("rerun", "renewed"):
        for raw in broken.instance(name).history:
            event = decode_event(raw)
            if isinstance(event, e.ActivityCompleted):
                runs.append(Run(name, broken.execution(name), event.event_id, 1, f"key of {name}"))
    return runs


async def test_a_ledger_that_tells_the_same_is_fine(broken: Broken) -> None:
    """Calls that ran once, or again as the same attempt, are as they should be."""
    runs = [run_line(broken), run_line(broken), *others(broken)]
    assert await broken.rules(ledger=Ledger(runs)) == set()


LEDGERS: list[tuple[Callable[[Broken], list[Run]], str]] = [
    (lambda b: [], "activity-unseen"),
    (lambda b: [run_line(b), run_line(b, key="key-2")], "activity-key"),
    (lambda b: [run_line(b), run_line(b, attempt=2)], "activity-attempts"),
    (lambda b: [run_line(b), run_line(b, event=98)], "activity-key"),
]


@pytest.mark.parametrize(("runs", "rule"), LEDGERS)
async def test_each_broken_promise_to_an_activity_is_named(
    broken: Broken, runs: Callable[[Broken], list[Run]], rule: str
) -> None:
    """What activities did and no history explains is found, and nothing else is."""
    assert await broken.rules(ledger=Ledger([*runs(broken), *others(broken)])) == {(rule, "instance 'done'")}
