"""What the labelled corpus says about each linter, as a report and as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lint.judging import Verdict, in_scope
from lint.labels import Case, Violation, section
from tenuto._lint.registry import all_rules
from tenuto._lint.rule import Profile
from tenuto_lint.circumstances import sentence
from tenuto_lint.pages import first_report, percent, table

SECTIONS = {
    109: "clocks",
    128: "randomness and identity",
    157: "I/O and environment",
    167: "concurrency",
    186: "order",
    208: "state",
    239: "protocol",
    264: "calls and payloads",
    287: "versions",
    295: "analysis",
    0: "no rule names it",
}


@dataclass(frozen=True)
class Run:
    """One linter over the whole corpus.

    Attributes:
        tool: its name.
        profile: ours: the profile; of other tools empty.
        verdict: what became of it.
        seconds: how long it took.
    """

    tool: str
    profile: Profile | None
    verdict: Verdict
    seconds: float

    @property
    def title(self) -> str:
        """What its column is called."""
        return f"{self.tool}, {self.profile}" if self.profile else self.tool


def report_of(cases: Sequence[Case], runs: Sequence[Run]) -> dict[str, Any]:
    """All figures and names."""
    return {
        "corpus": {part: _size([case for case in cases if case.part == part]) for part in ("blind", "rules")},
        "runs": [_run_report(run) for run in runs],
        "rules": list(_rule_rows(cases, _widest(runs))),
    }


def markdown(report: dict[str, Any]) -> str:
    """The tables of a page."""
    runs: list[dict[str, Any]] = report["runs"]
    parts = [sentence(report), _size_table(report["corpus"]), "### Tools", _tool_table(runs), *_first_meeting()]
    parts += ["### What is found, by section of the catalogue", _section_table(runs)]
    parts += ["### Rules", _rule_table(report["rules"])]
    for run in runs:
        if run["profile"]:
            parts += [f"### Missed in profile `{run['profile']}`", _listed(run["missed"], "None.")]
            parts += [f"### False alarms in profile `{run['profile']}`", _listed(run["wrong"], "None.")]
        else:
            parts += [f"### False alarms of {run['tool']}", _listed(run["wrong"], "None.")]
    return "\n\n".join(parts)


def _first_meeting() -> Iterator[str]:
    """What the linter was worth before anything was mended by the corpus."""
    first = first_report("lint-corpus")
    if first is None:
        return
    yield (
        "Faults of the linter that the corpus showed were mended, so the figures above flatter it. When all rules but "
        f"those about calls and payloads first met the corpus, at commit `{first['commit'][:12]}`, these were:"
    )
    yield _tool_table([run for run in first["runs"] if run["profile"] in {"core", "strict"}])


def _size(cases: Iterable[Case]) -> dict[str, int]:
    listed = list(cases)
    return {
        "cases": len(listed),
        "violations": sum(len(case.violations) for case in listed),
        "near_misses": sum(len(case.near_misses) for case in listed),
    }


def _run_report(run: Run) -> dict[str, Any]:
    profile = run.profile or Profile.CORE
    found = [one for one in run.verdict.found if in_scope(one, profile)]
    missed = [one for one in run.verdict.missed if in_scope(one, profile)]
    return {
        "tool": run.tool,
        "profile": run.profile.value if run.profile else "",
        "seconds": round(run.seconds, 2),
        "found": len(found),
        "found_blind": sum(one.path.startswith("blind/") for one in found),
        "missed_blind": sum(one.path.startswith("blind/") for one in missed),
        "missed": [_named(one) for one in missed],
        "right": len(run.verdict.right),
        "wrong": [said.name for said in run.verdict.wrong],
        "unjudged": len(run.verdict.unjudged),
        "found_by_section": _by_section(found),
        "missed_by_section": _by_section(missed),
    }


def _named(violation: Violation) -> str:
    return f"{violation.name} {violation.rules[0] if violation.rules else '(no rule)'}: {violation.why}"


def _by_section(violations: Iterable[Violation]) -> dict[str, int]:
    counted = Counter(SECTIONS[section(one.rules[0]) if one.rules else 0] for one in violations)
    return {name: counted[name] for name in SECTIONS.values() if counted[name]}


def _widest(runs: Sequence[Run]) -> Run:
    return max((run for run in runs if run.profile), key=lambda run: run.profile.rank if run.profile else -1)


def _rule_rows(cases: Sequence[Case], run: Run) -> Iterator[dict[str, Any]]:
    """Precision and recall of each rule, in the widest profile that ran."""
    found = Counter(one.rules[0] for one in run.verdict.found if one.rules)
    missed = Counter(one.rules[0] for one in run.verdict.missed if one.rules)
    right = Counter(one.rule for one in run.verdict.right)
    wrong = Counter(one.rule for one in run.verdict.wrong)
    near = Counter(one.rule for case in cases for one in case.near_misses)
    rules = all_rules()
    for rule in sorted({*rules, *found, *missed}):
        yield {
            "rule": rule,
            "name": rules[rule].name if rule in rules else "(not there)",
            "profile": rules[rule].profile.value if rule in rules else "–",
            "violations": found[rule] + missed[rule],
            "found": found[rule],
            "near_misses": near[rule],
            "right": right[rule],
            "wrong": wrong[rule],
        }


def _size_table(corpus: dict[str, dict[str, int]]) -> str:
    rows = [(part, *size.values()) for part, size in corpus.items()]
    rows.append(
        ("together", *(sum(column) for column in zip(*(size.values() for size in corpus.values()), strict=True)))
    )
    return table(("part", "cases", "violations", "near misses"), rows)


def _tool_table(runs: Sequence[dict[str, Any]]) -> str:
    headings = (
        "tool",
        "profile",
        "violations",
        "found",
        "recall",
        "of the blind ones",
        "findings",
        "false alarms",
        "precision",
        "seconds",
    )
    rows = [
        (
            run["tool"],
            run["profile"] or "its determinism rules",
            run["found"] + len(run["missed"]),
            run["found"],
            percent(run["found"], run["found"] + len(run["missed"])),
            percent(run["found_blind"], run["found_blind"] + run["missed_blind"]),
            run["right"] + len(run["wrong"]),
            len(run["wrong"]),
            percent(run["right"], run["right"] + len(run["wrong"])),
            run["seconds"],
        )
        for run in runs
    ]
    return table(headings, rows, words=2)


def _section_table(runs: Sequence[dict[str, Any]]) -> str:
    chosen = [run for run in runs if run["profile"] in {"", "core"}]
    rows: list[tuple[object, ...]] = []
    for name in SECTIONS.values():
        totals = [run["found_by_section"].get(name, 0) + run["missed_by_section"].get(name, 0) for run in chosen]
        if any(totals):
            cells = [run["found_by_section"].get(name, 0) for run in chosen]
            rows.append((name, max(totals), *cells))
    return table(("section", "violations of profile core", *(run["tool"] for run in chosen)), rows)


def _rule_table(rules: Sequence[dict[str, Any]]) -> str:
    headings = (
        "rule",
        "name",
        "profile",
        "violations",
        "found",
        "recall",
        "near misses",
        "findings",
        "false alarms",
        "precision",
    )
    rows = [
        (
            row["rule"],
            row["name"],
            row["profile"],
            row["violations"],
            row["found"],
            percent(row["found"], row["violations"]),
            row["near_misses"],
            row["right"] + row["wrong"],
            row["wrong"],
            percent(row["right"], row["right"] + row["wrong"]),
        )
        for row in rules
    ]
    return table(headings, rows, words=3)


def _listed(names: Sequence[str], nothing: str) -> str:
    return "\n".join(f"- {name}" for name in names) or nothing
