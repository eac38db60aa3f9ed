"""Every metric of an engine, and what the runtime calls to count. All of it runs on the event loop."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence

from tenuto_engine import __version__
from tenuto_engine.ports.operations import Operation
from tenuto_engine.ports.outcomes import Outcome
from tenuto_engine.runtime.metrics.catalog import Catalog, Counters, Described, Reading
from tenuto_engine.runtime.metrics.groups import SECONDS, GroupMetrics

# Names of workflows and activities come from users: so many have a series of their own, in the order they appear.
MOST_TYPES = 100
OTHER = "other"
# A reminder that fires later than this is counted as late; the alert on lateness begins here.
LATE_SECONDS = 10.0
CAUSES = ("drain", "rebalance", "release", "expiry")
# What a refusal for nondeterminism is counted as: the codes that the worker's report begins with.
NONDETERMINISM_CODES = ("non_deterministic", "unexpected_activity")

_LONG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200, 43_200, 86_400)
_EVENTS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000)
_BYTES = tuple(4**power for power in range(4, 14))
_RATIOS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


class Types:
    """Bounds a label whose values users choose: the first hundred names stand for themselves, the rest for `other`."""

    def __init__(self, label: str, overflow: Counters) -> None:
        self._names: dict[str, str] = {}
        self._overflow = overflow[label]

    def __call__(self, name: str) -> str:
        known = self._names.get(name)
        if known is not None:
            return known
        if len(self._names) < MOST_TYPES:
            self._names[name] = name
            return name
        self._overflow.inc()
        return OTHER


class Metrics:
    """All metrics of one engine. `app` and `version` are on every sample."""

    def __init__(self, *, app: str, version: str) -> None:
        self._app = app
        self._beside: dict[str, Metrics] = {}
        self._catalog = catalog = Catalog(app=app, version=version)
        self.groups = GroupMetrics(catalog)
        self._declare_store(catalog)
        self._declare_reminders(catalog)
        self._declare_ownership(catalog)
        overflow = catalog.counters(
            "tenuto_label_overflow_total", "Times a name beyond the first hundred was counted as `other`", "label"
        )
        self._workflow_types, self._activity_types = Types("workflow", overflow), Types("activity", overflow)
        self._declare_workflows(catalog)
        self._declare_activities(catalog)
        self._declare_engine(catalog)

    def _declare_store(self, catalog: Catalog) -> None:
        self.reads = catalog.counters("tenuto_state_read_total", "Reads from the store, by result", "op", "result")
        self.read_seconds = catalog.histograms(
            "tenuto_state_read_duration_seconds", "From asking the store to its answer", "op", buckets=SECONDS
        )
        catalog.live(
            "tenuto_state_replica_ack_total", "Waits for replicas' confirmation of a write, by outcome", "result"
        )
        self.history_events = catalog.histogram(
            "tenuto_history_events", "Events of an execution's history, at its end", buckets=_EVENTS
        )
        self.history_bytes = catalog.histogram(
            "tenuto_history_bytes", "Bytes of an execution's history, at its end", buckets=_BYTES
        )
        self.payload_ratio = catalog.histogram(
            "tenuto_payload_limit_ratio", "Size of a payload as a share of the limit payload_bytes", buckets=_RATIOS
        )

    def _declare_reminders(self, catalog: Catalog) -> None:
        catalog.live("tenuto_reminder_pending", "Reminders stored for the owned shards, by what they are for", "kind")
        self.reminders_fired = catalog.counters(
            "tenuto_reminder_fired_total",
            f"Due reminders by what came of them; late: more than {LATE_SECONDS:g} s after they were due",
            "kind",
            "result",
        )
        self.lateness = catalog.histograms(
            "tenuto_reminder_lateness_seconds",
            "From due to the start of the turn that it wakes; kinds other than timer: to the message",
            "kind",
            buckets=(*SECONDS, 10.0, 60.0, 300.0),
        )

    def _declare_ownership(self, catalog: Catalog) -> None:
        gauge = catalog.gauge
        self.shards_desired = gauge("tenuto_shards_desired", "Shards that this engine should own by the shard map")
        self.shards_owned = gauge("tenuto_shards_owned", "Shards whose lease this engine holds")
        self.shards_unowned = gauge("tenuto_shards_unowned", "Shards that nobody owns, as this engine last saw them")
        self.leases = catalog.counters("tenuto_lease_operations_total", "Lease operations, by result", "op", "result")
        self.lease_renew_seconds = catalog.histogram(
            "tenuto_lease_renew_duration_seconds", "Duration of one renewal of all leases", buckets=SECONDS
        )
        catalog.live(
            "tenuto_lease_remaining_seconds", "Time until the first lease of this engine runs out, if not renewed"
        )
        self.handovers = catalog.histograms(
            "tenuto_shard_handover_seconds",
            "From the former owner's last sign of life until the shard's work went on here",
            "cause",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60),
        )

    def _declare_workflows(self, catalog: Catalog) -> None:
        counters, histograms = catalog.counters, catalog.histograms
        self.turns = counters(
            "tenuto_workflow_turns_total", "Turns answered by workers or given up, by outcome", "outcome"
        )
        self._workflows_started = counters("tenuto_workflow_started_total", "Instances created", "type")
        self._workflows_ended = counters("tenuto_workflow_completed_total", "Executions ended", "type", "status")
        catalog.live("tenuto_workflow_running", "Instances of the owned shards that have not ended")
        self._workflow_seconds = histograms(
            "tenuto_workflow_duration_seconds", "From an instance's creation to its end", "type", buckets=_LONG_SECONDS
        )
        self._turn_seconds = histograms(
            "tenuto_workflow_turn_duration_seconds",
            "From handing a turn to a worker until its commit is confirmed",
            "type",
            buckets=SECONDS,
        )
        self._workflow_waits = histograms(
            "tenuto_workflow_schedule_to_start_seconds",
            "From creation, or the moment it was scheduled for, to the first turn",
            "type",
            buckets=_LONG_SECONDS,
        )
        self.instances_live = catalog.gauge("tenuto_instances_in_memory", "Instances held in memory")
        self.purged = catalog.counter("tenuto_instances_purged_total", "Instances removed")
        self.messages_dropped = counters(
            "tenuto_messages_dropped_total", "Messages consumed without effect, by reason", "reason"
        )
        self.replays = counters("tenuto_replay_total", "Turns that replayed a history from its start", "result")
        self.replayed_events = catalog.counter("tenuto_replay_events_total", "History events sent for replay")
        self.nondeterminism = counters(
            "tenuto_nondeterminism_total", "Turns refused because replay differed from history, by code", "code"
        )
        for code in NONDETERMINISM_CODES:  # an alert needs the rate from the first one on
            self.nondeterminism[code].inc(0)
        self.guard_refused = catalog.counter(
            "tenuto_guard_refused_total",
            "Turns refused because workflow code called a clock, a file, the network or the like",
        )

    def _declare_activities(self, catalog: Catalog) -> None:
        counters, histograms = catalog.counters, catalog.histograms
        self._activities_ended = counters(
            "tenuto_activity_completed_total", "Activity calls ended", "type", "status", "attempt_bucket"
        )
        self._activity_seconds = histograms(
            "tenuto_activity_duration_seconds",
            "From handing out an attempt to its answer",
            "type",
            buckets=_LONG_SECONDS,
        )
        self._activity_waits = histograms(
            "tenuto_activity_schedule_to_start_seconds",
            "From an attempt's being due to its hand-out to a worker",
            "type",
            buckets=_LONG_SECONDS,
        )
        self._heartbeat_timeouts = counters(
            "tenuto_activity_heartbeat_timeout_total", "Attempts given up because their heartbeat stopped", "type"
        )
        self.activity_retries = catalog.counter("tenuto_activity_retries_total", "Failed attempts that are tried again")
        self.activity_deliveries = catalog.counter("tenuto_activity_deliveries_total", "Activities handed to a worker")
        catalog.live(
            "tenuto_activity_slots", "Activities that the connected workers run, and could run beside", "state"
        )
        catalog.live("tenuto_backlog_items", "What waits in the owned shards: ready, unclaimed, or due", "kind")
        catalog.live("tenuto_backlog_oldest_age_seconds", "How long the oldest of it has waited", "kind")

    def _declare_engine(self, catalog: Catalog) -> None:
        self.streams = catalog.gauge("tenuto_sdk_streams", "Connected workers")
        self.draining = catalog.gauge("tenuto_engine_draining", "1 while this engine goes away")
        catalog.live("tenuto_engine_build_info", "Always 1; what is running", "release", "layout", "python")
        self.loop_lag = catalog.histogram(
            "tenuto_event_loop_lag_seconds",
            "How much later than asked the event loop came back to a sleeping task",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
        )

    # -- the page -------------------------------------------------------------------------------------------------

    @property
    def described(self) -> Sequence[Described]:
        """All families, for the documentation."""
        return self._catalog.described

    def beside(self, version: str) -> Metrics:
        """Metrics of another version that this process takes care of, shown on the same page; kept when that ends."""
        known = self._beside.get(version)
        if known is None:
            known = self._beside[version] = Metrics(app=self._app, version=version)
            self._catalog.beside.append(known._catalog)
        return known

    def show(self, name: str, read: Callable[[], Reading]) -> None:
        """Say how a gauge is read with the page: from memory, without waiting."""
        self._catalog.show(name, read)

    def build(self, layout: str) -> None:
        """Say what is running, and in which layout it stores."""
        values = (__version__, layout, platform.python_version())
        self.show("tenuto_engine_build_info", lambda: {values: 1})

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition and its content type: OpenMetrics where it is asked for."""
        return self._catalog.render(accept)

    # -- counting -------------------------------------------------------------------------------------------------

    @staticmethod
    def count(counters: Counters, value: str, by: int = 1) -> None:
        """Add to a counter with one label."""
        counters[value].inc(by)

    def group_done(
        self, operations: Sequence[Operation], outcomes: Sequence[Outcome], *, seconds: float, trace_id: str = ""
    ) -> None:
        """Count one group commit: its operations by result, its records by kind, its duration."""
        self.groups.done(operations, outcomes, seconds=seconds, trace_id=trace_id)

    def reminder_fired(self, kind: str, result: str, late_seconds: float) -> None:
        """A due reminder was handled. The lateness of timers is measured where their turn begins."""
        self.reminders_fired[kind, result].inc()
        if kind != "timer" and result in {"ok", "late"}:
            self.lateness[kind].observe(max(0.0, late_seconds))

    def reminder_cancelled(self) -> None:
        """A delayed start, a back-off or a retention was removed before it was due; timers are counted by the group."""
        self.groups.reminder_writes["cancel", "ok"].inc()

    # Ownership: the lease keeper has these called on the event loop.

    def shards(self, *, desired: int, owned: int, unowned: int) -> None:
        """What the shard map asks for, what is held, and what nobody holds."""
        self.shards_desired.set(desired)
        self.shards_owned.set(owned)
        self.shards_unowned.set(unowned)

    def lease_operation(self, op: str, result: str, by: int = 1) -> None:
        """`op`: acquire, renew, release, steal (an expired lease of another); `result`: ok, lost, contended, error."""
        self.leases[op, result].inc(by)

    def lease_renewed(self, seconds: float) -> None:
        """A round of renewals took so long."""
        self.lease_renew_seconds.observe(seconds)

    def handover(self, cause: str, seconds: float) -> None:
        """A shard was taken over so long after its former owner's last moment. `cause`: one of `CAUSES`."""
        self.handovers[cause if cause in CAUSES else OTHER].observe(max(0.0, seconds))

    # Workflows.

    def workflow_started(self, name: str) -> None:
        """An instance was created."""
        self._workflows_started[self._workflow_types(name)].inc()

    def workflow_waited(self, name: str, seconds: float, *, trace_id: str = "") -> None:
        """An instance's first turn begins, so long after it could."""
        self._workflow_waits[self._workflow_types(name)].observe(max(0.0, seconds), trace_id)

    def turn_done(self, name: str, seconds: float, *, trace_id: str = "") -> None:
        """A turn is durable, so long after it was handed to a worker."""
        self._turn_seconds[self._workflow_types(name)].observe(max(0.0, seconds), trace_id)

    def workflow_ended(self, name: str, status: str, seconds: float, *, trace_id: str = "") -> None:
        """An instance has ended, so long after its creation."""
        kind = self._workflow_types(name)
        self._workflows_ended[kind, status].inc()
        self._workflow_seconds[kind].observe(max(0.0, seconds), trace_id)

    def execution_ended(self, events: int, size_bytes: int) -> None:
        """An execution has ended with a history so long (a renewed instance ends one at each renewal)."""
        self.history_events.observe(events)
        self.history_bytes.observe(size_bytes)

    def payload(self, size: int, limit: int) -> None:
        """A payload of so many bytes came in."""
        self.payload_ratio.observe(size / limit)

    # Activities.

    def activity_started(self, name: str, waited_seconds: float, *, trace_id: str = "") -> None:
        """An attempt was handed to a worker, so long after it was due."""
        self.activity_deliveries.inc()
        self._activity_waits[self._activity_types(name)].observe(max(0.0, waited_seconds), trace_id)

    def activity_ended(self, name: str, status: str, attempt: int, seconds: float, *, trace_id: str = "") -> None:
        """A call has its final result (`status`: completed or failed), so long after its last attempt was handed out.

        Negative seconds: nobody here knows when that was.
        """
        kind = self._activity_types(name)
        self._activities_ended[kind, status, _attempts(attempt)].inc()
        if seconds >= 0:
            self._activity_seconds[kind].observe(max(0.0, seconds), trace_id)

    def heartbeat_timeout(self, name: str) -> None:
        """An attempt was given up because its heartbeat stopped."""
        self._heartbeat_timeouts[self._activity_types(name)].inc()


def _attempts(attempt: int) -> str:
    if attempt <= 2:
        return str(attempt)
    return "3-5" if attempt <= 5 else "6+"
