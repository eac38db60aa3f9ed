"""Traces across a workflow's life: W3C trace context from the start through turns, activities and children.

What travels is the header `traceparent`, followed by a space and `tracestate` where there is one; it is stored with the
start, with each open activity and with each child. Where this engine exports spans (OTLP, by the standard environment
variables), the start is a span, and below it each turn, with the activities and children that it asked for below that.
Elsewhere the context passes through unchanged, and costs nothing.

Spans are recorded as things become durable, never by replay. Their ids follow from what they stand for (a commit, a
delivery), so that whoever needs the id of a span before it ends, here or after a crash, derives the same one.
Source: https://www.w3.org/TR/trace-context/, decision record 0013.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

if TYPE_CHECKING:
    from tenuto_engine.runtime.context import RuntimeSettings

Attributes = Mapping[str, str | int]

_TRACE_PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?: .*)?")
_NO_ATTRIBUTES: Attributes = MappingProxyType({})
_HTTP = "http/protobuf"


class TracingRefused(ValueError):
    """Spans are to be exported and cannot be; the message says what to change."""


class Opened(msgspec.Struct):
    """A span that has begun, and the context of what happens because of it."""

    trace_parent: str
    span: Any


def trace_id_of(trace_parent: str) -> str:
    """The trace's id; empty where there is no trace, or something else in its place: clients may give anything."""
    return trace_parent[3:35] if trace_parent and _TRACE_PARENT.fullmatch(trace_parent) else ""


def sampled_trace_id(trace_parent: str) -> str:
    """The trace's id if it is recorded somewhere, else empty: an exemplar of another would lead nowhere."""
    trace_id = trace_id_of(trace_parent)
    return trace_id if trace_id and int(trace_parent[53:55], 16) & 1 else ""


def span_id_of(identity: str) -> str:
    """The id of the span that stands for a thing: the same wherever and whenever it is asked for."""
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


class Tracing:
    """Records spans, if there is somewhere to send them.

    Args:
        provider: of OpenTelemetry's SDK; None: spans are not recorded.
        ids: the provider's source of ids.
    """

    def __init__(self, provider: Any = None, ids: Any = None) -> None:
        self._provider = provider
        self._ids = ids
        self._tracer: trace.Tracer | None = None
        if provider is not None:
            self._tracer = provider.get_tracer("tenuto_engine")

    @property
    def is_recording(self) -> bool:
        return self._tracer is not None

    def begin(self, name: str, *, trace_parent: str, attributes: Attributes = _NO_ATTRIBUTES) -> Opened:
        """Begin a span for something that a client asked for; without `trace_parent` it begins a trace."""
        if self._tracer is None:
            return Opened(trace_parent, None)
        parent = _parent(trace_parent)
        context = trace.set_span_in_context(parent) if parent is not None else trace.set_span_in_context(_NOWHERE)
        span = self._tracer.start_span(name, context=context, kind=SpanKind.SERVER, attributes=dict(attributes))
        return Opened(_text(span.get_span_context()), span)

    @staticmethod
    def end(opened: Opened) -> None:
        """What was asked for is durable; a span that is never ended was for nothing, and is not exported."""
        if opened.span is not None:
            opened.span.end()

    def derived(self, trace_parent: str, identity: str) -> str:
        """The context of what happens within the span that `record` will write with the same two arguments."""
        if self._tracer is None or not _TRACE_PARENT.fullmatch(trace_parent):
            return trace_parent
        return f"{trace_parent[:36]}{span_id_of(identity)}{trace_parent[52:]}"

    def record(
        self,
        name: str,
        *,
        trace_parent: str,
        identity: str,
        end_ms: int,
        seconds: float,
        attributes: Attributes = _NO_ATTRIBUTES,
        error: str = "",
    ) -> None:
        """Write a span that has ended. `trace_parent`: the context it belongs to; `identity`: what it stands for."""
        if self._tracer is None or (parent := _parent(trace_parent)) is None:
            return
        end_ns = end_ms * 1_000_000
        self._ids.next_span_id = int(span_id_of(identity), 16)
        span = self._tracer.start_span(
            name,
            context=trace.set_span_in_context(parent),
            kind=SpanKind.INTERNAL,
            attributes=dict(attributes),
            start_time=end_ns - max(0, int(seconds * 1e9)),
        )
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(end_time=end_ns)

    def close(self) -> None:
        """Send what is not sent yet. Waits for the receiver, a few seconds at most."""
        if self._provider is not None:
            self._provider.shutdown()


_NOWHERE = NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)


def _parent(trace_parent: str) -> NonRecordingSpan | None:
    if not _TRACE_PARENT.fullmatch(trace_parent):
        return None
    header, _, state = trace_parent.partition(" ")
    context = SpanContext(
        int(header[3:35], 16),
        int(header[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(header[53:55], 16)),
        trace_state=TraceState.from_header([state]) if state else None,
    )
    return NonRecordingSpan(context)


def _text(context: SpanContext) -> str:
    header = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    state = context.trace_state.to_header()
    return f"{header} {state}" if state else header


def tracing_from_env(env: Mapping[str, str], settings: RuntimeSettings) -> Tracing:
    """Export spans if OTEL_EXPORTER_OTLP_ENDPOINT (or ..._TRACES_ENDPOINT) says where to; else record none.

    Raises: TracingRefused: an export is asked for that this installation cannot do.
    """
    endpoint = env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    is_off = env.get("OTEL_SDK_DISABLED", "").lower() == "true" or env.get("OTEL_TRACES_EXPORTER") == "none"
    if not endpoint or is_off:
        return Tracing()
    protocol = env.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or env.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _HTTP
    if protocol != _HTTP:
        raise TracingRefused(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is '{protocol}'; this engine speaks {_HTTP} (port 4318 at most receivers)"
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    except ImportError as error:
        raise TracingRefused(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set and {error.name} is not installed; install 'tenuto-engine[otel]'"
        ) from error

    class ChosenIds(RandomIdGenerator):
        """Random ids, but for spans that stand for something. Used on the event loop alone."""

        next_span_id = 0

        def generate_span_id(self) -> int:
            chosen, self.next_span_id = self.next_span_id, 0
            return chosen or super().generate_span_id()

    ids = ChosenIds()
    about = {
        "service.name": env.get("OTEL_SERVICE_NAME") or "tenuto-engine",
        "tenuto.app": settings.app,
        "tenuto.version": settings.version,
    }
    provider = TracerProvider(resource=Resource.create(about), id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, ids)
