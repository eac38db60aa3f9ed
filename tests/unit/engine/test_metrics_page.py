"""The engine's counters as Prometheus reads them."""

from __future__ import annotations

from typing import get_args

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.operations import Append, Commit, Operation
from tenuto_engine.ports.outcomes import Appended, Committed, Fenced, Outcome, Rejected
from tenuto_engine.ports.records import Head, Message
from tenuto_engine.runtime.metrics import Metrics
from tenuto_engine.runtime.metrics.families import MOST_TYPES
from tenuto_engine.runtime.metrics.groups import OPERATIONS, RESULTS
from tenuto_engine.runtime.tracing import sampled_trace_id

APP = {"app": "shop", "version": "v1"}


HEAD = Head(Status.RUNNING, Hold.NONE, "x1", "c1", 2, 1, 0, "", "start")
COMMIT = Commit(1, "t", "", "order-1", "x1", "", 0, HEAD, b"meta", history=[b"1", b"2"])


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Everything the page shows, by name and labels."""
    text = metrics.render("")[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """One counter's value."""
    return samples(metrics)[name, frozenset({**APP, **labels}.items())]


def test_every_operation_and_outcome_has_its_label() -> None:
    """No operation or answer of a store is counted under no name."""
    assert set(OPERATIONS) == set(get_args(Operation))
    assert set(RESULTS) == set(get_args(Outcome))


def test_every_sample_carries_app_and_version() -> None:
    """Each sample of each family is labelled by app and version, gauges read with the page too."""
    metrics = Metrics(app="shop", version="v1")
    metrics.workflow_started("order")
    metrics.workflow_ended("order", "completed", 2.0)
    metrics.handover("drain", 0.2)
    metrics.show("tenuto_reminder_pending", lambda: {"timer": 3})
    metrics.build("1")
    shown = samples(metrics)
    assert len(shown) > 100
    assert all(APP.items() <= dict(labels).items() for _, labels in shown)
    assert value(metrics, "tenuto_reminder_pending", kind="timer") == 3
    assert value(metrics, "tenuto_workflow_completed_total", type="order", status="completed") == 1


def test_groups_are_counted_by_operation_result_and_record() -> None:
    """One group commit counts each operation by its answer, and the records it wrote; duplicates wrote none."""
    metrics = Metrics(app="shop", version="v1")
    append = Append(1, "order-1", Message("m", b"hello"))
    outcomes: list[Outcome] = [Committed(1), Committed(1, duplicate=True), Fenced(), Appended(0), Rejected("full")]
    metrics.group_done([COMMIT, COMMIT, COMMIT, append, append], outcomes, seconds=0.002)
    assert value(metrics, "tenuto_state_write_total", op="commit", result="ok") == 1
    assert value(metrics, "tenuto_state_write_total", op="commit", result="duplicate") == 1
    assert value(metrics, "tenuto_state_write_total", op="commit", result="fenced") == 1
    assert value(metrics, "tenuto_state_write_total", op="inbox_push", result="ok") == 1
    assert value(metrics, "tenuto_state_write_total", op="inbox_push", result="error") == 1
    assert value(metrics, "tenuto_state_write_duration_seconds_count", op="commit") == 3
    assert value(metrics, "tenuto_state_records_total", kind="history") == 2
    assert value(metrics, "tenuto_state_records_total", kind="metadata") == 1
    assert value(metrics, "tenuto_state_records_total", kind="inbox") == 1
    assert value(metrics, "tenuto_state_write_bytes_total") == len(b"12" + b"meta" + b"hello")
    assert value(metrics, "tenuto_fenced_writes_total") == 1
    assert value(metrics, "tenuto_state_group_operations_sum") == 5


def test_names_beyond_the_first_hundred_are_others() -> None:
    """A label that users choose has a hundred values at most; what is beyond is counted as such."""
    metrics = Metrics(app="shop", version="v1")
    for number in range(MOST_TYPES + 20):
        metrics.workflow_started(f"order-{number}")
        metrics.heartbeat_timeout(f"charge-{number}")
    metrics.workflow_started("order-3")
    assert value(metrics, "tenuto_workflow_started_total", type="order-3") == 2
    assert value(metrics, "tenuto_workflow_started_total", type="other") == 20
    assert value(metrics, "tenuto_activity_heartbeat_timeout_total", type="other") == 20
    assert value(metrics, "tenuto_label_overflow_total", label="workflow") == 20
    assert value(metrics, "tenuto_label_overflow_total", label="activity") == 20


def test_attempts_are_counted_in_few_buckets() -> None:
    """An activity that needs a thousand attempts makes no more series than one that needs six."""
    metrics = Metrics(app="shop", version="v1")
    for attempt in (1, 2, 3, 5, 6, 1000):
        metrics.activity_ended("charge", "completed", attempt, 1.0)
    buckets = {"1": 1, "2": 1, "3-5": 2, "6+": 2}
    for bucket, times in buckets.items():
        labels = {"type": "charge", "status": "completed", "attempt_bucket": bucket}
        assert value(metrics, "tenuto_activity_completed_total", **labels) == times


def test_two_engines_do_not_share_counts() -> None:
    """Each engine of a process has a registry of its own."""
    one, other = Metrics(app="shop", version="v1"), Metrics(app="shop", version="v1")
    one.purged.inc()
    assert value(other, "tenuto_instances_purged_total") == 0


def test_versions_taken_care_of_share_the_page() -> None:
    """What a process does for another version is shown with that version, families written once, counts kept."""
    metrics = Metrics(app="shop", version="v2")
    metrics.purged.inc()
    metrics.beside("v1").purged.inc(3)
    assert metrics.beside("v1") is metrics.beside("v1")
    found = samples(metrics)
    assert found["tenuto_instances_purged_total", frozenset({"app": "shop", "version": "v1"}.items())] == 3
    assert found["tenuto_instances_purged_total", frozenset({"app": "shop", "version": "v2"}.items())] == 1
    assert metrics.render("")[0].count(b"# TYPE tenuto_instances_purged_total") == 1


def test_exemplars_name_the_trace_in_openmetrics_only() -> None:
    """A duration leads to a trace in OpenMetrics; the classic text has no place for it."""
    metrics = Metrics(app="shop", version="v1")
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    metrics.group_done([COMMIT], [Committed(1)], seconds=0.002, trace_id=trace_id)
    body, kind = metrics.render("application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    families = {family.name: family for family in openmetrics_families(body.decode())}
    buckets = families["tenuto_state_write_duration_seconds"].samples
    assert [s.exemplar.labels for s in buckets if s.exemplar is not None] == [{"trace_id": trace_id}]
    body, kind = metrics.render("*/*")
    assert kind.startswith("text/plain")
    assert trace_id.encode() not in body
    assert b"# EOF" not in body
    list(text_string_to_metric_families(body.decode()))


def test_traces_that_nobody_records_are_no_exemplars() -> None:
    """An exemplar leads to a recorded trace: the sampled flag decides, and what is no trace context is none."""
    known = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"
    assert sampled_trace_id(f"{known}01") == "4bf92f3577b34da6a3ce929d0e0e4736"
    for other in (f"{known}00", "", "hello", f"{known}0x", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"{known}01-more"):
        assert sampled_trace_id(other) == ""
