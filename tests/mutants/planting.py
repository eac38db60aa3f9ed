"""Plants a bug while a module is imported: its source is changed in memory, the tree stays as it is.

A mutant is a TOML file: `module`, `description` (one sentence), `old` (a piece of its source, found exactly once) and
`new` (what stands there instead); `net`, where the simulation cannot see it, names the suite that should.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import msgspec

PLANTED = Path(__file__).parent / "planted"
VARIABLE = "TENUTO_TEST_MUTANT"


class MutantRefused(ValueError):
    """A mutant that cannot be planted: its piece of source is not there exactly once, or nothing changes."""


class Mutant(msgspec.Struct, frozen=True):
    """One planted bug."""

    name: str
    module: str
    description: str
    old: str
    new: str
    net: str = "simulation"


def load(path: Path) -> Mutant:
    """Read a mutant. Raises MutantRefused."""
    with path.open("rb") as file:
        fields = tomllib.load(file)
    try:
        return msgspec.convert({"name": path.stem, **fields}, Mutant)
    except msgspec.ValidationError as error:
        raise MutantRefused(f"{path.name}: {error}") from error


def mutate(mutant: Mutant, source: str) -> str:
    """The changed source. Raises MutantRefused."""
    old, new = mutant.old.strip("\n"), mutant.new.strip("\n")
    times = source.count(old)
    if times != 1 or old == new:
        raise MutantRefused(f"{mutant.name}: its old text stands {times} times in {mutant.module}, it must stand once")
    return source.replace(old, new)


class _Planter(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None:
            raise MutantRefused(f"{self._mutant.name}: there is no module {fullname}")
        spec.loader = _Loader(fullname, spec.origin, self._mutant)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, mutant: Mutant) -> None:
        super().__init__(fullname, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        source = mutate(self._mutant, Path(self.path).read_text(encoding="utf-8"))
        return compile(source, self.path, "exec", dont_inherit=True)


def plant(mutant: Mutant) -> None:
    """Have the module imported with the bug from now on. Raises MutantRefused where it is imported already."""
    if mutant.module in sys.modules:
        raise MutantRefused(f"{mutant.name}: {mutant.module} is imported already")
    sys.meta_path.insert(0, _Planter(mutant))


# As a plugin of pytest (`-p mutants.planting`) it plants what the environment names.
if VARIABLE in os.environ:
    plant(load(Path(os.environ[VARIABLE])))
