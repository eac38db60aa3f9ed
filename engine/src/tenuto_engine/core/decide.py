"""Decisions: which messages a turn takes, and what events follow from what the workflow's code asks for.

`decide` may refuse and may change between releases; `apply` must accept every event ever written. Everything here is a
function of its arguments: the turn's time and all ids come from the caller or are derived.

Rules of a turn:

* Control messages (terminate, suspend, resume, wake-up) go first, in a turn of their own that needs no worker: they
  work while no worker is alive, and pass every hold.
* All other unread messages follow in the order of their numbers, as one turn.
* A message that means nothing any more (its activity, timer or child is not open in this execution) is consumed,
  counted and not recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from tenuto_engine.core import actions as a
from tenuto_engine.core import events as e
from tenuto_engine.core.failures import bounded
from tenuto_engine.core.limits import (
    MAX_EVENT_ID,
    MAX_MOMENT_MS,
    TERMINAL_ROOM_BYTES,
    TERMINAL_ROOM_EVENTS,
    Limits,
    refuse_instance_id,
    refuse_name,
)
from tenuto_engine.core.machines import activity, child, timer
from tenuto_engine.core.state import InstanceState, derived_id
from tenuto_engine.core.status import Hold

MAX_BACKOFF = 1_000
CONTROL = (e.ExecutionTerminated, e.ExecutionSuspended, e.ExecutionResumed, e.WokenUp)

_Closing = e.ActivityCompleted | e.ActivityFailed | e.TimerFired | e.ChildCompleted | e.ChildFailed
_OPEN_CHECKS: dict[type, Callable[[InstanceState, Any], bool]] = {
    e.ActivityCompleted: activity.is_open,
    e.ActivityFailed: activity.is_open,
    e.TimerFired: timer.is_open,
    e.ChildCompleted: child.is_open,
    e.ChildFailed: child.is_open,
}


class TurnPlan(msgspec.Struct, frozen=True):
    """What a turn takes, as positions in the unread messages that were given.

    `recorded` become history in that order; `void` are consumed without record. `needs_worker`: the workflow's code
    must run. `releases`: a stall or delay ends with this turn (a suspension ends by its own event).
    """

    recorded: list[int]
    void: list[int]
    needs_worker: bool
    releases: bool = False


class Decision(msgspec.Struct, frozen=True):
    """The events that a turn's actions became, and the timers it cancelled (which leave no record)."""

    events: list[e.Event]
    cancelled: list[int] = []


def plan_turn(state: InstanceState, unread: Sequence[e.Event]) -> TurnPlan | None:
    """Choose the messages of the next turn, or None where there is nothing to do now (empty, or on hold)."""
    if any(isinstance(event, CONTROL) for event in unread):
        return _plan_control(state, unread)
    if not unread or state.hold is not Hold.NONE:
        return None
    recorded: list[int] = []
    void: list[int] = []
    closing: set[tuple[object, int]] = set()
    for position, event in enumerate(unread):
        (recorded if _is_wanted(state, event, closing) else void).append(position)
    return TurnPlan(recorded, void, needs_worker=bool(recorded))


def _is_wanted(state: InstanceState, event: e.Event, closing: set[tuple[object, int]]) -> bool:
    check = _OPEN_CHECKS.get(type(event))
    if check is None:
        return True
    key = (check, cast(_Closing, event).event_id)
    if key in closing or not check(state, event):
        return False
    closing.add(key)
    return True


def _plan_control(state: InstanceState, unread: Sequence[e.Event]) -> TurnPlan:
    recorded: list[int] = []
    void: list[int] = []
    hold, releases = state.hold, False
    for position, event in enumerate(unread):
        match event:
            case e.ExecutionTerminated():
                # The start, if unread, is recorded first, so that the record says what was terminated.
                starts = [i for i, m in enumerate(unread) if isinstance(m, e.ExecutionStarted)]
                recorded = [*starts, *recorded, position]
                void = [i for i in range(len(unread)) if i not in set(recorded)]
                return TurnPlan(recorded, void, needs_worker=False, releases=True)
            case e.ExecutionSuspended() if hold is not Hold.SUSPENDED:
                hold = Hold.SUSPENDED
                recorded.append(position)
            case e.ExecutionResumed() if hold is Hold.SUSPENDED:
                hold = Hold.NONE
                recorded.append(position)
            case e.ExecutionResumed():
                releases = releases or hold is Hold.STALLED
                void.append(position)
            case e.WokenUp():
                releases = releases or hold is Hold.DELAYED
                void.append(position)
            case e.ExecutionSuspended():
                void.append(position)
            case _:
                pass
    return TurnPlan(recorded, void, needs_worker=False, releases=releases)


