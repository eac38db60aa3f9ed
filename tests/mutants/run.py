"""Plant known bugs one by one and see who finds them: `make mutants`.

Each mutant runs in processes of its own: first the simulation, seed by seed, until one breaks an invariant or the time
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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import msgspec

from mutants.planting import PLANTED, ROOT, Mutant, load, planted

RESULTS = ROOT / "docs" / "mutants.json"
PAGE = ROOT / "docs" / "correctness.md"
BEGIN, END = "<!-- mutants: written by make mutants -->", "<!-- end of mutants -->"
# Suites that look closer, cheapest first.
_SUITES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("unit", ("tests/unit/engine",)),
    ("transcript", ("tests/transcript",)),
    ("contract", ("tests/contract", "-k", "memory")),
    ("property", ("tests/property/test_core_laws.py", "tests/property/test_stores_agree.py")),
    (
        "integration",
        (
            "tests/integration/test_runtime_faults.py",
            "tests/integration/test_takeover_timers.py",
            "tests/integration/test_many_engines.py",
        ),
    ),
)
# For the drivers, which the simulation does not run: the cases that every store must pass, on one server.
_DRIVER_SUITES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("contract", ("tests/contract", "-k", "redis-8 and (test_store or test_stale_owner)")),
    ("property", ("tests/property/test_stores_agree.py", "-k", "redis-8")),
)


class Result(msgspec.Struct):
    """What became of one mutant. `by`: the net that caught it, empty where none did."""

    name: str
    title: str
    file: str
    by: str
    invariant: str
    detail: str
    seeds: int
    seconds: float


def simulate_seeds(seconds: float) -> tuple[int, str, str]:
    """In a process that imports the planted bug: seeds until one fails; how many, the invariant, and its words."""
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


def child(seconds: float) -> None:
    """The process of one mutant: prints what the simulation found as JSON."""
    try:
        found = simulate_seeds(seconds)
    except Exception as error:  # whatever a bug does, even to the harness, it was seen
        found = (0, "ERROR", repr(error))
    print(json.dumps(found))


def examine(mutant: Mutant, seconds: float, *, suites: bool) -> Result:
    """Try the simulation on one mutant, then, where it finds nothing and `suites` is set, the suites."""
    began = time.monotonic()
    with planted(mutant) as source:
        environment = _environment(source)
        seeds, invariant, detail = 0, "", ""
        if mutant.is_simulated:
            seeds, invariant, detail = _simulate(environment, seconds)
        by = "simulation" if invariant else ""
        if not by and suites:
            by, detail = _ask_suites(_SUITES if mutant.is_simulated else _DRIVER_SUITES, environment)
    passed = round(time.monotonic() - began, 1)
    return Result(mutant.name, mutant.title, mutant.file, by, invariant, detail[:300], seeds, passed)


def _environment(*first: Path) -> dict[str, str]:
    """The path, with the changed package before the installed one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*first, ROOT / "tests", ROOT / "scripts")))}


@cache
def _failing_anyway(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Tests that fail without any planted bug: they say nothing."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, env=_environment(), cwd=ROOT, check=False)
    lines = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return tuple(line.partition(" ")[2].partition(" - ")[0] for line in lines)


def _simulate(environment: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "mutants.run", "--child", "--seconds", str(seconds)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    try:
        seeds, invariant, detail = json.loads(ran.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return 0, "ERROR", ran.stderr.strip()[-300:]
    return seeds, invariant, detail


def _ask_suites(suites: Sequence[tuple[str, tuple[str, ...]]], environment: Mapping[str, str]) -> tuple[str, str]:
    for name, arguments in suites:
        aside = list(_failing_anyway(arguments))
        while failed := _first_failure(arguments, aside, environment):
            test = failed.partition(" - ")[0]
            # A test that fails once in a while proves nothing: it must fail again with the bug, and pass without.
            if _first_failure((test,), (), environment) and not _first_failure((test,), (), _environment()):
                return name, failed
            aside.append(test)
    return "", ""


def _first_failure(arguments: Sequence[str], aside: Sequence[str], environment: Mapping[str, str]) -> str:
    """The first test that fails, as pytest names it, with its reason; empty where all pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
    command += [word for test in aside for word in ("--deselect", test)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    failed = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].partition(" ")[2] if failed else ""


def table(results: Sequence[Result]) -> str:
    """The results as a table of the page."""
    lines = ["| planted bug | caught by | how |", "|---|---|---|"]
    for result in sorted(results, key=lambda result: (bool(result.by), result.name)):
        how = f"{result.invariant}, seed {result.seeds - 1}" if result.by == "simulation" else f"`{result.detail}`"
        how = how.partition(" - ")[0].replace("|", "/")
        lines.append(f"| {result.title.replace('|', '/')} | {result.by or '**missed**'} | {how if result.by else ''} |")
    caught = sum(bool(result.by) for result in results)
    return "\n".join([f"{caught} of {len(results)} planted bugs caught.", "", *lines])


def write(found: Sequence[Result]) -> None:
    """Keep the results, in place of earlier ones of the same bugs: as data, and in the page."""
    earlier = msgspec.json.decode(RESULTS.read_bytes(), type=list[Result]) if RESULTS.exists() else []
    known = {mutant.stem for mutant in PLANTED.glob("*.toml")}
    merged = {result.name: result for result in (*earlier, *found) if result.name in known}
    results = [merged[name] for name in sorted(merged)]
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(list(results))) + b"\n")
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{after}", encoding="utf-8")


def main() -> int:
    """Parse the command line and run. The exit code is 1 where a mutant is missed."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to try; all by default")
    parser.add_argument("--seconds", type=float, default=120.0, help="of simulation for each")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--simulation-only", action="store_true", help="ask no other suite")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.seconds)
        return 0
    mutants = [load(path) for path in sorted(PLANTED.glob("*.toml"))]
    chosen = [mutant for mutant in mutants if not given.names or mutant.name in given.names]
    results: list[Result] = []
    with ThreadPoolExecutor(given.processes) as pool:
        for result in pool.map(lambda mutant: examine(mutant, given.seconds, suites=not given.simulation_only), chosen):
            told = f"{result.by or 'MISSED'} {result.invariant} {result.detail}"
            print(f"{result.name}: {told} ({result.seeds} seeds, {result.seconds} s)", flush=True)
            results.append(result)
    if not given.simulation_only:
        write(results)
    return 0 if all(result.by for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
