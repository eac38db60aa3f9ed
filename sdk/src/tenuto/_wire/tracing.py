"""W3C trace context between a program's own tracing and the engine, through OpenTelemetry's API.

It is used where the program itself has imported it, and never imported for its own sake: without it there is no
current span to pass on and nobody to take one up. On the wire the context is the header `traceparent`, followed by a
space and `tracestate` where there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

from tenuto._wire.worker import ActivityCall

_MODULE = "opentelemetry.trace"


def current_trace_parent() -> str:
    """The context of the span that is current here, or empty where there is none."""
    if _MODULE not in sys.modules:
        return ""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    header = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    state = context.trace_state.to_header()
    return f"{header} {state}" if state else header


@contextmanager
def activity_span(call: ActivityCall) -> Generator[None]:
    """Run an activity inside a span of its own, so that whatever the program records joins the workflow's trace."""
    if not call.trace_parent or _MODULE not in sys.modules:
        yield
        return
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    header, _, state = call.trace_parent.partition(" ")
    carrier = {"traceparent": header, "tracestate": state} if state else {"traceparent": header}
    attributes: dict[str, str | int] = {
        "tenuto.instance": call.instance_id,
        "tenuto.execution": call.execution_id,
        "tenuto.operation": call.event_id,
        "tenuto.attempt": call.attempt,
        "tenuto.activity": call.name,
    }
    with trace.get_tracer("tenuto").start_as_current_span(
        f"run {call.name}",
        context=TraceContextTextMapPropagator().extract(carrier),
        kind=trace.SpanKind.CONSUMER,
        attributes=attributes,
    ):
        yield
