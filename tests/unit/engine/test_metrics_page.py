"""The engine's counters as Prometheus reads them."""

from __future__ import annotations

from typing import get_args

from prometheus_client.parser import text_string_to_metric_families

from tenuto_engine.core.status import Hold, Status
from tenuto_engine.ports.operations import Append, Commit, Operation
from tenuto_engine.ports.outcomes import Appended, Committed, Fenced, Outcome
from tenuto_engine.ports.records import Head, Message
from tenuto_engine.runtime.metrics import Metrics
from tenuto_engine.runtime.metrics.families import MOST_TYPES
from tenuto_engine.runtime.metrics.groups import OPERATIONS, RESULTS

APP = {"app": "shop", "version": "v1"}


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


def test_counters_carry_app_and_version() -> None:
    """Each count is labelled by app and version, and by few words of its own."""
    metrics = Metrics(app="shop", version="v1")
    metrics.workflows_started.inc()
    metrics.count(metrics.workflows_ended, "completed")
    metrics.count(metrics.workflows_ended, "completed", by=2)
    metrics.count(metrics.messages_dropped, "void")
    assert value(metrics, "tenuto_workflow_started_total") == 1
    assert value(metrics, "tenuto_workflow_completed_total", status="completed") == 3
    assert value(metrics, "tenuto_messages_dropped_total", reason="void") == 1


def test_groups_are_counted_by_operation_result_and_record() -> None:
    """One group commit counts each operation by its answer, and the records it wrote; duplicates wrote none."""
    metrics = Metrics(app="shop", version="v1")
    head = Head(Status.RUNNING, Hold.NONE, "x1", "c1", 2, 1, 0, "", "start")
    commit = Commit(1, "t", "", "order-1", "x1", "", 0, head, b"", history=[b"1", b"2"])
    append = Append(1, "order-1", Message("m", b""))
    outcomes: list[Outcome] = [Committed(1), Committed(1, duplicate=True), Fenced(), Appended(0)]
    metrics.group_done([commit, commit, commit, append], outcomes, seconds=0.002)
    assert value(metrics, "tenuto_state_write_total", op="commit", result="ok") == 2
    assert value(metrics, "tenuto_state_write_total", op="commit", result="fenced") == 1
    assert value(metrics, "tenuto_state_write_total", op="inbox_push", result="ok") == 1
    assert value(metrics, "tenuto_state_records_total", kind="history") == 2
    assert value(metrics, "tenuto_state_records_total", kind="inbox") == 1
    assert value(metrics, "tenuto_fenced_writes_total") == 1
    assert samples(metrics)["tenuto_state_group_operations_sum", frozenset()] == 4


def test_two_engines_do_not_share_counts() -> None:
    """Each engine of a process has a registry of its own."""
    one, other = Metrics(app="shop", version="v1"), Metrics(app="shop", version="v1")
    one.purged.inc()
    assert value(other, "tenuto_instances_purged_total") == 0


def test_page_follows_the_accept_header() -> None:
    """OpenMetrics where it is asked for, the classic text elsewhere."""
    metrics = Metrics(app="shop", version="")
    body, kind = metrics.render("application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    body, kind = metrics.render("*/*")
    assert kind.startswith("text/plain")
    assert b"# EOF" not in body
