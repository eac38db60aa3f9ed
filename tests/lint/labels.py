"""The labelled corpus: which of its lines are violations, and which only look like it. See `corpus/README.md`."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
PARTS = ("blind", "rules")
_LABEL = re.compile(r"# violation(?:\((?P<tag>\w+)\))?: (?P<what>\w+): (?P<why>.+)$")
_VIA = re.compile(r"\bvia\((\w+)\)")
_NEAR_MISS = re.compile(r"# near miss: (.+)$")
# Sections of the catalogue: a fault found by a neighbouring rule of the same section is found.
_SECTIONS = (109, 128, 157, 167, 186, 208, 239, 264, 287, 295)

Place = tuple[str, int]


class BadLabel(ValueError):
    """A comment that should be a label and cannot be read as one; the message says where."""


@dataclass(frozen=True)
class Violation:
    """One labelled fault.

    Attributes:
        path: its file, from the corpus's folder.
        line: its line.
        rules: ids of the rules that are to find it, the best first; empty: no rule of the catalogue names it.
        category: what the blind author called it; in the other parts the rule's id.
        why: the label's words.
        places: where a finding counts as having found it: its own line, and those that lead to it.
    """

    path: str
    line: int
    rules: tuple[str, ...]
    category: str
    why: str
    places: frozenset[Place]

    @property
    def name(self) -> str:
        """What it is called in tables and lists."""
        return f"{self.path}:{self.line}"

    def is_found_by(self, rule: str) -> bool:
        """Whether a finding of that rule at one of its places names this fault, or its like."""
        return rule in self.rules or any(section(rule) == section(own) for own in self.rules)


@dataclass(frozen=True)
class NearMiss:
    """One labelled line that looks like a fault and is none."""

    path: str
    line: int
    rule: str
    why: str

    @property
    def name(self) -> str:
        """What it is called in tables and lists."""
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class Case:
    """One file, or one folder of modules that belong together: what is linted at once."""

    path: Path
    violations: tuple[Violation, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()

    @property
    def name(self) -> str:
        """Its path from the corpus's folder."""
        return self.path.relative_to(CORPUS).as_posix()

    @property
    def part(self) -> str:
        """`blind`, or `rules`."""
        return self.name.split("/", 1)[0]

    @property
    def own_rule(self) -> str:
        """The rule whose folder it lies in; empty for the blind part."""
        return self.name.split("/")[1].upper() if self.part == "rules" else ""

    @property
    def files(self) -> list[Path]:
        """Its modules."""
        return files_of(self.path)


@dataclass
class _Reading:
    tagged: dict[str, tuple[str, int, str, str]] = field(default_factory=dict[str, tuple[str, int, str, str]])
    plain: list[tuple[str, int, str, str]] = field(default_factory=list[tuple[str, int, str, str]])
    leads: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    near: list[tuple[str, int, str]] = field(default_factory=list[tuple[str, int, str]])


def section(rule: str) -> int:
    """The last number of the catalogue's section that a rule belongs to; 0 for the rules of other tools."""
    number = int(rule[3:]) if re.fullmatch(r"TEN\d{3}", rule) else 1000
    return next((last for last in _SECTIONS if number <= last), 0)


def files_of(path: Path) -> list[Path]:
    """The Python files of a case."""
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@cache
def cases() -> tuple[Case, ...]:
    """Every case of the corpus, in order.

    Raises:
        BadLabel: a label cannot be read.
    """
    return tuple(_read(path) for path in _case_paths())


def _case_paths() -> Iterator[Path]:
    folders = [CORPUS / "blind" / "violations", CORPUS / "blind" / "near_misses", *(CORPUS / "rules").iterdir()]
    for folder in sorted(folders):
        for path in sorted(folder.iterdir()):
            if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__"):
                yield path


@cache
def blind_rules() -> dict[str, tuple[str, ...]]:
    """Which rules are to find the blind author's violations, by `path:line`, and as `@LINE` where else they may."""
    table = tomllib.loads((CORPUS / "blind_rules.toml").read_text(encoding="utf-8"))
    return {
        f"blind/{path}:{line}": tuple(rules.split()) for path, lines in table.items() for line, rules in lines.items()
    }


def _read(path: Path) -> Case:
    reading = _Reading()
    for file in files_of(path):
        _read_file(file, reading)
    unled = reading.tagged.keys() ^ reading.leads.keys()
    if unled:
        raise BadLabel(f"{path.relative_to(CORPUS)}: {sorted(unled)} has a violation or a via, and not the other")
    case = Case(path)
    violations = [_violation(found, ()) for found in reading.plain]
    violations += [_violation(found, reading.leads[tag]) for tag, found in reading.tagged.items()]
    near = (NearMiss(where, line, case.own_rule, why) for where, line, why in reading.near)
    return Case(path, tuple(sorted(violations, key=lambda one: (one.path, one.line))), tuple(near))


def _read_file(file: Path, reading: _Reading) -> None:
    where = file.relative_to(CORPUS).as_posix()
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        # A label on a line of its own is about the next one.
        line = number + 1 if text.lstrip().startswith("# ") else number
        comment = text[text.find("  # ") :] if line == number else text
        for tag in _VIA.findall(comment) if "  # via(" in comment else ():
            reading.leads[tag].append((where, line))
        if match := _LABEL.search(text):
            found = (where, line, match["what"], match["why"])
            if match["tag"] in reading.tagged:
                raise BadLabel(f"{where}:{number}: the tag {match['tag']} is given twice")
            if match["tag"]:
                reading.tagged[match["tag"]] = found
            else:
                reading.plain.append(found)
        elif "# violation" in text:
            raise BadLabel(f"{where}:{number}: not `# violation: WHAT: why`")
        if match := _NEAR_MISS.search(text):
            reading.near.append((where, line, match[1]))


def _violation(found: tuple[str, int, str, str], leads: list[Place] | tuple[()]) -> Violation:
    path, line, what, why = found
    words = blind_rules()[f"{path}:{line}"] if path.startswith("blind/") else (what,)
    rules = tuple(word for word in words if not word.startswith("@"))
    elsewhere = [(path, int(word[1:])) for word in words if word.startswith("@")]
    return Violation(path, line, rules, what, why, frozenset([(path, line), *leads, *elsewhere]))
