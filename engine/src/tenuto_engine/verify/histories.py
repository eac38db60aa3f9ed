"""One history by itself: is it a legal record of one execution, and does metadata say the same (I1, I2, I3, I6)?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from tenuto_engine.core import events as e
from tenuto_engine.core.status import TERMINAL, Hold, Status
from tenuto_engine.verify.facts import Facts
from tenuto_engine.verify.findings import Found

# The time of a turn is its owner's estimate of the store's clock, by which the timer fired.
CLOCK_ERROR_MS = 1_000

_TERMINAL_EVENTS: dict[type, Status] = {
    e.ExecutionCompleted: Status.COMPLETED,
    e.ExecutionFailed: Status.FAILED,
    e.ExecutionTerminated: Status.TERMINATED,
}
_Opening = e.ActivityScheduled | e.TimerCreated | e.ChildCreated
_Closing = e.ActivityCompleted | e.ActivityFailed | e.TimerFired | e.ChildCompleted | e.ChildFailed
_OPENS: dict[type, str] = {e.ActivityScheduled: "activity", e.TimerCreated: "timer", e.ChildCreated: "child"}
CLOSES: dict[type, str] = {
    e.ActivityCompleted: "activity",
    e.ActivityFailed: "activity",
    e.TimerFired: "timer",
    e.ChildCompleted: "child",
    e.ChildFailed: "child",
}
_NEVER_STORED = (e.ContinuedAsNew, e.WokenUp)


def check_history(facts: Facts) -> None:
    """Judge a history and what metadata says of it."""
    found, body = facts.found, facts.body
    _check_end(facts)
    _check_operations(found, facts.history)
    _check_start(facts)
    _check_times(facts)
    if facts.is_whole:
        found.expect("history-bytes", "metadata", expected=body.history_bytes, found=sum(facts.sizes))
        _check_status(facts)


def _check_end(facts: Facts) -> None:
    """One terminal event, last, and the status is its own."""
    found, head = facts.found, facts.head
    ends = [index for index, event in enumerate(facts.history) if type(event) in _TERMINAL_EVENTS]
    for index in ends[:-1]:
        found.add("terminal-event", f"history-{index:06d}", expected="the only end", found=f"{len(ends)} of them")
    last = len(facts.history) - 1
    if ends and ends[-1] != last:
        what = type(facts.history[ends[-1] + 1]).__name__
        found.add("terminal-event", f"history-{ends[-1]:06d}", expected="nothing after it", found=what)
    if not facts.is_whole:
        return
    told = _TERMINAL_EVENTS[type(facts.history[ends[-1]])] if ends else None
    shown = head.status if head.status in TERMINAL else None
    if told is not shown:
        text = "no terminal event" if told is None else f"the event of {told.name}"
        found.add("terminal-event", "metadata", expected=text, found=f"status {head.status.name}")


def _check_operations(found: Found, history: Sequence[e.Event]) -> None:
    """Each result closes one open operation of its kind; no event id is used twice; nothing that is never stored."""
    opened: dict[int, str] = {}
    open_now: dict[int, tuple[str, e.Event]] = {}
    at_ms = 0
    for index, event in enumerate(history):
        record = f"history-{index:06d}"
        if isinstance(event, _NEVER_STORED):
            found.add("history-illegal", record, expected="an event that is stored", found=type(event).__name__)
        elif isinstance(event, e.TurnStarted):
            at_ms = event.at_ms
        elif (kind := _OPENS.get(type(event))) is not None:
            event_id = cast(_Opening, event).event_id
            if event_id in opened:
                text = f"{kind} {event_id}, as the {opened[event_id]} before"
                found.add("history-illegal", record, expected="an event id of its own", found=text)
            opened[event_id], open_now[event_id] = kind, (kind, event)
        elif (kind := CLOSES.get(type(event))) is not None:
            event_id = cast(_Closing, event).event_id
            began = open_now.pop(event_id, None)
            if began is None or began[0] != kind:
                text = f"{type(event).__name__} {event_id}"
                found.add("history-illegal", record, expected=f"the result of an open {kind}", found=text)
            elif isinstance(began[1], e.TimerCreated) and at_ms < began[1].due_at_ms - CLOCK_ERROR_MS:
                found.add("timer-early", record, expected=f"not before {began[1].due_at_ms}", found=f"at {at_ms}")


def _check_start(facts: Facts) -> None:
    """The execution began once, under the identity and name that metadata has; turns come first."""
    found, head = facts.found, facts.head
    starts = [(i, event) for i, event in enumerate(facts.history) if isinstance(event, e.ExecutionStarted)]
    if len(starts) > 1:
        found.add(
            "history-illegal", f"history-{starts[1][0]:06d}", expected="one start", found=f"{len(starts)} of them"
        )
    if facts.history and not isinstance(facts.history[0], e.TurnStarted):
        what = type(facts.history[0]).__name__
        found.add("history-illegal", "history-000000", expected="the start of a turn", found=what)
    asks = any(type(event) in _OPENS or isinstance(event, e.ExecutionCompleted) for event in facts.history)
    if not starts and asks and facts.is_whole:
        found.add("history-illegal", "history", expected="the start of the execution", found="operations without it")
    for index, event in starts[:1]:
        said = (event.instance_id, event.execution_id, event.name)
        known = (facts.instance_id, head.execution_id, facts.body.name or event.name)
        found.expect("history-illegal", f"history-{index:06d}", expected=known, found=said)


def _check_times(facts: Facts) -> None:
    """Times and epochs of turns only rise; a turn that was copied or recorded before epochs were has 0."""
    found = facts.found
    at_ms = epoch = 0
    for index, event in enumerate(facts.history):
        if not isinstance(event, e.TurnStarted):
            continue
        record = f"history-{index:06d}"
        if event.at_ms < at_ms:
            found.add("turn-time", record, expected=f"at least {at_ms}", found=event.at_ms)
        if 0 < event.epoch < epoch:
            found.add("epoch-order", record, expected=f"at least {epoch}", found=event.epoch)
        at_ms, epoch = max(at_ms, event.at_ms), max(epoch, event.epoch)
    is_copied = facts.is_young and facts.body.rerun_of
    if facts.is_whole and facts.history and not is_copied:
        found.expect("turn-time", "metadata", expected=facts.body.last_turn_at_ms, found=at_ms)


def last_epoch(facts: Facts) -> int:
    """The epoch of the newest turn that an owner of this instance ran; 0 where none is known."""
    return next((event.epoch for event in reversed(facts.history) if isinstance(event, e.TurnStarted)), 0)


def _check_status(facts: Facts) -> None:
    """Status and hold follow from history, but for what history does not say: stalls, delays, and the beginning."""
    head, state = facts.head, facts.state
    shown = (head.status, head.hold)
    if head.status in TERMINAL or (facts.is_young and facts.body.rerun_of):
        return
    begins = Status.PENDING if facts.body.generation == 1 else Status.RUNNING
    told = state.status if facts.history else begins
    allowed = {(told, Hold.SUSPENDED if told is Status.SUSPENDED else Hold.NONE), (Status.STALLED, Hold.STALLED)}
    if told is not Status.SUSPENDED:
        allowed.add((told, Hold.DELAYED))
    if shown not in allowed:
        text = " or ".join(sorted(f"{status.name}/{hold.name}" for status, hold in allowed))
        facts.found.add("terminal-event", "metadata", expected=text, found=f"{head.status.name}/{head.hold.name}")
