"""What the steps of a turn and of an instance's life count. Plain functions, called as the steps happen."""

from __future__ import annotations

from tenuto_engine.core.events import (
    ActivityScheduled,
    ChildCreated,
    ContinuedAsNew,
    Event,
    EventSent,
    ExecutionCompleted,
    TimerFired,
    WokenUp,
)
from tenuto_engine.core.status import TERMINAL, Status
from tenuto_engine.ports.inbound import ActivityAnswer, TurnAnswer, TurnOutcome
from tenuto_engine.ports.operations import Commit
from tenuto_engine.runtime.call import Call
from tenuto_engine.runtime.context import Context
from tenuto_engine.runtime.instance import LiveInstance, Turn
from tenuto_engine.runtime.refusals import nondeterminism_code
from tenuto_engine.runtime.tracing import sampled_trace_id
from tenuto_engine.runtime.turn_commit import Outbound

_OUTCOMES: dict[int, str] = {outcome.value: outcome.name.lower() for outcome in TurnOutcome}
_PAYLOADS: dict[type, str] = {
    ActivityScheduled: "input",
    ChildCreated: "input",
    ContinuedAsNew: "input",
    EventSent: "payload",
    ExecutionCompleted: "result",
}


def turn_begins(context: Context, instance: LiveInstance, turn: Turn) -> None:
    """A worker is about to get a turn for the first time: how late are the timers in it, and the instance's start?"""
    now_ms = context.clock.now_ms()
    state, body = instance.state, instance.body
    for mail in turn.received:
        if type(mail.event) is TimerFired and (due_at_ms := state.timers.get(mail.event.event_id)) is not None:
            context.metrics.lateness["timer"].observe(max(0, now_ms - due_at_ms) / 1000)
    if not state.length and body.generation == 1:
        waited_ms = now_ms - max(body.created_at_ms, body.scheduled_at_ms)
        trace_id = sampled_trace_id(state.trace_parent)
        context.metrics.workflow_waited(instance.workflow_name(), waited_ms / 1000, trace_id=trace_id)


def turn_answered(context: Context, instance: LiveInstance, turn: Turn, answer: TurnAnswer) -> None:
    """A worker has answered."""
    outcome = _OUTCOMES.get(answer.outcome, "unknown")
    context.metrics.turns[outcome].inc()
    if answer.outcome == TurnOutcome.NON_DETERMINISTIC:
        context.metrics.nondeterminism[nondeterminism_code(answer)].inc()
    elif answer.outcome == TurnOutcome.GUARD_REFUSED:
        context.metrics.guard_refused.inc()
    if turn.full and instance.state.length:
        context.metrics.replays[outcome].inc()


def turn_timed_out(context: Context) -> None:
    """A worker has not answered in time."""
    context.metrics.turns["timeout"].inc()


def payloads_asked(context: Context, events: list[Event]) -> None:
    """The payloads that a turn's actions bring."""
    for event in events:
        name = _PAYLOADS.get(type(event))
        if name is not None and (payload := getattr(event, name)) is not None:
            context.metrics.payload(len(payload), context.limits.payload_bytes)


def turn_committed(context: Context, instance: LiveInstance, turn: Turn) -> None:
    """The last part of a turn is durable."""
    if turn.session is None:
        return
    seconds = context.monotonic() - turn.sent_at
    name, state = instance.workflow_name(), instance.state
    context.metrics.turn_done(name, seconds, trace_id=sampled_trace_id(state.trace_parent))
    if context.tracing.is_recording:
        context.tracing.record(
            f"turn {name}",
            trace_parent=state.trace_parent,
            identity=turn.commit_id,
            end_ms=context.clock.now_ms(),
            seconds=seconds,
            attributes=_about(instance),
        )


def _about(instance: LiveInstance) -> dict[str, str | int]:
    return {
        "tenuto.instance": instance.id,
        "tenuto.execution": instance.state.execution_id,
        "tenuto.shard": instance.shard.number,
        "tenuto.workflow": instance.workflow_name(),
    }


def commit_confirmed(context: Context, instance: LiveInstance, commit: Commit, out: Outbound) -> None:
    """A commit is durable: an execution may have ended with it, and the instance."""
    metrics, state = context.metrics, instance.state
    ended = commit.head.status in TERMINAL
    if ended or out.renewed is not None:
        metrics.execution_ended(state.length, state.size_bytes)
        woken = instance.turn is not None and any(type(mail.event) is WokenUp for mail in instance.turn.mail)
        if instance.delayed and not woken:
            metrics.reminder_cancelled()
    if ended:
        seconds = (context.clock.now_ms() - instance.body.created_at_ms) / 1000
        status = Status(commit.head.status).name.lower()
        trace_id = sampled_trace_id(state.trace_parent)
        metrics.workflow_ended(instance.workflow_name(), status, seconds, trace_id=trace_id)


def attempt_answered(context: Context, call: Call, answer: ActivityAnswer, attempt: int) -> None:
    """An attempt has been answered: a span, below the turn that asked, around what the worker recorded of it."""
    if not context.tracing.is_recording:
        return
    now_ms, key = context.clock.now_ms(), call.key
    context.tracing.record(
        f"activity {call.body.name}",
        trace_parent=call.body.trace_parent,
        identity=answer.token,
        end_ms=now_ms,
        seconds=(now_ms - (call.handed_at_ms or now_ms)) / 1000,
        attributes={
            "tenuto.instance": key.instance_id,
            "tenuto.execution": key.execution_id,
            "tenuto.operation": key.event_id,
            "tenuto.attempt": attempt,
            "tenuto.activity": call.body.name,
        },
        error="the attempt failed" if answer.failure else "",
    )
