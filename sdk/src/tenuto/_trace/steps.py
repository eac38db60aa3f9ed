"""A replay as steps: what the workflow function asks for, what it gets, and which records decide that.

The order is that of history. Within a turn the function first gets what arrived, then asks for more; an operation
is shown where it was asked for, together with the result that history holds for it, wherever that stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

from tenuto._replay import events
from tenuto._trace.content import (
    Operations,
    Results,
    failure_text,
    operation_code,
    operation_noun,
    value_text,
)
from tenuto._trace.model import ReplayStep, Verdict
from tenuto._wire.history import HistoryEvent

_OPERATIONS = (events.ActivityScheduled, events.TimerCreated, events.ChildCreated, events.EventSent)
_RESULTS = (
    events.ActivityCompleted,
    events.ActivityFailed,
    events.TimerFired,
    events.ChildCompleted,
    events.ChildFailed,
)


def is_operation(event: object) -> TypeGuard[Operations]:
    return isinstance(event, _OPERATIONS)


def is_result(event: object) -> TypeGuard[Results]:
    return isinstance(event, _RESULTS)


class Index:
    """Finds operations and their results in a history, by the operation's number."""

    def __init__(self, history: Sequence[HistoryEvent]) -> None:
        self.operations: dict[int, tuple[HistoryEvent, Operations]] = {}
        self.results: dict[int, tuple[HistoryEvent, Results]] = {}
        for item in history:
            if is_operation(item.event):
                self.operations[item.event.event_id] = (item, item.event)
            elif is_result(item.event):
                # The first result counts; replay ignores any later one.
                self.results.setdefault(item.event.event_id, (item, item.event))
        self.names = {
            number: event.name
            for number, (_item, event) in self.operations.items()
            if not isinstance(event, events.TimerCreated)
        }

    def open_operations(self) -> list[tuple[HistoryEvent, Operations]]:
        """Return the operations that wait for a result, in the order they were asked for."""
        return [
            found
            for number, found in self.operations.items()
            if number not in self.results and not isinstance(found[1], events.EventSent)
        ]


def replay_steps(history: Sequence[HistoryEvent], index: Index, *, ended: bool) -> tuple[ReplayStep, ...]:
    """Return the steps of a replay of this history. `ended`: the instance will never take a turn again."""
    found = (_step(item, index, ended) for item in history)
    return tuple(replace(step, number=number) for number, step in enumerate((s for s in found if s is not None), 1))


def _step(item: HistoryEvent, index: Index, ended: bool) -> ReplayStep | None:
    event = item.event
    if is_operation(event):
        return replace(_operation_step(item, event, index, ended), source=event.source)
    if is_result(event):
        return _stray_result(item, event, index)
    match event:
        case events.TurnStarted():
            return _patches_step(item, event) if event.patches else None
        case events.ExecutionStarted():
            return _plain_step(
                item,
                Verdict.STARTS,
                f"{event.name}(ctx, input)",
                "runs again from its first line, with the recorded input",
                payload=value_text(event.input),
            )
        case events.EventRaised():
            return _plain_step(
                item,
                Verdict.GIVEN,
                f"wait_for_external_event({event.name!r})",
                "the first wait for this name gets the recorded payload; until then the event is kept",
                payload=value_text(event.payload),
            )
        case _:
            return _life_cycle_step(item)


def _life_cycle_step(item: HistoryEvent) -> ReplayStep:
    event = item.event
    match event:
        case events.ExecutionCompleted():
            text = "the function returns; the recorded result is final"
            return _plain_step(item, Verdict.RETURNS, "return", text, payload=value_text(event.result))
        case events.ExecutionFailed():
            text = "the function raised, or a limit ended it; the recorded failure is final"
            return _plain_step(item, Verdict.RETURNS, "raise", text, payload=failure_text(event.failure))
        case events.ExecutionTerminated():
            text = "ended from outside; the function is never run again"
            return _plain_step(item, Verdict.ENDED, "(terminated)", text, payload=value_text(event.output))
        case events.RerunStarted():
            text = f"the history before this was copied from {event.source_instance_id}; what is open starts again"
            return _plain_step(item, Verdict.NOTED, "(rerun)", text)
        case _:
            return _plain_step(item, Verdict.NOTED, f"({item.type})", "a fact of the engine; replay passes over it")


def _plain_step(item: HistoryEvent, verdict: Verdict, code: str, happens: str, *, payload: str = "") -> ReplayStep:
    because = f"{item.key} holds {item.type}"
    return ReplayStep(0, verdict, code, happens, because, (item.key,), payload, item.event_id)


def _patches_step(item: HistoryEvent, event: events.TurnStarted) -> ReplayStep:
    names = ", ".join(event.patches)
    happens = f"True for {names}: the new branch was taken, and is taken again"
    return _plain_step(item, Verdict.GIVEN, "is_patched(...)", happens)


def _operation_step(item: HistoryEvent, event: Operations, index: Index, ended: bool) -> ReplayStep:
    code = operation_code(event)
    if isinstance(event, events.EventSent):
        text = "already sent: it is not sent again"
        return replace(
            _plain_step(item, Verdict.SKIPPED, code, text), payload=value_text(event.payload) if event.payload else ""
        )
    found = index.results.get(event.event_id)
    if found is None:
        return _open_step(item, event, ended)
    answer, result = found
    because = (
        f"operation {event.event_id}: {item.key} holds {item.type}, and {answer.key} holds {answer.type} "
        f"with the same number"
    )
    verdict, happens, payload = _outcome(event, result)
    return ReplayStep(0, verdict, code, happens, because, (item.key, answer.key), payload, event.event_id)


def _outcome(event: Operations, result: Results) -> tuple[Verdict, str, str]:
    match result:
        case events.ActivityCompleted():
            return (
                Verdict.SKIPPED,
                f"{operation_noun(event)} is not executed; its recorded result is returned",
                (value_text(result.result)),
            )
        case events.ChildCompleted():
            return (
                Verdict.SKIPPED,
                f"{operation_noun(event)} is not started; its recorded result is returned",
                (value_text(result.result)),
            )
        case events.TimerFired():
            return Verdict.SKIPPED, "not waited for again: it has fired, and the code goes on at once", ""
        case events.ActivityFailed() | events.ChildFailed():
            return (
                Verdict.RAISES,
                f"{operation_noun(event)} is not executed; its recorded failure is raised again",
                (failure_text(result.failure)),
            )


def _open_step(item: HistoryEvent, event: Operations, ended: bool) -> ReplayStep:
    happens = "was still open when the instance ended" if ended else "no result yet: the code waits here"
    because = f"operation {event.event_id}: {item.key} holds {item.type}, and no record holds its result"
    if isinstance(event, events.TimerCreated):
        # NB: cancelling a timer leaves no record, so history alone cannot tell an open timer from a cancelled one.
        happens = "never fired: cancelled, or open at the end" if ended else "not fired: still open, or cancelled"
    return ReplayStep(0, Verdict.OPEN, operation_code(event), happens, because, (item.key,), "", event.event_id)


def _stray_result(item: HistoryEvent, event: Results, index: Index) -> ReplayStep | None:
    """A result is shown with its operation; only one that belongs to none, or comes second, is a step of its own."""
    first = index.results[event.event_id][0]
    if event.event_id in index.operations and first is item:
        return None
    return _plain_step(item, Verdict.NOTED, f"({item.type})", "a second or late result; replay ignores it")
