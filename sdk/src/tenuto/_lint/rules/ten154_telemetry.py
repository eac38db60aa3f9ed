"""TEN154: metrics and traces of the application."""

from __future__ import annotations

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Profile, Rule, Use

_METRICS = ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum")

RULE = Rule(
    id="TEN154",
    name="telemetry",
    message="{text}() records a metric or span again with each replay",
    why="The code runs once more with each replay, and counts or traces once more.",
    breaks="Counters grow by the number of replays, and spans begin and end at the times of replays, not of the work.",
    instead="Count and trace in activities; the engine counts workflows itself, and traces them (docs/metrics.md).",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    calls={
        **{f"prometheus_client.{name}.*": Use() for name in _METRICS},
        "opentelemetry.trace.get_tracer.*": Use(),
        "opentelemetry.metrics.get_meter.*": Use(),
        "opentelemetry.trace.get_current_span.*": Use(),
        "statsd.StatsClient.*": Use(),
        "datadog.statsd.*": Use(),
        "datadog.dogstatsd.*": Use(),
        "ddtrace.tracer.*": Use(),
        "newrelic.agent.*": Use(),
        "sentry_sdk.*": Use(),
    },
    extensible=True,
)
