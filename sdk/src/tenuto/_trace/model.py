"""The explanation of one instance, as values that every renderer shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Verdict(Enum):
    """What a replay does at one step of the workflow function."""

    STARTS = "starts"
    SKIPPED = "skipped"
    RAISES = "raises"
    GIVEN = "given"
    OPEN = "waits"
    RETURNS = "returns"
    ENDED = "ended"
    NOTED = "noted"

    @property
    def meaning(self) -> str:
        """One sentence for the legend."""
        return _MEANINGS[self]


_MEANINGS = {
    Verdict.STARTS: "the function runs from its first line",
    Verdict.SKIPPED: "found in history: the recorded result is returned at once, nothing is executed",
    Verdict.RAISES: "found in history: the recorded failure is raised again at once, nothing is executed",
    Verdict.GIVEN: "an event that arrived: the wait for it gets the recorded payload",
    Verdict.OPEN: "scheduled, no result recorded: the function waits here",
    Verdict.RETURNS: "the function returns, and the recorded outcome stands",
    Verdict.ENDED: "the instance was ended from outside",
    Verdict.NOTED: "a fact of the engine that replay passes over",
}


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One record of history: its key, the turn that wrote it (from 1), and what it says."""

    key: str
    index: int
    turn: int
    at: str
    type: str
    event_id: int | None
    subject: str
    content: str


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """One step of a replay.

    Args:
        number: from 1.
        verdict: what happens, in a word.
        code: what the workflow function does here.
        happens: what it gets, in a sentence.
        because: which records decide that.
        keys: those records.
        payload: the recorded value, as text; empty: none.
        event_id: number of the operation; None where it is none.
        source: file and line of the statement, as recorded; empty where it was not.
    """

    number: int
    verdict: Verdict
    code: str
    happens: str
    because: str
    keys: tuple[str, ...]
    payload: str = ""
    event_id: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something that runs, or is waited for, from here on; `keys` are the records that make sure of it."""

    what: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StateKey:
    """A record, or a numbered range of records, of the state store; `size_bytes` is 0 where it is not known."""

    key: str
    count: int
    size_bytes: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Span:
    """An operation in time, from the turn that asked for it to the turn that took its result.

    Times in Unix ms; `end_ms` is None while there is no result.
    """

    event_id: int
    label: str
    verdict: Verdict
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True, slots=True)
class Trace:
    """All that can be said of one instance's replay. `facts` are label and value, for the head of a page.

    `problem`: the report of why it stalled, where it has several lines; else empty.
    """

    instance_id: str
    name: str
    status: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    events: tuple[TraceEvent, ...]
    steps: tuple[ReplayStep, ...]
    spans: tuple[Span, ...]
    nexts: tuple[NextStep, ...]
    store_key: str
    keys: tuple[StateKey, ...]
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the trace as JSON-compatible values."""
        found = asdict(self)
        found["facts"] = dict(self.facts)
        for name in ("steps", "spans"):
            found[name] = [{**one, "verdict": one["verdict"].value} for one in found[name]]
        return found
