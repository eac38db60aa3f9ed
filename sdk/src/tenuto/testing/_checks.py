"""What may be said of an instance from its history: whether its code replays it, and what it waits for."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console

from tenuto._offline.replaying import Code, ReplayOptions, replay_history
from tenuto._offline.results import ProblemKind
from tenuto._payloads import Payloads
from tenuto._replay import actions, comparison, events
from tenuto._replay.definitions import name_of
from tenuto._replay.executor import Executor, TurnOutcome, UnknownWorkflow
from tenuto._trace.build import build_trace
from tenuto._trace.content import moment_text
from tenuto._trace.text import print_trace
from tenuto._wire.history import UnknownEvent, WorkflowHistory
from tenuto._wire.instances import WorkflowState, moment
from tenuto._wire.management import UNSET
from tenuto._wire.records import StateRecords
from tenuto.errors import NON_DETERMINISTIC, NonDeterminismError
from tenuto.testing._calls import Activity, ActivityCall

_TRACE_WIDTH = 120
# Not whether the code asks what it is told: that the instance did not run from its history was true when it ran.
_EVERYTHING = ReplayOptions(check_inputs=True, check_results=True, check_first_time=False)


def replay_problem(code: Code, history: WorkflowHistory) -> str:
    """Run an instance's code over its history once more, where all that could happen has happened.

    Returns:
        What it does differently, inputs and result included; empty where it does the same, or is not registered here.
    """
    if history.started is None:
        return ""  # it has not begun
    found = replay_history(code, history, options=_EVERYTHING).problem
    if found is not None and found.kind is not ProblemKind.NOT_REGISTERED:
        return found.text
    executor, outcome = _executed(code, history)
    asked = [action for action in outcome.actions if not isinstance(action, actions.CancelTimer)]
    executor.close()
    if not asked:
        return ""
    return str(
        NonDeterminismError(
            NON_DETERMINISTIC,
            recorded="nothing at this point: history ends without it",
            attempted=comparison.describe(asked[0]),
            instance_id=history.instance_id,
            event_id=asked[0].event_id,
        )
    )


def waits_of(code: Code, history: WorkflowHistory) -> list[str]:
    """What an instance waits for, in words; empty where it has ended, or its code is not registered here."""
    executor, _ = _executed(code, history)
    still_open = set(executor.open_operations)
    waits = [text for item in history if item.event_id in still_open and (text := _wait_text(item.event))]
    waits += [f"event '{name}'" for name in executor.awaited_events]
    executor.close()
    return waits


def _wait_text(event: object) -> str:
    match event:
        case events.ActivityScheduled():
            return f"activity '{event.name}' (operation {event.event_id})"
        case events.TimerCreated():
            due_at = moment(event.due_at_ms)
            return f"a timer due at {moment_text(due_at) if due_at else 'once'} (operation {event.event_id})"
        case events.ChildCreated():
            return f"child workflow '{event.name}', instance '{event.instance_id}' (operation {event.event_id})"
        case _:
            return ""


def _executed(code: Code, history: WorkflowHistory) -> tuple[Executor, TurnOutcome]:
    payloads = Payloads(code.codec)
    executor = Executor(history.instance_id, history.execution_id, definitions=code.registry, payloads=payloads)
    try:
        return executor, executor.run([item.event for item in history if not isinstance(item.event, UnknownEvent)], [])
    except UnknownWorkflow:
        return executor, TurnOutcome()  # it has no code here that could say anything


def trace_text(state: WorkflowState, history: WorkflowHistory, records: StateRecords) -> str:
    """The trace of an instance, as `tenuto trace` shows it."""
    written = io.StringIO()
    console = Console(file=written, width=_TRACE_WIDTH, no_color=True, highlight=False, emoji=False, markup=False)
    print_trace(build_trace(state, history, records), console)
    return written.getvalue()


def select(calls: Iterable[ActivityCall], instance_id: str | None, activity: Activity | None) -> list[ActivityCall]:
    """The runs of one instance and of one activity, where they are given, in the order in which they began."""
    name = None if activity is None else name_of(activity)
    return [call for call in calls if instance_id in (None, call.instance_id) and name in (None, call.activity)]


def check_called(
    calls: Sequence[ActivityCall],
    what: str,
    *,
    times: int | None,
    attempts: int | None,
    value: Any,
) -> None:
    """See that runs are those of so many calls and attempts, with that input. Raises AssertionError."""
    fitting = [call for call in calls if value is UNSET or call.input == value]
    called = len({call.key for call in fitting})
    tried = len({(call.key, call.attempt) for call in fitting})
    with_input = "" if value is UNSET else f" with input {value!r}"
    if times is None and not called:
        problem = f"{what} was not called{with_input}"
    elif times is not None and called != times:
        problem = f"{what} was called {_times(called)}{with_input}, not {_times(times)}"
    elif attempts is not None and tried != attempts:
        problem = f"{what} was tried {_times(tried)}{with_input}, not {_times(attempts)}"
    else:
        return
    listed = "\n".join(f"  {call}" for call in calls) or "  none"
    raise AssertionError(f"{problem}; its runs, in order:\n{listed}")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
