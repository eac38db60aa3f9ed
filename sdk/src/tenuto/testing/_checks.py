"""What may be said of an instance from its history: whether its code replays it, and what it waits for."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console

from tenuto._payloads import Payloads
from tenuto._replay import comparison, events
from tenuto._replay.definitions import name_of
from tenuto._replay.executor import Executor, UnknownWorkflow
from tenuto._trace.build import build_trace
from tenuto._trace.content import moment_text
from tenuto._trace.text import print_trace
from tenuto._wire.history import WorkflowHistory
from tenuto._wire.instances import WorkflowState, moment
from tenuto._wire.management import UNSET
from tenuto._wire.records import StateRecords
from tenuto._worker.registry import Registry
from tenuto.errors import NON_DETERMINISTIC, GuardViolation, NonDeterminismError
from tenuto.testing._calls import Activity, ActivityCall

_TRACE_WIDTH = 120
_RESULTS = (
    events.ActivityCompleted,
    events.ActivityFailed,
    events.TimerFired,
    events.ChildCompleted,
    events.ChildFailed,
)


class Replayed:
    """An instance's code, run over its recorded history once more.

    Args:
        history: of a present execution, as it is stored: payloads are read with `payloads`.
        registry: the code.
        payloads: as the worker has them.
    """

    def __init__(self, history: WorkflowHistory, registry: Registry, payloads: Payloads) -> None:
        self.problem: NonDeterminismError | GuardViolation | None = None
        self.awaited_events: list[str] = []
        executor = Executor(history.instance_id, history.execution_id, definitions=registry, payloads=payloads)
        try:
            outcome = executor.run([item.event for item in history], [])  # type: ignore[misc]  # an unknown event is skipped
        except UnknownWorkflow:
            return  # it has no code here that could differ
        self.problem = outcome.problem
        if self.problem is None and outcome.actions:
            asked = outcome.actions[0]
            self.problem = NonDeterminismError(
                NON_DETERMINISTIC,
                recorded="nothing at this point: history ends without it",
                attempted=comparison.describe(asked),
                instance_id=history.instance_id,
                event_id=asked.event_id,
            )
        self.awaited_events = executor.awaited_events
        executor.close()


def open_operations(history: WorkflowHistory, awaited_events: Iterable[str]) -> list[str]:
    """What an instance waits for, in words; empty where it waits for nothing that history knows."""
    is_done = {item.event_id for item in history if isinstance(item.event, _RESULTS)}
    waits: list[str] = []
    for item in history:
        event = item.event
        if item.event_id in is_done:
            continue
        if isinstance(event, events.ActivityScheduled):
            waits.append(f"activity '{event.name}' (operation {event.event_id})")
        elif isinstance(event, events.TimerCreated):
            due_at = moment(event.due_at_ms)
            waits.append(f"a timer due at {moment_text(due_at) if due_at else 'once'} (operation {event.event_id})")
        elif isinstance(event, events.ChildCreated):
            waits.append(f"child workflow '{event.name}', instance '{event.instance_id}' (operation {event.event_id})")
    return [*waits, *(f"event '{name}'" for name in awaited_events)]


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
