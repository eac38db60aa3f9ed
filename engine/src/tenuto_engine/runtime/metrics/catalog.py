"""Families of metrics: made once, described for the documentation, shown on one page with the constant labels.

`app` and `version` are added when the page is read, so counting pays nothing for them. Children are kept by their label
values, because looking one up by name costs more than counting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

_choose: Any = choose_encoder  # carries no annotations

# Label values: one as text, several as a tuple, in the order in which the family was given its labels.
Values = str | tuple[str, ...]
Reading = Mapping[Values, float] | float

UNITS = ("seconds", "bytes", "ratio")
CONSTANT = ("app", "version")


class Described(msgspec.Struct, frozen=True):
    """What the documentation says of one family; `name` is that of its samples (a counter's ends in `_total`)."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    @property
    def unit(self) -> str:
        """The base unit, empty for numbers of things."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in UNITS else ""


class Counters(dict[Values, Counter]):
    """A counter's children by label values, made at first use."""

    def __init__(self, family: Counter) -> None:
        self._family = family

    def __missing__(self, values: Values) -> Counter:
        made = self[values] = self._family.labels(*_each(values))
        return made


class Histograms(dict[Values, Histogram]):
    """A histogram's children by label values, made at first use."""

    def __init__(self, family: Histogram) -> None:
        self._family = family

    def __missing__(self, values: Values) -> Histogram:
        made = self[values] = self._family.labels(*_each(values))
        return made


def _each(values: Values) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else values


class _Live:
    """Numbers that are read from memory when the page is: from the owner of a thing, so never by two engines."""

    def __init__(self) -> None:
        self.known: list[Described] = []
        self.readers: dict[str, Callable[[], Reading]] = {}

    def collect(self) -> Iterable[Metric]:
        for described in self.known:
            read = self.readers.get(described.name)
            if read is None:
                continue
            make = CounterMetricFamily if described.kind == "counter" else GaugeMetricFamily
            family = make(described.name, described.text, labels=described.labels)
            reading = read()
            pairs = reading.items() if isinstance(reading, Mapping) else [((), reading)]
            for values, number in pairs:
                family.add_metric(_each(values), number)
            yield family


class _Page:
    """The registry with the constant labels on every sample; to the encoders it is a registry."""

    def __init__(self, registry: CollectorRegistry, constant: dict[str, str]) -> None:
        self._registry = registry
        self._constant = constant

    def collect(self) -> Iterable[Metric]:
        constant = self._constant
        for family in self._registry.collect():
            # When a series began says nothing that its scraper does not know, and would double the page.
            family.samples = [
                sample._replace(labels={**constant, **sample.labels})
                for sample in family.samples
                if not sample.name.endswith("_created")
            ]
            yield family


class Catalog:
    """Makes the families of one engine and shows them. Two engines in one process share nothing."""

    def __init__(self, *, app: str, version: str) -> None:
        self.described: list[Described] = []
        self._registry = CollectorRegistry()
        self._page = _Page(self._registry, {"app": app, "version": version})
        self._live = _Live()
        self._registry.register(self._live)

    def counter(self, name: str, text: str) -> Counter:
        """A counter without labels; `name` ends in `_total`."""
        self._describe(name, "counter", (), text)
        return Counter(name, text, registry=self._registry)

    def counters(self, name: str, text: str, *labels: str) -> Counters:
        self._describe(name, "counter", labels, text)
        return Counters(Counter(name, text, labels, registry=self._registry))

    def histogram(self, name: str, text: str, *, buckets: Sequence[float]) -> Histogram:
        self._describe(name, "histogram", (), text)
        return Histogram(name, text, buckets=buckets, registry=self._registry)

    def histograms(self, name: str, text: str, *labels: str, buckets: Sequence[float]) -> Histograms:
        self._describe(name, "histogram", labels, text)
        return Histograms(Histogram(name, text, labels, buckets=buckets, registry=self._registry))

    def gauge(self, name: str, text: str) -> Gauge:
        """A gauge that is set when its value changes."""
        self._describe(name, "gauge", (), text)
        return Gauge(name, text, registry=self._registry)

    def live(self, name: str, text: str, *labels: str) -> None:
        """Declare what is read with the page, a gauge or a counter by its name; absent until `show` says how."""
        kind = "counter" if name.endswith("_total") else "gauge"
        self._live.known.append(self._describe(name, kind, labels, text))

    def show(self, name: str, read: Callable[[], Reading]) -> None:
        """Say how a declared number is read: from memory, without waiting; one, or several by label values."""
        assert any(name == described.name for described in self._live.known), name
        self._live.readers[name] = read

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition and its content type: OpenMetrics, with exemplars, where it is asked for."""
        encode, content_type = _choose(accept)
        return encode(self._page), content_type

    def _describe(self, name: str, kind: str, labels: tuple[str, ...], text: str) -> Described:
        described = Described(name, kind, labels, text)
        self.described.append(described)
        return described
