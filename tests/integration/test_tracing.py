"""One trace from the client's span through start, turns, activities and children, to the spans of users' own code."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tenuto as wf
from apps import ended, run, served
from engines import EngineHere, EngineProcess, make_settings, short_folder
from otlp import Receiver, receiving
from scrapes import OPENMETRICS, scraped
from tenuto_engine.runtime.tracing import Tracing, TracingRefused, tracing_from_env

Steps = Generator[Any, Any, Any]
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 vendor=a,other=b"


async def charge(ctx: wf.WorkflowActivityContext, amount: int) -> str:
    """An activity whose code is instrumented."""
    with trace.get_tracer("shop").start_as_current_span("card network"):
        if amount < 0 and ctx.attempt < 2:
            raise ValueError("no such amount")
        return ctx.trace_parent


def pack(ctx: wf.WorkflowActivityContext, _: None) -> str:
    """The same in a thread."""
    with trace.get_tracer("shop").start_as_current_span("conveyor"):
        return ctx.trace_parent


def parcel(ctx: wf.WorkflowContext, _: None) -> Steps:
    """A child."""
    return (yield ctx.call_activity(pack))


def order(ctx: wf.WorkflowContext, amount: int) -> Steps:
    """An activity, then a child."""
    policy = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=1), max_number_of_attempts=3)
    first = yield ctx.call_activity(charge, input=amount, retry_policy=policy)
    second = yield ctx.call_child_workflow(parcel, instance_id=f"{ctx.instance_id}/parcel")
    return [first, second]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What the application records of itself, with OpenTelemetry set up as programs do."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Where the engine's spans go."""
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        yield receiver


def recorded(receiver: Receiver) -> Tracing:
    """Tracing as an engine's process sets it up."""
    return tracing_from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}, make_settings().runtime)


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """Trace, span and parent of an application's span."""
    context = span.get_span_context()
    assert context is not None
    parent = f"{span.parent.span_id:016x}" if span.parent is not None else ""
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", parent


@pytest.mark.parametrize("max_sticky", [100, 0])
async def test_one_trace_from_client_to_users_code(
    own: InMemorySpanExporter, receiver: Receiver, max_sticky: int
) -> None:
    """Every span is in the client's trace, below what caused it, and none is written twice, however often code replays.

    With no live instances every turn replays all of history.
    """
    async with (
        EngineHere(tracing=recorded(receiver)) as engine,
        httpx.AsyncClient(base_url=engine.http) as web,
        served(engine, workflows=[order, parcel], activities=[charge, pack], max_sticky=max_sticky) as client,
    ):
        with trace.get_tracer("shop").start_as_current_span("checkout") as checkout:
            await client.schedule_new_workflow(order, input=1, instance_id="o-1")
        seen_by_activities = (await ended(client, "o-1")).result()
        page = await scraped(web, accept=OPENMETRICS)
    trace_id, root, _ = ids(checkout)  # type: ignore[arg-type]
    assert {span.trace_id for span in receiver.spans} == {trace_id}
    assert len({span.span_id for span in receiver.spans}) == len(receiver.spans)

    (start,) = receiver.named("start order")
    assert start.parent_id == root
    turns = receiver.named("turn order")
    assert [turn.parent_id for turn in turns] == [start.span_id] * 3
    assert len(receiver.named("turn parcel")) == 2
    assert {turn.parent_id for turn in receiver.named("turn parcel")} <= {turn.span_id for turn in turns}
    (charged,), (packed,) = receiver.named("activity charge"), receiver.named("activity pack")
    assert charged.parent_id == turns[0].span_id
    assert packed.parent_id == receiver.named("turn parcel")[0].span_id
    assert charged.attributes["tenuto.instance"] == "o-1"

    by_name = {span.name: ids(span) for span in own.get_finished_spans()}
    assert {found[0] for found in by_name.values()} == {trace_id}
    assert by_name["run charge"][2] == charged.span_id
    assert by_name["card network"][2] == by_name["run charge"][1]
    assert by_name["run pack"][2] == packed.span_id
    assert by_name["conveyor"][2] == by_name["run pack"][1]
    assert [given[36:52] for given in seen_by_activities] == [charged.span_id, packed.span_id]

    exemplars = {
        sample.exemplar.labels["trace_id"]
        for family in page.families.values()
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert exemplars == {trace_id}


async def test_failed_attempts_are_spans_of_their_own(own: InMemorySpanExporter, receiver: Receiver) -> None:
    """Each attempt of an activity is a span, and the failed ones say so."""
    async with (
        EngineHere(tracing=recorded(receiver)) as engine,
        served(engine, workflows=[order, parcel], activities=[charge, pack]) as client,
    ):
        await run(client, order, -1)
    assert [span.is_error for span in receiver.named("activity charge")] == [True, False]
    assert [span.attributes["tenuto.attempt"] for span in receiver.named("activity charge")] == [1, 2]
    assert [span.status.is_ok for span in own.get_finished_spans() if span.name == "run charge"] == [False, True]


async def test_context_passes_through_an_engine_that_records_nothing(here: EngineHere) -> None:
    """Without an export the given context, tracestate too, reaches activities and children as it came."""
    async with served(here, workflows=[order, parcel], activities=[charge, pack]) as client:
        instance_id = await client.schedule_new_workflow(order, input=1, trace_parent=GIVEN)
        assert (await ended(client, instance_id)).result() == [GIVEN, GIVEN]
        assert (await run(client, order, 1)).result() == ["", ""]


def test_export_is_asked_for_by_the_standard_variables() -> None:
    """No endpoint, or tracing switched off: nothing is recorded. A protocol that is not spoken is refused."""
    settings, endpoint = make_settings().runtime, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    off: list[dict[str, str]] = [
        {},
        endpoint | {"OTEL_SDK_DISABLED": "true"},
        endpoint | {"OTEL_TRACES_EXPORTER": "none"},
    ]
    for env in off:
        assert not tracing_from_env(env, settings).is_recording
    with pytest.raises(TracingRefused, match=re.escape("'grpc'; this engine speaks http/protobuf")):
        tracing_from_env(endpoint | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, settings)


def test_an_engine_process_exports(receiver: Receiver) -> None:
    """The program itself exports when its environment says so, and sends the rest when it stops."""
    with short_folder() as folder:
        engine = EngineProcess(folder)
        engine.start(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint, OTEL_SERVICE_NAME="shop-engine")
        try:
            with wf.WorkflowClient(engine=engine.address) as client:
                client.schedule_new_workflow("order", instance_id="o-1", trace_parent=GIVEN)
        finally:
            engine.stop()
    (start,) = receiver.named("start order")
    assert (start.service, start.trace_id, start.parent_id) == ("shop-engine", GIVEN[3:35], GIVEN[36:52])
