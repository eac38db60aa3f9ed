"""Judges what a linter said about the corpus: found, missed, false alarm."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lint.labels import CORPUS, Case, Place, Violation
from tenuto._lint.api import lint_paths
from tenuto._lint.config import Config
from tenuto._lint.registry import all_rules
from tenuto._lint.rule import Profile

# Rules about more than replays: what is good practice, or how activities are called. Only the cases of such a rule's
# own folder are labelled for it, so only there it is judged.
ADVISORY = frozenset(
    f"TEN{number}" for number in (155, 208, 229, 233, 234, 237, 239, *range(251, 265), 286, 291, 292, 293, 294, 295)
)
# Rules about what follows from another fault: a branch on a moment that was read three lines above. In a function that
# holds a labelled fault, such a finding says the same again, and is neither right nor wrong.
CONSEQUENT = frozenset({"TEN236", "RG004"})


@dataclass(frozen=True, order=True)
class Said:
    """One finding of a linter about the corpus.

    Attributes:
        path: the file, from the corpus's folder.
        line: where.
        rule: the linter's id.
    """

    path: str
    line: int
    rule: str

    @property
    def name(self) -> str:
        """What it is called in tables and lists."""
        return f"{self.path}:{self.line} {self.rule}"


@dataclass
class Verdict:
    """What became of every violation and every finding.

    Attributes:
        found: violations that a finding names.
        missed: violations that none does.
        right: findings that point at a violation, or at what leads to one.
        wrong: findings that point at nothing: the false alarms.
        unjudged: findings on which the labels say nothing.
    """

    found: list[Violation] = field(default_factory=list[Violation])
    missed: list[Violation] = field(default_factory=list[Violation])
    right: list[Said] = field(default_factory=list[Said])
    wrong: list[Said] = field(default_factory=list[Said])
    unjudged: list[Said] = field(default_factory=list[Said])


def said_by_tenuto(case: Case, profile: Profile) -> list[Said]:
    """Run `tenuto lint` over one case."""
    report = lint_paths([case.path], Config(profile=profile))
    return sorted({Said(_relative(finding.path), finding.line, finding.rule) for finding in report.findings})


def judge(cases: Iterable[Case], said: Mapping[str, Sequence[Said]], *, names_rules: bool) -> Verdict:
    """Compare findings with labels.

    Args:
        cases: what was looked at.
        said: the findings, by case name.
        names_rules: whether the linter's ids are those of the labels. If not, any finding at its place finds a fault.
    """
    verdict = Verdict()
    for case in cases:
        _judge_case(case, said.get(case.name, ()), verdict, names_rules=names_rules)
    return verdict


def _judge_case(case: Case, said: Sequence[Said], verdict: Verdict, *, names_rules: bool) -> None:
    by_place: dict[Place, list[Said]] = defaultdict(list)
    for one in said:
        by_place[one.path, one.line].append(one)
    for violation in case.violations:
        at_its_places = [one for place in violation.places for one in by_place.get(place, ())]
        is_found = any(not names_rules or violation.is_found_by(one.rule) for one in at_its_places)
        (verdict.found if is_found else verdict.missed).append(violation)
    faulty = {place for violation in case.violations for place in violation.places}
    for one in said:
        if one.rule in ADVISORY and one.rule != case.own_rule:
            verdict.unjudged.append(one)
        elif (one.path, one.line) in faulty:
            verdict.right.append(one)
        elif one.rule in CONSEQUENT and _is_near_a_fault(one, faulty):
            verdict.unjudged.append(one)
        else:
            verdict.wrong.append(one)


def _is_near_a_fault(said: Said, faulty: Iterable[Place]) -> bool:
    first, last = _function_around(CORPUS / said.path, said.line)
    return any(path == said.path and first <= line <= last for path, line in faulty)


def _function_around(path: Path, line: int) -> tuple[int, int]:
    """First and last line of the innermost function that holds a line; that line alone, where none does."""
    spans = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    around = [span for span in spans if span[0] <= line <= span[1]]
    return max(around, default=(line, line))


def _relative(path: str) -> str:
    return Path(path).resolve().relative_to(CORPUS).as_posix()


def in_scope(violation: Violation, profile: Profile) -> bool:
    """Whether a profile promises to find a violation: one of its rules is in it, or no rule names it at all."""
    rules = all_rules()
    profiles = [rules[rule].profile for rule in violation.rules if rule in rules]
    return (
        not violation.rules
        or any(own.rank <= profile.rank for own in profiles)
        or (not profiles and profile is Profile.PEDANTIC)
    )
