"""Try `tenuto lint` on public workflow code: `make accuracy` runs this, too.

The sources of the packages in requirements/lint-public.txt are downloaded by pip, pinned and hashed, into `.cache`, and
read; nothing of them is installed or kept. `benchmarks/lint_public.json` holds a verdict on every finding, made by a
person who looked at the code: a finding without one is listed as not judged, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from tenuto._lint.config import Config
from tenuto._lint.finding import Finding
from tenuto._lint.graph import build_graph
from tenuto._lint.rule import Profile
from tenuto._lint.run import Run
from tenuto_lint.circumstances import ROOT, describe, sentence
from tenuto_lint.pages import PAGE, first_report, percent, table, write_part

REQUIREMENTS = ROOT / "requirements" / "lint-public.txt"
FOLDER = ROOT / ".cache" / "lint-public"
VERDICTS = Path(__file__).with_name("lint_public.json")
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Tried:
    """One package.

    Attributes:
        name: its name and version.
        files: how many Python files it has.
        workflows: how many workflows were recognised.
        activities: how many activities.
        findings: what is found in profile `strict`.
    """

    name: str
    files: int
    workflows: int
    activities: int
    findings: list[dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; 0: every finding is judged, 1: some are not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print the tables, write nothing")
    options = parser.parse_args(arguments)
    tried = [try_package(folder) for folder in unpacked()]
    verdicts = read_verdicts()
    findings = [finding for package in tried for finding in package.findings]
    for finding in findings:
        verdict = verdicts.get(key_of(finding), {"verdict": "not judged", "reason": ""})
        finding.update(verdict=verdict["verdict"], reason=verdict["reason"])
    packages = [
        {"name": one.name, "files": one.files, "workflows": one.workflows, "activities": one.activities}
        for one in tried
    ]
    report = {**describe(), "packages": packages, "findings": findings}
    if options.dry_run:
        print(markdown(report))
    else:
        path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-lint-public.json"
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        write_part("lint_public", markdown(report))
        print(f"written: {path.name} and the tables of {PAGE.name}")
    open_ones = [finding for finding in findings if finding["verdict"] == "not judged"]
    for finding in open_ones:
        where = f"{finding['package']} {finding['path']}:{finding['line']}"
        print(f"not judged: {where} {finding['rule']} {finding['message']}")
    return 1 if open_ones else 0


def unpacked() -> Iterator[Path]:
    """Download what is not there yet; give the folder of each package."""
    stamp = FOLDER / "downloaded"
    digest = sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != digest:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        names = re.findall(r"^([\w-]+)==", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        wanted = ["--require-hashes", "--no-binary", ",".join(names), "-r", str(REQUIREMENTS), "-d", str(FOLDER)]
        subprocess.run([*pip, *wanted], check=True)
        for archive in sorted(FOLDER.glob("*.tar.gz")):
            with tarfile.open(archive) as opened:
                opened.extractall(FOLDER, filter="data")
            archive.unlink()
        stamp.write_text(digest, encoding="utf-8")
    yield from sorted(path for path in FOLDER.iterdir() if path.is_dir())


def try_package(folder: Path) -> Tried:
    """Lint one package in profile `strict`; each finding says in which profile it is."""
    core = {place_of(finding) for finding in Run(Config(), base=folder).lint([folder]).findings}
    run = Run(Config(profile=Profile.STRICT), base=folder)
    report = run.lint([folder])
    graph = build_graph(run.project)
    findings = [
        {
            "package": folder.name,
            "path": finding.path,
            "line": finding.line,
            "rule": finding.rule,
            "profile": "core" if place_of(finding) in core else "strict",
            "message": finding.message,
        }
        for finding in report.findings
    ]
    return Tried(folder.name, report.files, len(graph.workflows), len(graph.activities), findings)


def place_of(finding: Finding) -> tuple[str, int, int, str]:
    """What tells a finding from all others."""
    return finding.path, finding.line, finding.column, finding.rule


def key_of(finding: dict[str, Any]) -> tuple[str, str, int, str]:
    """What verdicts are kept by."""
    return finding["package"], finding["path"], finding["line"], finding["rule"]


def read_verdicts() -> dict[tuple[str, str, int, str], dict[str, str]]:
    """The judgements made so far."""
    listed: list[dict[str, Any]] = json.loads(VERDICTS.read_text(encoding="utf-8"))
    return {key_of(one): one for one in listed}


def markdown(report: dict[str, Any]) -> str:
    """The tables of the page."""
    findings: list[dict[str, Any]] = report["findings"]
    counted = Counter((one["package"], one["profile"], one["verdict"]) for one in findings)
    rows: list[tuple[object, ...]] = []
    for package in report["packages"]:
        cells = [
            counted[package["name"], profile, verdict]
            for profile in ("core", "strict")
            for verdict in ("true", "false")
        ]
        rows.append((package["name"], package["files"], package["workflows"], package["activities"], *cells))
    sums = [sum(int(str(row[column])) for row in rows) for column in range(1, 8)]
    rows.append(("together", *sums))
    headings = (
        "package",
        "files",
        "workflows",
        "activities",
        "core: true",
        "core: false",
        "strict adds: true",
        "strict adds: false",
    )
    precision = (
        f"Precision by these verdicts: {percent(sums[3], sums[3] + sums[4])} in profile `core`, "
        f"{percent(sums[3] + sums[5], sum(sums[3:]))} in profile `strict`."
    )
    parts = [
        sentence(report),
        table(headings, rows),
        precision,
        *_first_run(),
        _by_rule(findings),
        "False alarms:",
        _false_ones(findings),
    ]
    return "\n\n".join(parts)


def _first_run() -> Iterator[str]:
    """What the linter said before anything was mended by this code."""
    first = first_report("lint-public")
    if first is not None:
        counted = Counter(finding["verdict"] for finding in first["findings"] if finding["profile"] == "core")
        yield (
            f"Before its false alarms here were looked into, at commit `{first['commit'][:12]}`, profile `core` said "
            f"{counted.total()} things about the same code, of which {counted['false']} were false."
        )


def _by_rule(findings: Sequence[dict[str, Any]]) -> str:
    counted = Counter((one["rule"], one["verdict"]) for one in findings)
    rules = sorted({rule for rule, _ in counted})
    return table(("rule", "true", "false"), [(rule, counted[rule, "true"], counted[rule, "false"]) for rule in rules])


def _false_ones(findings: Sequence[dict[str, Any]]) -> str:
    """Each place once, with the reason of the verdict."""
    lines = [
        f"- {one['package']} `{one['path']}:{one['line']}` {one['rule']}: {one['reason']}"
        for one in findings
        if one["verdict"] == "false"
    ]
    return "\n".join(lines) or "none."


if __name__ == "__main__":
    raise SystemExit(main())
