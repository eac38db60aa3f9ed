"""Judge `tenuto lint`, and two other linters, on the labelled corpus: `make accuracy`.

Writes `benchmarks/results/<date>-lint-corpus.json`, the tables of docs/lint-accuracy.md, and
`tests/lint/corpus/known.json`, to which a test holds our own linter.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from lint.judging import judge, said_by_tenuto
from lint.known import write_known
from lint.labels import Case, cases
from tenuto._lint.rule import Profile
from tenuto_lint.accuracy import Run, markdown, report_of
from tenuto_lint.circumstances import describe
from tenuto_lint.pages import PAGE, write_part
from tenuto_lint.peers import PEERS, install, said_by

RESULTS = Path(__file__).with_name("results")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; 0: written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print the tables, write nothing")
    options = parser.parse_args(arguments)
    corpus = cases()
    versions = install()
    runs = [run_tenuto(corpus, profile) for profile in Profile] + run_peers(corpus)
    report = {**describe(**versions), **report_of(corpus, runs)}
    if options.dry_run:
        print(markdown(report))
        return 0
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-lint-corpus.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    write_part("lint_corpus", markdown(report))
    write_known({run.profile: run.verdict for run in runs if run.profile})
    print(f"written: {path.name} and the tables of {PAGE.name}")
    return 0


def run_tenuto(corpus: Sequence[Case], profile: Profile) -> Run:
    """Our own, in one profile."""
    began = time.perf_counter()
    said = {case.name: said_by_tenuto(case, profile) for case in corpus}
    seconds = time.perf_counter() - began
    return Run("tenuto", profile, judge(corpus, said, names_rules=True), seconds)


def run_peers(corpus: Sequence[Case]) -> list[Run]:
    """The others, on what their translations make of the corpus; ways to suppress a finding are each tool's own."""
    corpus = [case for case in corpus if case.own_rule != "TEN292"]
    runs: list[Run] = []
    for peer in PEERS:
        said, seconds = said_by(peer, corpus)
        runs.append(Run(peer.name, None, judge(corpus, said, names_rules=False), seconds))
    return runs


if __name__ == "__main__":
    raise SystemExit(main())
