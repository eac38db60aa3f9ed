"""Families of metrics: made once, described for the documentation, shown on one page with the constant labels.

Counting happens on the event loop alone, several times in every turn, so a child is a plain number here and not the
library's, whose locks and checks cost more than the counting (measured: 0.25 us for a count against 0.05). The library
reads them with the page, adds `app` and `version`, and writes both formats. Children are kept by their label values,
because looking one up by name would cost more still.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar

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


class Number:
    """A counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, by: float = 1) -> None:
        self.value += by

    def set(self, value: float) -> None:
        self.value = value


class Distribution:
    """A histogram: how many values fell under each bound, and the last recorded trace of each bucket."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._exemplars: dict[int, tuple[str, float]] = {}
        self._sum = 0.0

    def observe(self, value: float, trace_id: str = "", times: int = 1) -> None:
        """Count a value. `trace_id`: a recorded trace in which it arose."""
        bucket = bisect_left(self._bounds, value)
        self._counts[bucket] += times
        self._sum += value * times
        if trace_id:
            self._exemplars[bucket] = (trace_id, value)

    def show(self, family: HistogramMetricFamily, labels: tuple[str, ...]) -> None:
        """Add what was counted to a page's family; its buckets are cumulative."""
        buckets: list[Any] = []
        total = 0
        for position, bound in enumerate((*self._bounds, float("inf"))):
            total += self._counts[position]
            known = self._exemplars.get(position)
            exemplar = Exemplar({"trace_id": known[0]}, known[1]) if known is not None else None
            buckets.append((f"{bound:.15g}" if bound < float("inf") else "+Inf", total, exemplar))
        family.add_metric(labels, buckets, self._sum)


_Child = TypeVar("_Child")


class _Children(dict[Values, _Child], Generic[_Child]):
    """A family's children by label values, made at first use."""

    def __init__(self, make: Callable[[], _Child]) -> None:
        self._make: Callable[[], _Child] = make

    def __missing__(self, values: Values) -> _Child:
        made = self[values] = self._make()
        return made


Counters = _Children[Number]
Histograms = _Children[Distribution]


def _each(values: Values) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else values


class Catalog:
    """Makes the families of one engine and shows them. Two engines in one process share nothing.

    `beside`: catalogs of the same families whose samples are shown with these; their constant labels differ.
    """

    def __init__(self, *, app: str, version: str) -> None:
        self.described: list[Described] = []
        self._constant = {"app": app, "version": version}
        self._numbers: dict[str, Mapping[Values, Number]] = {}
        self._distributions: dict[str, Histograms] = {}
        self._readers: dict[str, Callable[[], Reading]] = {}
        self.beside: list[Catalog] = []

    # -- making ---------------------------------------------------------------------------------------------------

    def counter(self, name: str, text: str) -> Number:
        """A counter without labels; `name` ends in `_total`."""
        return self.counters(name, text)[()]

    def counters(self, name: str, text: str, *labels: str) -> Counters:
        """A counter whose children are found by label values."""
        self._describe(name, "counter", labels, text)
        made = self._numbers[name] = Counters(Number)
        return made

    def gauge(self, name: str, text: str) -> Number:
        """A gauge that is set when its value changes."""
        self._describe(name, "gauge", (), text)
        made = Number()
        self._numbers[name] = {(): made}
        return made

    def histogram(self, name: str, text: str, *, buckets: Sequence[float]) -> Distribution:
        return self.histograms(name, text, buckets=buckets)[()]

    def histograms(self, name: str, text: str, *labels: str, buckets: Sequence[float]) -> Histograms:
        """A histogram whose children are found by label values."""
        self._describe(name, "histogram", labels, text)
        made = self._distributions[name] = Histograms(lambda: Distribution(buckets))
        return made

    def live(self, name: str, text: str, *labels: str) -> None:
        """Declare what is read with the page, a gauge or a counter by its name; without samples until `show`."""
        self._describe(name, "counter" if name.endswith("_total") else "gauge", labels, text)

    def show(self, name: str, read: Callable[[], Reading]) -> None:
        """Say how a declared number is read: from memory, without waiting; one, or several by label values."""
        assert any(name == described.name for described in self.described), name
        self._readers[name] = read

    def _describe(self, name: str, kind: str, labels: tuple[str, ...], text: str) -> None:
        self.described.append(Described(name, kind, labels, text))

    # -- showing --------------------------------------------------------------------------------------------------

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition and its content type: OpenMetrics, with exemplars, where it is asked for."""
        encode, content_type = _choose(accept)
        return encode(self), content_type

    def collect(self) -> Iterable[Metric]:
        """All families as they stand, for the library's encoders; to them this is a registry."""
        for described in self.described:
            family = self._labelled(described)
            for other in self.beside:
                family.samples.extend(other._labelled(described).samples)
            yield family

    def _labelled(self, described: Described) -> Metric:
        family = self._family(described)
        family.samples = [s._replace(labels={**self._constant, **s.labels}) for s in family.samples]
        return family

    def _family(self, described: Described) -> Metric:
        name, labels = described.name, described.labels
        if described.kind == "histogram":
            histogram = HistogramMetricFamily(name, described.text, labels=labels)
            for values, child in self._distributions[name].items():
                child.show(histogram, _each(values))
            return histogram
        make = CounterMetricFamily if described.kind == "counter" else GaugeMetricFamily
        family = make(name, described.text, labels=labels)
        for values, number in self._reading(name).items():
            family.add_metric(_each(values), number)
        return family

    def _reading(self, name: str) -> Mapping[Values, float]:
        if name in self._numbers:
            return {values: number.value for values, number in self._numbers[name].items()}
        read = self._readers.get(name)
        if read is None:
            return {}
        reading = read()
        return reading if isinstance(reading, Mapping) else {(): reading}