def decide_actions(state: InstanceState, actions: Sequence[a.Action], limits: Limits) -> Decision:
    """Turn what the code asked for into events, in its order.

    A request beyond a limit fails the execution by name: the code is deterministic, so running it again would ask for
    the same. Nothing follows an action that ends the execution.
    """
    events: list[e.Event] = []
    cancelled: list[int] = []
    for action in actions:
        refusal = _refuse(action, limits)
        if refusal is not None:
            event_id = min(max(action.event_id, 0), MAX_EVENT_ID)
            return Decision([*events, _limit_failure(event_id, refusal)], cancelled)
        if isinstance(action, a.CancelTimer):
            cancelled.append(action.event_id)
            continue
        event = _EVENT_OF[type(action)](state, action, state.length + len(events))
        events.append(event)
        if isinstance(event, e.ExecutionCompleted | e.ExecutionFailed | e.ContinuedAsNew):
            return Decision(events, cancelled)
    added = len(events)
    if state.pending_operations + added > limits.pending_operations:
        text = (
            f"instance '{state.instance_id}' would have {state.pending_operations + added:,} pending operations, the "
            f"limit pending_operations is {limits.pending_operations:,}; start fewer at once, in batches or in child "
            "workflows"
        )
        return Decision([_limit_failure(0, text)])
    return Decision(events, cancelled)


def history_refusal(
    state: InstanceState, *, added_events: int, added_bytes: int, last: e.Event | None, limits: Limits
) -> e.ExecutionFailed | None:
    """Return the failure that ends an execution whose history would leave no room for its terminal event, else None.

    `last`: the newest of the added events. A completion may use the room kept for it; a termination and the end by
    continue-as-new are never refused, because they are the ways out of a history that is full.
    """
    length, size = state.length + added_events, state.size_bytes + added_bytes
    events, room = limits.history_events, limits.history_bytes
    if length <= events - TERMINAL_ROOM_EVENTS and size <= room - TERMINAL_ROOM_BYTES:
        return None
    if isinstance(last, e.ExecutionTerminated | e.ContinuedAsNew):
        return None
    if isinstance(last, e.ExecutionCompleted | e.ExecutionFailed) and length <= events and size <= room:
        return None
    if length > events - TERMINAL_ROOM_EVENTS:
        text = f"{length:,} events, the limit history_events is {limits.history_events:,}"
    else:
        text = f"{size:,} bytes, the limit history_bytes is {limits.history_bytes:,}"
    return _limit_failure(
        0,
        f"the history of instance '{state.instance_id}' would have {text}; "
        "use continue_as_new in long-running workflows",
    )


def custom_status_refusal(state: InstanceState, status: bytes | None, limits: Limits) -> e.ExecutionFailed | None:
    """Return the failure that ends an execution whose custom status is too large to keep, else None."""
    if status is None or len(status) <= limits.custom_status_bytes:
        return None
    return _limit_failure(
        0,
        f"the custom status of instance '{state.instance_id}' has {len(status):,} bytes, the limit custom_status_bytes "
        f"is {limits.custom_status_bytes:,}; keep details in an activity's result and a summary in the status",
    )


def _limit_failure(event_id: int, message: str) -> e.ExecutionFailed:
    return e.ExecutionFailed(event_id, e.Failure(type="LimitExceeded", message=message, non_retryable=True))


