"""`make chaos`: runs of any length with any seeds, and their reports.

    make chaos ARGS="--seconds 3600 --seed 7 --store redis"
    make chaos ARGS="--seconds 300 --seed 1 2 3 --lossy"

Reports are in `.cache/chaos`, one for each kind of run and seed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from chaos.harness import Chaos, Wishes

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / ".cache" / "chaos"


def describe_tree() -> dict[str, Any]:
    """Which commit ran, and whether the tree was changed since."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return {"commit": done.stdout.strip()}


def write_report(report: dict[str, Any]) -> Path:
    """Write a run's report where the next of the same kind and seed will replace it."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    path = REPORTS / f"{report['store'].replace(' ', '-')}-{report['seed']}.json"
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return path


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="make chaos", description="Break everything for a while, then prove that nothing broke."
    )
    option = made.add_argument
    option("--seconds", type=float, default=60.0, help="how long faults happen (default: 60)")
    option("--seed", type=int, nargs="+", default=[1], help="one run for each (default: 1)")
    option("--store", default="redis", help="redis, redis-6.2, postgres (default: redis)")
    option("--lossy", action="store_true", help="D1: the store loses its last second now and then")
    option("--load", type=int, default=12, help="stories told at once (default: 12)")
    option("--pace", type=float, default=2.5, help="seconds from one fault to the next (default: 2.5)")
    return made


def main() -> int:
    """Run one seed after the other; 1 if anything was wrong."""
    given = parser().parse_args()
    failed = 0
    for seed in given.seed:
        folder = Path(mkdtemp(prefix="chaos-"))
        wishes = Wishes(seed, given.seconds, given.store, given.lossy, given.load, pace_s=given.pace)
        report = {**describe_tree(), **asyncio.run(Chaos(folder, wishes).run())}
        path = write_report(report)
        shown = {name: value for name, value in report.items() if name not in ("findings", "wrong", "said")}
        print(json.dumps(shown, indent=2))
        for text in [*report["wrong"], *report["findings"]]:
            print(f"WRONG: {text}")
        verdict = "ok" if report["ok"] else f"FAILED, logs in {folder}"
        print(f"seed {seed}: {verdict}; report in {path}", flush=True)
        failed += not report["ok"]
        if report["ok"]:
            shutil.rmtree(folder)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
