"""The engine's own counters, as Prometheus reads them. Names are stable; labels have few, bounded values.

Nothing here is ever labelled by instance, shard or error text. The registry is the engine's own, so that two engines
in one process (tests) do not share counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics import exposition

from tenuto_engine.ports.operations import (
    Append,
    Commit,
    Create,
    Deliver,
    DropReminder,
    FireReminder,
    Operation,
    Purge,
    RemoveOutbox,
    ReplaceActivity,
)
from tenuto_engine.ports.outcomes import (
    Appended,
    Committed,
    Conflict,
    Created,
    Delivered,
    Done,
    Exists,
    Fenced,
    Outcome,
    Refused,
    Rejected,
    Unconfirmed,
)

_openmetrics: Any = exposition  # its functions carry no annotations
_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_OPERATIONS: dict[type, str] = {
    Create: "create",
    Append: "inbox_push",
    Commit: "commit",
    FireReminder: "timer",
    DropReminder: "timer",
    ReplaceActivity: "activity",
    Purge: "purge",
    Deliver: "outbox_deliver",
    RemoveOutbox: "outbox_remove",
}
_RESULTS: dict[type, str] = {
    Created: "ok",
    Exists: "conflict",
    Appended: "ok",
    Committed: "ok",
    Fenced: "fenced",
    Conflict: "conflict",
    Refused: "refused",
    Done: "ok",
    Delivered: "ok",
    Unconfirmed: "timeout",
    Rejected: "error",
}


class Metrics:
    """All counters of one engine. `app` and `version` are constant labels."""

    def __init__(self, *, app: str, version: str) -> None:
        self.registry = CollectorRegistry()
        constant = {"app": app, "version": version}
        names = tuple(constant)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, (*names, *labels), registry=self.registry)

        self._constant = tuple(constant.values())
        self.state_write = counter("tenuto_state_write", "Store operations that write, by result", "op", "result")
        self.state_records = counter("tenuto_state_records", "Records written, by kind", "kind")
        self.fenced = self._plain("tenuto_fenced_writes", "Writes refused because another owner holds the shard")
        self.turns = counter("tenuto_workflow_turns", "Turns answered by workers, by outcome", "outcome")
        self.workflows_started = self._plain("tenuto_workflow_started", "Instances created")
        self.workflows_ended = counter("tenuto_workflow_completed", "Executions ended, by status", "status")
        self.activities_ended = counter("tenuto_activity_completed", "Activity calls ended, by status", "status")
        self.activity_retries = self._plain("tenuto_activity_retries", "Failed attempts that are tried again")
        self.activity_deliveries = self._plain("tenuto_activity_deliveries", "Activities handed to a worker")
        self.replayed_events = self._plain("tenuto_replay_events", "History events sent for replay")
        self.nondeterminism = self._plain("tenuto_nondeterminism", "Turns refused because replay differed from history")
        self.messages_dropped = counter(
            "tenuto_messages_dropped", "Messages consumed without effect, by reason", "reason"
        )
        self.reminders_registered = counter("tenuto_reminder_registered", "Reminders written, by kind", "kind")
        self.reminders_fired = counter("tenuto_reminder_fired", "Reminders fired, by kind and result", "kind", "result")
        self.purged = self._plain("tenuto_instances_purged", "Instances removed")
        self.leases = counter("tenuto_lease_operations", "Lease operations, by result", "op", "result")
        self.group_size = Histogram(
            "tenuto_state_group_operations",
            "Operations per group commit",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self.write_seconds = Histogram(
            "tenuto_state_write_duration_seconds",
            "Duration of one group commit",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.lateness = Histogram(
            "tenuto_reminder_lateness_seconds",
            "From due to fired",
            buckets=(*_BUCKETS, 10.0, 60.0),
            registry=self.registry,
        )
        self.shards_owned = Gauge("tenuto_shards_owned", "Shards whose lease this engine holds", registry=self.registry)
        self.shards_desired = Gauge(
            "tenuto_shards_desired", "Shards that the map gives to this engine", registry=self.registry
        )
        self.shards_unowned = Gauge("tenuto_shards_unowned", "Shards that no member owns", registry=self.registry)
        self.handover_seconds = Histogram(
            "tenuto_shard_handover_seconds",
            "From the former owner's last sign of life until the shard's work went on here",
            ("cause",),
            buckets=(*_BUCKETS, 10.0, 20.0, 60.0),
            registry=self.registry,
        )
        self.streams = Gauge("tenuto_sdk_streams", "Connected workers", registry=self.registry)
        self.instances_live = Gauge("tenuto_instances_in_memory", "Instances held in memory", registry=self.registry)
        self._cells: dict[tuple[str, ...], Counter] = {}

    def _plain(self, name: str, text: str) -> Counter:
        made = Counter(name, text, ("app", "version"), registry=self.registry)
        return made.labels(*self._constant)

    def count(self, counter: Counter, *labels: str, by: int = 1) -> None:
        """Add to a labelled counter; the child is looked up once per label set, because that lookup is slow."""
        key = (str(id(counter)), *labels)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = counter.labels(*self._constant, *labels)
        cell.inc(by)

    def shards(self, *, desired: int, owned: int, unowned: int) -> None:
        """Note how many shards the map gives to this engine, how many it owns, and how many nobody owns."""
        self.shards_desired.set(desired)
        self.shards_owned.set(owned)
        self.shards_unowned.set(unowned)

    def handover(self, cause: str, seconds: float) -> None:
        """Note a shard that was taken from another owner: from its last sign of life until work went on here."""
        self.handover_seconds.labels(cause).observe(seconds)

    def group_done(self, operations: Sequence[Operation], outcomes: Sequence[Outcome], *, seconds: float) -> None:
        """Count one group commit: its operations by result, its records by kind, its duration."""
        self.group_size.observe(len(operations))
        self.write_seconds.observe(seconds)
        tally: dict[tuple[type, type], int] = {}
        history = 0
        for operation, outcome in zip(operations, outcomes, strict=True):
            key = (type(operation), type(outcome))
            tally[key] = tally.get(key, 0) + 1
            if isinstance(outcome, Committed) and isinstance(operation, Commit) and not outcome.duplicate:
                history += len(operation.history)
        for (operation_type, outcome_type), times in tally.items():
            self.count(self.state_write, _OPERATIONS[operation_type], _RESULTS[outcome_type], by=times)
        committed = tally.get((Commit, Committed), 0)
        if history:
            self.count(self.state_records, "history", by=history)
        if committed:
            self.count(self.state_records, "metadata", by=committed)
        if appended := tally.get((Append, Appended), 0):
            self.count(self.state_records, "inbox", by=appended)
        if fenced := sum(n for (_, result), n in tally.items() if result is Fenced):
            self.fenced.inc(fenced)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition and its content type: OpenMetrics where it is asked for."""
        if "application/openmetrics-text" in accept:
            return _openmetrics.generate_latest(self.registry), _openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
