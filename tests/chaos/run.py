"""`make chaos`: runs of any length with any seeds, and their reports.

make chaos ARGS="--seconds 3600 --seed 7 --store redis"
make chaos ARGS="--seconds 300 --seed 1 2 3 --lossy"
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

from chaos.harness import Chaos, Wishes

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / ".cache" / "chaos"


def commit() -> str:
    """Which tree ran."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return done.stdout.strip()


def main() -> int:
    """Run one seed after the other; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        prog="make chaos", description="Break everything for a while, then prove that nothing broke."
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults happen")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one run for each")
    parser.add_argument("--store", default="redis", help="redis, redis-6.2")
    parser.add_argument("--lossy", action="store_true", help="D1: the store loses its last second now and then")
    parser.add_argument("--load", type=int, default=12, help="stories told at once")
    parser.add_argument("--pace", type=float, default=2.5, help="seconds from one fault to the next")
    parser.add_argument("--keep", action="store_true", help="keep logs and store of runs that went well, too")
    given = parser.parse_args()
    failed = 0
    for seed in given.seed:
        folder = Path(mkdtemp(prefix="chaos-"))
        wishes = Wishes(seed, given.seconds, given.store, given.lossy, given.load, pace_s=given.pace)
        report = {"commit": commit(), **asyncio.run(Chaos(folder, wishes).run())}
        REPORTS.mkdir(parents=True, exist_ok=True)
        path = REPORTS / f"{given.store}-{'lossy-' if given.lossy else ''}{seed}.json"
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        shown = {name: value for name, value in report.items() if name not in ("findings", "wrong", "said")}
        print(json.dumps(shown, indent=2))
        for text in [*report["wrong"], *report["findings"]]:
            print(f"WRONG: {text}")
        print(
            f"seed {seed}: {'ok' if report['ok'] else 'FAILED, logs in ' + str(folder)}; report in {path}", flush=True
        )
        failed += not report["ok"]
        if report["ok"] and not given.keep:
            shutil.rmtree(folder)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
