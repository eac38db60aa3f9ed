"""Spans of activities, as the engine that ran them saw them."""

from __future__ import annotations

from tenuto_engine.ports.inbound import ActivityAnswer
from tenuto_engine.runtime.call import Call
from tenuto_engine.runtime.context import Context


def trace_attempt(context: Context, call: Call, answer: ActivityAnswer, attempt: int) -> None:
    """Write a span for an answered attempt: below the turn that asked, around what the worker recorded of it."""
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
