"""Many engines on virtual time: seeds hold every invariant, repeat to the byte, and what once failed stays mended."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.plans import make_plan
from simulation.simulate import REGRESSIONS, load, run_seeds
from simulation.world import simulate
from tenuto_engine.runtime import sources

# What each worker of the test takes at once; together a few hundred.
CHUNKS = [range(first, first + 20) for first in range(0, 240, 20)]


@pytest.mark.parametrize("seeds", CHUNKS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_invariants_hold(seeds: range) -> None:
    """Whatever a seed does to engines, network, store and applications breaks nothing."""
    failures, _ = run_seeds(seeds)
    assert not failures, "\n".join(
        f'seed {f.seed}: {f.text}; shrink it: make simulate ARGS="--start {f.seed} --seeds 1"' for f in failures
    )


def test_a_seed_repeats_to_the_byte() -> None:
    """Two runs of a seed make the same operations at the same moments, with the same outcomes."""
    for seed in (3, 11, 16):
        first, second = simulate(make_plan(seed)), simulate(make_plan(seed))
        assert (first.trace, first.steps, first.virtual_s) == (second.trace, second.steps, second.virtual_s)


def test_the_runtime_reads_no_clock_of_its_own() -> None:
    """Time and chance come from `Sources` alone: one direct call, and seeds would not repeat."""
    folder = Path(sources.__file__).parent
    direct = re.compile(r"^\s*(?:import|from) (?:time|secrets|uuid|datetime)\b", re.MULTILINE)
    found = [path.name for path in folder.glob("*.py") if direct.search(path.read_text(encoding="utf-8"))]
    assert found == [Path(sources.__file__).name]


def test_stale_owners_tried_to_write() -> None:
    """Fencing was put to the test, not merely never needed."""
    _, counts = run_seeds(range(40))
    assert counts["fenced"] > 0


@pytest.mark.parametrize("path", sorted(REGRESSIONS.glob("*.json")), ids=lambda path: path.stem)
def test_regression(path: Path) -> None:
    """What once broke an invariant does so no more."""
    verdict = simulate(load(path))
    assert verdict.passed, verdict.text


def test_hash_seed_does_not_matter() -> None:
    """A run does not depend on the order of sets, which differs from process to process."""
    code = (
        "from simulation.plans import make_plan; from simulation.world import simulate; "
        "print(simulate(make_plan(7)).trace)"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent.parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(traces) == 1
