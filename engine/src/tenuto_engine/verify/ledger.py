"""What activities did, by their own account, against what the store holds of them (I7). The format: docs/verify.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from tenuto_engine.core import events as e
from tenuto_engine.verify.facts import Facts
from tenuto_engine.verify.findings import Finding, Found


class Run(msgspec.Struct, frozen=True):
    """One line of an activities' ledger: a run that began. `key`: the idempotency key it was given."""

    instance: str
    execution: str
    event: int
    attempt: int
    key: str = ""
    activity: str = ""
    at_ms: int = 0


_decode = msgspec.json.Decoder(Run).decode


def read_ledger(text: bytes) -> list[Run]:
    """Decode a ledger; a last line without its end is left out.

    Raises:
        ValueError: a whole line is none; the message names it.
    """
    runs: list[Run] = []
    whole = text[: text.rfind(b"\n") + 1]
    for number, raw in enumerate(whole.splitlines(), 1):
        try:
            runs.append(_decode(raw))
        except msgspec.MsgspecError as error:
            raise ValueError(f"line {number} of the ledger cannot be read: {error}") from error
    return runs


class Ledger:
    """All runs, by the call they belong to."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.count = len(runs)
        self._of: defaultdict[tuple[str, int], list[Run]] = defaultdict(list)
        for run in runs:
            self._of[run.execution, run.event].append(run)

    def runs_of(self, execution_id: str, event_id: int) -> Sequence[Run]:
        return self._of.get((execution_id, event_id), ())

    def check_keys(self) -> Iterable[Finding]:
        """Judge what needs no store: one call, one key, and no key of another call."""
        owners: dict[str, tuple[str, int]] = {}
        for call, runs in self._of.items():
            found = Found(-1, f"instance '{runs[0].instance}'")
            keys = sorted({run.key for run in runs})
            if len(keys) > 1:
                found.add("activity-key", f"activity {call[1]} of {call[0]}", expected="one key", found=keys)
            for key in filter(None, keys):
                if owners.setdefault(key, call) != call:
                    text = f"that of activity {owners[key][1]} of {owners[key][0]}"
                    found.add("activity-key", f"activity {call[1]} of {call[0]}", expected="its own key", found=text)
            yield from found.findings


def check_ledger(ledger: Ledger, facts: Facts) -> None:
    """Judge the calls of an instance's history: what completed has run, and none was tried too often.

    Calls that a rerun copied ran in another execution.
    """
    copied = next((i for i, x in enumerate(facts.history) if isinstance(x, e.RerunStarted)), 0)
    is_copied = facts.is_young and bool(facts.body.rerun_of)
    scheduled: dict[int, e.ActivityScheduled] = {}
    for index, event in enumerate(facts.history):
        if isinstance(event, e.ActivityScheduled):
            scheduled[event.event_id] = event
        elif isinstance(event, e.ActivityCompleted) and index >= copied and not is_copied:
            _check_completed(ledger, facts, event)
    for event_id, event in scheduled.items():
        limit = event.retry.max_attempts if event.retry is not None else 1
        highest = max((run.attempt for run in ledger.runs_of(facts.head.execution_id, event_id)), default=0)
        if limit and highest > limit:
            facts.found.add(
                "activity-attempts", f"activity {event_id}", expected=f"at most {limit}", found=f"attempt {highest} ran"
            )


def _check_completed(ledger: Ledger, facts: Facts, event: e.ActivityCompleted) -> None:
    attempts = sorted({run.attempt for run in ledger.runs_of(facts.head.execution_id, event.event_id)})
    if event.attempt not in attempts:
        text = f"attempts {attempts}" if attempts else "never"
        facts.found.add(
            "activity-unseen", f"activity {event.event_id}", expected=f"attempt {event.attempt} ran", found=text
        )
