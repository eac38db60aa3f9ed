"""Figures of the benchmarks are computed as their headings say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenuto_bench import report
from tenuto_bench.meters import percentile
from tenuto_bench.session import CONFIGURATIONS, Result, figures_of, summarize
from tenuto_bench.targets import judge
from tenuto_bench.workloads import WORKLOADS

REDIS = CONFIGURATIONS[1]
CHAIN = next(workload for workload in WORKLOADS if workload.name == "chain-10-32")


def full_report(*, ours: float, rival: float, smoke: bool = False) -> dict[str, Any]:
    """A report with one workload, measured once on each side."""
    result = Result(REDIS, CHAIN, CHAIN.request, [{"rate": ours}], [{"rate": rival}])
    return {
        "began_at": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
        "is_smoke": smoke,
        "seed": 1,
        "repeats": 1,
        "commit": "0" * 40,
        "has_uncommitted_changes": False,
        "machine": {"cpu": "x", "cores": 2, "memory_gb": 4.0, "kernel": "x", "fsync_ms": {"p50": 0.2, "p99": 1.0}},
        "versions": {"python": "3"},
        "load_average": {"before": [0.0, 0.0, 0.0], "after": [0.0, 0.0, 0.0]},
        "results": [result.to_json()],
    }


@pytest.mark.parametrize(("share", "found"), [(0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (0.0, 1.0), (1.0, 100.0)])
def test_percentile_is_a_value_that_was_measured(share: float, found: float) -> None:
    """A percentile is the smallest measured value that the share does not exceed."""
    assert percentile([float(value) for value in range(100, 0, -1)], share) == found


def test_percentile_of_one_value() -> None:
    """Every percentile of a single value is that value."""
    assert {percentile([7.0], share) for share in (0.5, 0.99)} == {7.0}


def test_rates_count_units() -> None:
    """A rate is units per second, and latencies become milliseconds."""
    figures = figures_of({"seconds": 2.0, "latencies": [0.001, 0.003]}, units=100)
    assert (figures["rate"], figures["p50_ms"], figures["max_ms"]) == (50.0, 1.0, 3.0)


def test_units_are_steps_of_all_workflows() -> None:
    """A chain's units are its steps times the workflows, in a smoke run as in a full one."""
    assert CHAIN.unit_count(CHAIN.sized(smoke=False)) == CHAIN.request["count"] * 10
    assert CHAIN.unit_count(CHAIN.sized(smoke=True)) == CHAIN.smoke["count"] * 10


def test_summaries_keep_the_extremes() -> None:
    """Each figure has its median, lowest and highest value."""
    found = summarize([{"rate": 3.0}, {"rate": 1.0}, {"rate": 2.0}])
    assert found == {"rate": {"median": 2.0, "low": 1.0, "high": 3.0}}


def test_ratios_are_of_neighbours() -> None:
    """The ratio to the yardstick is the median over pairs that ran together, not the ratio of the medians."""
    ours, rival = [{"rate": 1.0}, {"rate": 5.0}, {"rate": 60.0}], [{"rate": 2.0}, {"rate": 10.0}, {"rate": 10.0}]
    assert Result(REDIS, CHAIN, CHAIN.request, ours, rival).to_json()["yardstick"]["ratio"] == 0.5


def test_targets_are_judged_by_what_was_measured() -> None:
    """A target is judged where its figures exist, by its bound; a smoke run is not judged."""
    verdicts = {verdict.target.text: verdict for verdict in judge(full_report(ours=5000.0, rival=12_500.0))}
    assert verdicts["chain of 10, 32 in flight"].is_reached
    share = verdicts["chain of 10, 32 in flight: share of the yardstick's rate"]
    assert (share.value, share.is_reached) == (0.4, False)
    assert len(verdicts) == 2
    assert judge(full_report(ours=1.0, rival=1.0, smoke=True)) == []


def test_readme_is_rewritten_between_its_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing tables twice leaves the text around them alone, and one set of tables."""
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n", encoding="utf-8")
    monkeypatch.setattr(report, "README", readme)
    for rate in (4000.0, 4200.0):
        report.write_readme(full_report(ours=rate, rival=8000.0))
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert ("4,200" in text, "4,000" in text, "old" in text) == (True, False, False)
    assert text.count("### Targets") == 1


def test_what_was_not_measured_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of the workloads alone leaves the table of hand-overs as an earlier run wrote it."""
    readme = tmp_path / "README.md"
    begin, end = report.MARKERS["handovers"]
    readme.write_text(f"{begin}\nearlier\n{end}\n{report.BEGIN}\nold\n{report.END}\n", encoding="utf-8")
    monkeypatch.setattr(report, "README", readme)
    report.write_readme(full_report(ours=4000.0, rival=8000.0))
    text = readme.read_text(encoding="utf-8")
    assert ("earlier" in text, "old" in text, "4,000" in text) == (True, False, True)


def test_the_readme_has_its_markers() -> None:
    """The README that runs write into has all markers, once and in order."""
    text = report.README.read_text(encoding="utf-8")
    for begin, end in report.MARKERS.values():
        assert (text.count(begin), text.count(end)) == (1, 1)
        assert text.index(begin) < text.index(end)


def test_workloads_have_unique_names() -> None:
    """A name selects one workload."""
    names = [workload.name for workload in WORKLOADS]
    assert sorted(set(names)) == sorted(names)
