"""The chaos run, a minute of it: everything is broken for a while, and nothing is lost, doubled, stuck or rewritten.

Longer runs, other seeds, and stores that lose their last second: `make chaos`.
"""

from __future__ import annotations

import json

import pytest

from chaos.harness import Chaos, Wishes
from chaos.run import describe_tree, write_report
from engines import short_folder

SECONDS = 60.0
SEED = 20_261_126


@pytest.mark.timeout(420)
async def test_a_minute_of_chaos_breaks_nothing() -> None:
    """Under load with every feature, whatever dies, pauses or is cut off: the checker finds nothing at the end."""
    with short_folder() as folder:
        report = {**describe_tree(), **await Chaos(folder, Wishes(SEED, SECONDS)).run()}
    write_report(report)
    assert report["wrong"] == []
    assert report["findings"] == []
    assert report["fenced_writes"]["stale writer"] > 0, "no stale write was tried, so none was seen to be refused"
    assert report["verify"]["ended"] == report["verify"]["instances"] > 100, json.dumps(report["stories"])
    assert sum(report["faults"].values()) >= 10