def _refuse(action: a.Action, limits: Limits) -> str | None:
    if not 0 <= action.event_id <= MAX_EVENT_ID:
        return f"the event id {action.event_id} is not in 0 to {MAX_EVENT_ID:,}; the worker's SDK counts wrongly"
    match action:
        case a.ScheduleActivity():
            reason = refuse_name("activity name", action.name) or _refuse_times(action)
            return reason or _refuse_payload("input of activity", action.name, action.input, limits)
        case a.CreateTimer():
            if not 0 <= action.due_at_ms <= MAX_MOMENT_MS:
                return (
                    f"the timer {action.event_id} is due at {action.due_at_ms} ms, which is no moment before year 10000"
                )
            return None
        case a.StartChild():
            reason = refuse_name("workflow name", action.name) or refuse_instance_id(action.instance_id)
            return reason or _refuse_payload("input of child workflow", action.name, action.input, limits)
        case a.SendEvent():
            reason = refuse_name("event name", action.name) or refuse_instance_id(action.instance_id)
            return reason or _refuse_payload("event", action.name, action.payload, limits)
        case a.CompleteExecution():
            return _refuse_payload("workflow's result", "", action.result, limits)
        case a.ContinueAsNew():
            return _refuse_payload("input of the next execution", "", action.input, limits)
        case _:
            return None


def _refuse_times(action: a.ScheduleActivity) -> str | None:
    """Refuse numbers that no delay can be computed with; a worker of any make may have sent them."""
    retry = action.retry
    if retry is None and action.start_to_close_ms == action.schedule_to_close_ms == action.heartbeat_ms == 0:
        return None
    times = [action.start_to_close_ms, action.schedule_to_close_ms, action.heartbeat_ms]
    if retry is not None:
        times += [retry.first_interval_ms, retry.max_interval_ms, retry.total_timeout_ms, retry.max_attempts]
        if not (0 <= retry.backoff <= MAX_BACKOFF and 0 <= retry.jitter <= 1):
            return (
                f"the retry policy of activity '{action.name}' has backoff {retry.backoff:g} and jitter "
                f"{retry.jitter:g}; give a backoff in 0 to {MAX_BACKOFF:,} and a jitter in 0 to 1"
            )
    if min(times) < 0 or max(times) > MAX_MOMENT_MS:
        return f"a time or count given for activity '{action.name}' is negative or beyond year 9999"
    return None


def _refuse_payload(what: str, name: str, payload: bytes | None, limits: Limits) -> str | None:
    if payload is None or len(payload) <= limits.payload_bytes:
        return None
    if name:
        what = f"{what} '{name}'"
    return (
        f"the {what} has {len(payload):,} bytes, the limit payload_bytes is {limits.payload_bytes:,}; "
        "store it elsewhere and pass a reference"
    )


def _activity(state: InstanceState, x: a.ScheduleActivity, index: int) -> e.Event:
    return e.ActivityScheduled(
        x.event_id,
        x.name,
        x.input,
        x.retry,
        x.start_to_close_ms,
        x.schedule_to_close_ms,
        x.heartbeat_ms,
        x.source,
        x.foreign,
    )


def _timer(state: InstanceState, x: a.CreateTimer, index: int) -> e.Event:
    return e.TimerCreated(x.event_id, x.due_at_ms, x.source, x.foreign)


def _child(state: InstanceState, x: a.StartChild, index: int) -> e.Event:
    execution_id = derived_id(state.execution_id, "child", index)
    return e.ChildCreated(
        x.event_id, x.name, x.instance_id, x.input, x.version or state.version, execution_id, x.source, x.foreign
    )


def _send(state: InstanceState, x: a.SendEvent, index: int) -> e.Event:
    return e.EventSent(x.event_id, x.instance_id, x.name, x.payload, x.source)


def _complete(state: InstanceState, x: a.CompleteExecution, index: int) -> e.Event:
    return e.ExecutionCompleted(x.event_id, x.result)


def _fail(state: InstanceState, x: a.FailExecution, index: int) -> e.Event:
    return e.ExecutionFailed(x.event_id, bounded(x.failure))


def _continue(state: InstanceState, x: a.ContinueAsNew, index: int) -> e.Event:
    return e.ContinuedAsNew(x.event_id, x.input, x.keep_events, x.version or state.version, x.carryover, x.foreign)


# One entry per member of `Action` but CancelTimer; a test compares the two.
_EVENT_OF: dict[type, Callable[[InstanceState, Any, int], e.Event]] = {
    a.ScheduleActivity: _activity,
    a.CreateTimer: _timer,
    a.StartChild: _child,
    a.SendEvent: _send,
    a.CompleteExecution: _complete,
    a.FailExecution: _fail,
    a.ContinueAsNew: _continue,
}
