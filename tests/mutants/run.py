"""Plant known bugs one by one and see who finds them: `make mutants`.

Each mutant runs in a process of its own: first the simulation, seed by seed, until one breaks an invariant or the time
is over; then, if none did, the suites that look closer. What nobody finds stays in the table. Results are written to
`docs/mutants.json`, and as a table into `docs/correctness.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from mutants.planting import PLANTED, VARIABLE, Mutant, load, mutate

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "docs" / "mutants.json"
PAGE = ROOT / "docs" / "correctness.md"
BEGIN, END = "<!-- mutants: written by make mutants -->", "<!-- end of mutants -->"
# Suites that look closer, cheapest first; a mutant names the one that should find it, and all are asked.
SUITES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("unit", ("tests/unit/engine",)),
    ("transcript", ("tests/transcript",)),
    ("contract", ("tests/contract", "-k", "memory")),
    ("property", ("tests/property/test_core_laws.py", "tests/property/test_codec_laws.py")),
    ("integration", ("tests/integration/test_runtime_faults.py", "tests/integration/test_store_faults.py")),
)


class Result(msgspec.Struct):
    """What became of one mutant. `by`: the net that caught it, empty where none did."""

    name: str
    module: str
    description: str
    by: str
    invariant: str
    detail: str
    seeds: int
    seconds: float


def simulate_seeds(mutant: Mutant, seconds: float) -> tuple[int, str, str]:
    """In this process, with the bug planted: seeds until one fails; how many, and the invariant with its words."""
    from simulation.plans import make_plan
    from simulation.world import simulate

    deadline = time.monotonic() + seconds
    seed = 0
    while time.monotonic() < deadline:
        verdict = simulate(make_plan(seed))
        seed += 1
        if not verdict.passed:
            return seed, verdict.invariant, f"seed {seed - 1}: {verdict.text}"
    return seed, "", ""


def child(path: Path, seconds: float) -> None:
    """The process of one mutant: prints what the simulation found as JSON."""
    from mutants.planting import plant

    mutant = load(path)
    plant(mutant)
    try:
        found = simulate_seeds(mutant, seconds)
    except Exception as error:  # whatever a bug does, even to the harness, it was seen
        found = (0, "ERROR", repr(error))
    print(json.dumps(found))


def examine(path: Path, seconds: float) -> Result:
    """Try all nets on one mutant."""
    mutant = load(path)
    source = ROOT.joinpath(*_source_of(mutant.module)).read_text(encoding="utf-8")
    mutate(mutant, source)
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'scripts'}"}
    command = [sys.executable, "-m", "mutants.run", "--child", str(path), "--seconds", str(seconds)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    try:
        seeds, invariant, detail = json.loads(ran.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        seeds, invariant, detail = 0, "ERROR", ran.stderr.strip()[-300:]
    by = "simulation" if invariant else ""
    if not by:
        by, detail = _ask_suites(path, environment)
    passed = time.monotonic() - began
    return Result(mutant.name, mutant.module, mutant.description, by, invariant, detail[:300], seeds, round(passed, 1))


def _source_of(module: str) -> tuple[str, ...]:
    first, *rest = module.split(".")
    member = {"tenuto_engine": "engine", "tenuto": "sdk", "tenuto_operator": "operator"}[first]
    base = ROOT.joinpath(member, "src", first, *rest)
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    return path.relative_to(ROOT).parts


def _ask_suites(path: Path, environment: dict[str, str]) -> tuple[str, str]:
    for name, arguments in SUITES:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "mutants.planting", *arguments]
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**environment, VARIABLE: str(path)},
            cwd=ROOT,
            check=False,
            timeout=900,
        )
        if ran.returncode == 1:
            failed = [line for line in ran.stdout.splitlines() if line.startswith("FAILED")]
            return name, failed[0].removeprefix("FAILED ") if failed else "failed"
    return "", ""


def table(results: Sequence[Result]) -> str:
    """The results as a table of the page."""
    lines = ["| planted bug | caught by | how |", "|---|---|---|"]
    for result in sorted(results, key=lambda result: (not result.by, result.name)):
        how = f"{result.invariant} after {result.seeds} seeds" if result.by == "simulation" else result.detail
        how = how.partition(" - ")[0].replace("|", "/")
        lines.append(f"| {result.description} | {result.by or '**missed**'} | {how} |")
    caught = sum(bool(result.by) for result in results)
    return "\n".join([f"{caught} of {len(results)} caught.", "", *lines])


def write(results: Sequence[Result]) -> None:
    """Keep the results: as data, and in the page."""
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(list(results))) + b"\n")
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{after}", encoding="utf-8")


def main() -> int:
    """Parse the command line and run. The exit code is 1 where a mutant is missed."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to try; all by default")
    parser.add_argument("--seconds", type=float, default=90.0, help="of simulation for each")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        child(given.child, given.seconds)
        return 0
    paths = sorted(path for path in PLANTED.glob("*.toml") if not given.names or path.stem in given.names)
    results: list[Result] = []
    with ThreadPoolExecutor(given.processes) as pool:
        for result in pool.map(lambda path: examine(path, given.seconds), paths):
            print(f"{result.name}: {result.by or 'MISSED'} {result.invariant} {result.detail} ({result.seconds} s)")
            results.append(result)
    if not given.names:
        write(results)
    return 0 if all(result.by for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
