"""What hand-overs cost follows from the ledger alone, and is judged against what was promised."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from tenuto_bench.handover import TITLES, instance_ids
from tenuto_bench.ledger import Ledger, Move, Step, gap_figures, moves, repeated, skipped, step_seconds
from tenuto_bench.report import handovers
from tenuto_bench.session import summarize
from tenuto_bench.targets import judge

MS = 1_000_000


def steps(*told: tuple[str, int, str, int]) -> list[Step]:
    """Steps from (instance, number, pod, milliseconds)."""
    return [Step(instance, number, pod, at_ms * MS) for instance, number, pod, at_ms in told]


TWO = steps(
    ("x", 0, "p0", 0),
    ("y", 0, "p1", 5),
    ("x", 1, "p0", 10),
    ("y", 1, "p1", 16),
    ("x", 2, "p0", 20),
    ("x", 3, "p1", 95),
    ("x", 4, "p2", 105),
    ("y", 2, "p2", 200),
)


def test_a_gap_is_from_the_last_step_there_to_the_first_one_elsewhere() -> None:
    """An instance's move is its first step on another pod after the event, whatever its pods do later."""
    assert moves(TWO, since_ns=20 * MS, source="p0") == [Move("x", "p0", "p1", 0.075)]


def test_moves_are_chosen_by_where_from_where_to_and_when() -> None:
    """Moves of other pods, or before the event, belong to other events."""
    assert {move.instance for move in moves(TWO, since_ns=0)} == {"x", "y"}
    assert [move.instance for move in moves(TWO, since_ns=100 * MS, source="p0")] == []
    assert [move.instance for move in moves(TWO, since_ns=100 * MS, target="p2")] == ["x", "y"]


def test_order_of_lines_does_not_matter() -> None:
    """Processes write in their own time: the moments in the lines decide."""
    assert moves(reversed(TWO), since_ns=0) == moves(TWO, since_ns=0)


def test_ordinary_steps_are_those_of_the_undisturbed_while() -> None:
    """The time of a step is the median of steps on one pod within the while, not of those across an event."""
    assert step_seconds(TWO, since_ns=0, until_ns=100 * MS) == 0.010


def test_pauses_are_what_an_ordinary_step_does_not_explain() -> None:
    """A pause is the gap less an ordinary step, and never less than none."""
    found = gap_figures([Move("x", "a", "b", 0.150), Move("y", "a", "b", 0.040)], 0.050)
    assert (found["p50_ms"], round(found["max_ms"], 6), found["moved"]) == (0.0, 100.0, 2.0)


def test_the_99th_percentile_of_few_is_the_longest() -> None:
    """With fewer than a hundred instances nothing is above the 99th percentile."""
    found = gap_figures([Move(str(number), "a", "b", number / 1000) for number in range(43)], 0.0)
    assert found["p99_ms"] == found["max_ms"] == 42.0


def test_repetitions_are_counted_from_their_event_on() -> None:
    """Each run of a step that had begun before is one repetition, in the event during which it ran."""
    told = steps(("x", 0, "p0", 0), ("x", 0, "p1", 10), ("x", 0, "p2", 20), ("y", 0, "p1", 30))
    assert (repeated(told), repeated(told, since_ns=15 * MS), repeated(TWO)) == (2, 1, 0)


def test_skipped_steps_are_found() -> None:
    """A number that is missing between two others is an activity that never ran."""
    assert skipped(TWO) == 0
    assert skipped(steps(("x", 0, "p0", 0), ("x", 3, "p0", 10), ("y", 5, "p0", 0))) == 2


def test_a_ledger_is_read_as_it_grows(tmp_path: Path) -> None:
    """A line still being written is read when it is whole; the newest step is the latest, not the last line."""
    ledger = Ledger(tmp_path / "ledger")
    lines = [json.dumps([step.instance, step.number, step.pod, step.at_ns]) for step in TWO[:4]]
    with ledger.path.open("w") as file:
        file.write(f"{lines[3]}\n{lines[1]}\n{lines[0][:7]}")
    assert len(ledger.read()) == 2
    with ledger.path.open("a") as file:
        file.write(f"{lines[0][7:]}\n")
    assert ledger.read() == [TWO[3], TWO[1], TWO[0]]
    assert ledger.newest == {"x": TWO[0], "y": TWO[3]}


def test_chains_are_spread_over_all_shards() -> None:
    """Each shard has the same number of instances, so that each hand-over of a shard is seen."""
    found = Counter(zlib.crc32(name.encode()) % 16 for name in instance_ids(48, 16))
    assert found == dict.fromkeys(range(16), 3)


def report(**changed: dict[str, float]) -> dict[str, Any]:
    """A report with two rounds of each event on one store, with some figures of the second round changed."""
    ordinary = {"p50_ms": 10.0, "p99_ms": 90.0, "max_ms": 95.0, "moved": 40.0, "step_ms": 60.0}
    calm = {**ordinary, "repeated": 0.0, "excess": 0.0, "lost": 0.0}
    found = [
        {
            "configuration": "redis-everysec",
            "workload": f"hand-over-{kind}",
            "title": title,
            "request": {"engines": 3, "shards": 64, "instances": 128, "lease_seconds": 5.0},
            "repeats": 2,
            "figures": summarize([calm, {**calm, **changed.get(kind, {})}]),
        }
        for kind, title in TITLES.items()
    ]
    return {"is_smoke": False, "results": [], "handovers": found}


def test_one_bad_round_misses_the_promise() -> None:
    """Repetitions, losses and the longest pause after a crash are judged by the worst round."""
    assert all(verdict.is_reached for verdict in judge(report()))
    bad = report(drain={"repeated": 1.0}, kill={"max_ms": 6_001.0, "excess": 2.0}, join={"lost": 1.0})
    missed = [verdict.value for verdict in judge(bad) if not verdict.is_reached]
    assert missed == [1.0, 1_001.0, 2.0, 1.0]


def test_reports_of_earlier_releases_have_no_hand_overs() -> None:
    """Their tables can be made all the same."""
    assert judge({"is_smoke": False, "results": []}) == []


def test_the_table_shows_the_longest_pause_of_all_rounds() -> None:
    """Percentiles are medians over the rounds, the longest pause and the counts are the worst round's."""
    grid = handovers(report(drain={"max_ms": 480.0, "repeated": 3.0})["handovers"])
    drained = dict(zip(grid.headings, grid.rows[0], strict=True))
    assert (drained["longest ms"], drained["activities run again"], drained["p99 ms"]) == ("480", "3", "90.0")
    assert "lease 5 s, 2 rounds" in grid.title
