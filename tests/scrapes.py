"""What an engine's `/metrics` says, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Scrape:
    """One page. `families`: as the library parses them; `short`: values by name and own label values, sorted."""

    def __init__(self, families: Iterable[Any]) -> None:
        self.families = {family.name: family for family in families}
        self.short: dict[tuple[str, ...], float] = {}
        for family in self.families.values():
            for sample in family.samples:
                own = [value for name, value in sorted(sample.labels.items()) if name not in {"app", "version", "le"}]
                self.short[sample.name, *own] = sample.value

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples of this name that carry these labels."""
        samples = [sample for family in self.families.values() for sample in family.samples if sample.name == name]
        chosen = (s.value for s in samples if labels.items() <= s.labels.items() and "le" not in s.labels)
        return float(sum(chosen))

    def by(self, name: str, *labels: str) -> dict[Any, float]:
        """Values above 0 by one label, or by several as a tuple."""
        found: dict[Any, float] = {}
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name and "le" not in sample.labels and sample.value:
                    values = [sample.labels[label] for label in labels]
                    key = tuple(values) if len(values) > 1 else values[0]
                    found[key] = found.get(key, 0) + sample.value
        return found


async def scraped(web: httpx.AsyncClient, *, accept: str = "text/plain") -> Scrape:
    """Scrape an engine over HTTP, in the format asked for."""
    answer = await web.get("/metrics", headers={"Accept": accept})
    is_open = answer.headers["Content-Type"].startswith("application/openmetrics-text")
    return Scrape((read_openmetrics if is_open else read_text)(answer.text))


def page_of(text: str) -> Scrape:
    """A page in the classic text format."""
    return Scrape(read_text(text))
