"""A planted bug: what it changes, and a copy of the engine that has it. The tree itself is never touched.

A mutant is a TOML file: `title` says in one sentence what is wrong, `breaks` what follows from it, `file` where, and
`old`, found there exactly once, is replaced by `new`.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

ROOT = Path(__file__).resolve().parents[2]
PLANTED = Path(__file__).parent / "planted"


class MutantRefused(ValueError):
    """A mutant that cannot be planted: its piece of source is not there exactly once, or nothing changes."""


class Mutant(msgspec.Struct, frozen=True):
    """One planted bug."""

    name: str
    title: str
    breaks: str
    file: str
    old: str
    new: str

    @property
    def is_simulated(self) -> bool:
        """Whether the simulation runs the changed file at all: it has a store of its own."""
        return not any(f"/storage/{driver}/" in self.file for driver in ("redis", "sqlite", "postgres"))


def load(path: Path) -> Mutant:
    """Read a mutant. Raises MutantRefused."""
    with path.open("rb") as file:
        fields = tomllib.load(file)
    try:
        return msgspec.convert({"name": path.stem, **fields}, Mutant)
    except msgspec.ValidationError as error:
        raise MutantRefused(f"{path.name}: {error}") from error


def mutate(mutant: Mutant) -> str:
    """The changed source. Raises MutantRefused."""
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    times = source.count(mutant.old)
    if times != 1 or mutant.old == mutant.new:
        raise MutantRefused(f"{mutant.name}: its old text stands {times} times in {mutant.file}, it must stand once")
    return source.replace(mutant.old, mutant.new)


@contextmanager
def planted(mutant: Mutant) -> Iterator[Path]:
    """A folder to put first on the path: a copy of the member's package with the bug. Raises MutantRefused."""
    changed = mutate(mutant)
    source = ROOT.joinpath(*Path(mutant.file).parts[:2])
    with TemporaryDirectory(prefix="tenuto-mutant-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        copy.joinpath(*Path(mutant.file).parts[2:]).write_text(changed, encoding="utf-8")
        yield copy
