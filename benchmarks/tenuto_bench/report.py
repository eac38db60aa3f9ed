"""Tables from a report: for a terminal, and as Markdown between markers of README.md. None is typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.table import Table

from tenuto_bench.servers import BENCHMARKS
from tenuto_bench.session import CONFIGURATIONS
from tenuto_bench.targets import judge

README = BENCHMARKS / "README.md"
BEGIN, END = "<!-- results: begin (written by run.py --write-readme) -->", "<!-- results: end -->"
# Where each list of a report is shown: one that a run did not measure stays as it was.
MARKERS = {
    "results": (BEGIN, END),
    "handovers": ("<!-- hand-overs: begin (written by run.py --write-readme) -->", "<!-- hand-overs: end -->"),
}
TITLES = {one.name: one.title for one in CONFIGURATIONS}
# Headings of columns that hold words rather than numbers.
WORDS = ("workload", "store", "unit", "target", "figure", "event")
# Figure and heading.
COLUMNS = (
    ("rate", "per second"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("store_operations_per_unit", "store operations"),
    ("commits_per_unit", "commits"),
    ("redis_scripts_per_unit", "Redis scripts"),
    ("redis_commands_per_unit", "Redis commands"),
    ("engine_cpu_us_per_unit", "engine CPU µs"),
    ("app_cpu_us_per_unit", "app CPU µs"),
    ("redis_cpu_us_per_unit", "Redis CPU µs"),
    ("engine_rss_mb", "engine MB"),
    ("app_rss_mb", "app MB"),
)
# Figure, which of its repeats' values, and heading. Counts are whole numbers.
COUNTS = ("moved", "repeated", "lost")
PAUSES = (
    ("p50_ms", "median", "p50 ms"),
    ("p99_ms", "median", "p99 ms"),
    ("max_ms", "high", "longest ms"),
    ("moved", "median", "instances moved"),
    ("step_ms", "median", "ordinary step ms"),
    ("repeated", "high", "activities run again"),
    ("lost", "high", "instances lost"),
)
EXTRAS = {
    "first_ms_per_step": "ms per step at first",
    "last_ms_per_step": "ms per step at last",
    "history_events": "events in history",
    "start_seconds": "seconds to start",
    "margin_seconds": "seconds from the last start to the first due",
    "idle_engine_cpu_percent": "% of a core while idle",
    "empty_engine_cpu_percent": "% of a core of an empty engine",
    "engine_bytes_per_unit": "engine bytes per instance",
    "redis_bytes_per_unit": "Redis bytes per instance",
    "file_bytes_per_unit": "file bytes per instance",
}


@dataclass(frozen=True)
class Grid:
    """A table in any output."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_rich(self) -> Table:
        table = Table(title=self.title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
        for heading in self.headings:
            table.add_column(heading, justify="left" if heading in WORDS else "right", header_style="dim")
        for row in self.rows:
            table.add_row(*row)
        return table

    def to_markdown(self) -> str:
        rule = ["---" if heading in WORDS else "---:" for heading in self.headings]
        lines = [f"| {' | '.join(row)} |" for row in (self.headings, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines])


def grids(report: Mapping[str, Any]) -> Iterator[Grid]:
    """All tables of a report, the verdict first."""
    if verdicts := judge(report):
        rows = [
            (
                verdict.target.text,
                TITLES[verdict.configuration],
                f"{'≥' if verdict.target.at_least else '≤'} {verdict.target.bound:,g} {verdict.target.unit}".strip(),
                number(verdict.value),
                "yes" if verdict.is_reached else "**no**",
            )
            for verdict in verdicts
        ]
        yield Grid("Targets", ("target", "store", "asked for", "measured", "reached"), rows)
    if rivals := [one for one in report["results"] if "yardstick" in one]:
        yield Grid(
            "Beside the yardstick",
            ("workload", "store", "Tenuto per second", "hot path per second", "ratio"),
            [
                (
                    one["title"],
                    TITLES[one["configuration"]],
                    spread(one["figures"]["rate"]),
                    spread(one["yardstick"]["figures"]["rate"]),
                    f"{one['yardstick']['ratio']:.2f}",
                )
                for one in rivals
            ],
        )
    if found := report.get("handovers", []):
        yield handovers(found)
    for configuration, found in groupby(report["results"], key=lambda one: one["configuration"]):
        results = list(found)
        columns = [column for column in COLUMNS if any(column[0] in one["figures"] for one in results)]
        yield Grid(
            TITLES[configuration],
            ("workload", "unit", *(heading for _, heading in columns)),
            [(one["title"], one["unit"], *cells(one["figures"], columns)) for one in results],
        )
    if further := list(extras(report)):
        yield Grid("Further figures", ("workload", "store", "figure", "measured"), further)


def handovers(found: Sequence[Mapping[str, Any]]) -> Grid:
    """What engines that go and come cost; percentiles are medians over the rounds, all else is the worst round's."""
    asked = found[0]["request"]
    title = (
        f"Pauses of instances when engines go and come: {asked['engines']} engines, {asked['shards']} shards,"
        f" {asked['instances']} chains, lease {asked['lease_seconds']:g} s, {found[0]['repeats']} rounds"
    )
    rows = [
        (one["title"], TITLES[one["configuration"]], *(pause(name, one["figures"][name][of]) for name, of, _ in PAUSES))
        for one in found
    ]
    return Grid(title, ("event", "store", *(heading for _, _, heading in PAUSES)), rows)


def pause(name: str, value: float) -> str:
    """A cell of the table of pauses."""
    return f"{value:,.0f}" if name in COUNTS else number(value)


def cells(figures: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> list[str]:
    """The medians of one result, in the order of the columns; empty where there is none."""
    return [number(figures[name]["median"]) if name in figures else "" for name, _ in columns]


def extras(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Figures that only some workloads have."""
    for one in report["results"]:
        for name, text in EXTRAS.items():
            if name in one["figures"]:
                yield one["title"], TITLES[one["configuration"]], text, number(one["figures"][name]["median"])


def spread(figure: Mapping[str, float]) -> str:
    """Median, with lowest and highest."""
    return f"{number(figure['median'])} ({number(figure['low'])} to {number(figure['high'])})"


def number(value: float) -> str:
    """A number in three digits or so, as people write it."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def console_tables(report: Mapping[str, Any]) -> list[Table]:
    """The tables for a terminal."""
    return [grid.to_rich() for grid in grids(report)]


def markdown(report: Mapping[str, Any]) -> str:
    """The tables as Markdown, with the circumstances above them."""
    machine, versions, load = report["machine"], report["versions"], report["load_average"]
    fsync = machine["fsync_ms"]
    changes = " with uncommitted changes" if report["has_uncommitted_changes"] else ""
    facts = (
        f"Measured {report['began_at']}, in {report['seconds']:,.0f} s, at commit `{report['commit'][:12]}`{changes},"
        f" seed {report['seed']}, {report['repeats']} repeats (medians; lowest and highest in parentheses)."
    )
    place = (
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['kernel']};"
        f" fdatasync of 4 KiB p50 {fsync['p50']} ms, p99 {fsync['p99']} ms; load average {load['before'][0]} before and"
        f" {load['after'][0]} after."
    )
    software = "Versions: " + ", ".join(f"{name} {value}" for name, value in versions.items()) + "."
    return "\n\n".join([facts, place, software, *(grid.to_markdown() for grid in grids(report))])


def write_readme(report: Mapping[str, Any]) -> None:
    """Replace what stands between the markers of README.md, for each list that this run has measured."""
    text = README.read_text(encoding="utf-8")
    for name, (begin, end) in MARKERS.items():
        if found := report.get(name):
            before, _, rest = text.partition(begin)
            _, _, after = rest.partition(end)
            part = {**report, "results": [], "handovers": [], name: found}
            text = f"{before}{begin}\n\n{markdown(part)}\n\n{end}{after}"
    README.write_text(text, encoding="utf-8")
