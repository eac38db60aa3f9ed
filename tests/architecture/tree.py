"""What the architecture tests look at: the tracked files, and the members' source trees parsed once."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "tenuto": ROOT / "sdk/src/tenuto",
    "tenuto_pytest": ROOT / "sdk/src/tenuto_pytest",
    "tenuto_engine": ROOT / "engine/src/tenuto_engine",
    "tenuto_operator": ROOT / "operator/src/tenuto_operator",
    "tenuto_proto": ROOT / "proto/src/tenuto_proto",
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file: where it is, its dotted name, its text and its syntax tree."""

    path: Path
    name: str
    text: str
    tree: ast.Module

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def is_private(self) -> bool:
        """Whether any part of the dotted name says that users may not import it."""
        return any(part.startswith("_") and not part.startswith("__") for part in self.name.split("."))


@dataclass(frozen=True)
class Definition:
    """One function or class with the dotted path that leads to it inside its module."""

    module: Module
    qualified: str
    node: Function | ast.ClassDef

    @property
    def where(self) -> str:
        return f"{self.module.where}:{self.node.lineno} {self.qualified}"

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.qualified.split("."))


def parse(path: Path, name: str = "") -> Module:
    """Read and parse one file."""
    text = path.read_text(encoding="utf-8")
    return Module(path, name, text, ast.parse(text, filename=str(path)))


@cache
def sources() -> tuple[Module, ...]:
    """Every hand-written module of every member; generated stubs are not ours to measure."""
    found: list[Module] = []
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            if "_pb2" not in path.name:
                parts = path.relative_to(folder).with_suffix("").parts
                found.append(parse(path, ".".join((package, *(part for part in parts if part != "__init__")))))
    return tuple(found)


@cache
def modules_of_tests() -> tuple[Module, ...]:
    """Every test module; not the code that the linter is tried on, some of which looks like one."""
    found = (path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "corpus" not in path.parts)
    return tuple(parse(path) for path in found)


def definitions(module: Module) -> Iterator[Definition]:
    """Functions and classes of a module, methods included; those inside functions are left out."""

    def visit(body: list[ast.stmt], prefix: str) -> Iterator[Definition]:
        for node in body:
            if isinstance(node, Function | ast.ClassDef):
                qualified = f"{prefix}{node.name}"
                yield Definition(module, qualified, node)
                if isinstance(node, ast.ClassDef):
                    yield from visit(node.body, f"{qualified}.")

    yield from visit(module.tree.body, "")


@dataclass(frozen=True)
class FoundFunction:
    """One function, wherever it stands."""

    where: str
    node: Function


def functions(module: Module) -> Iterator[FoundFunction]:
    """Every function of a module, those inside other functions included."""
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            yield FoundFunction(f"{module.where}:{node.lineno} {node.name}", node)


@cache
def tracked() -> tuple[Path, ...]:
    """The files git tracks, as they stand in the work tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = (ROOT / name for name in listed.decode().split("\0") if name)
    return tuple(path for path in paths if path.is_file())


@cache
def settings() -> dict[str, Any]:
    """The root's pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def listed(found: Sequence[object] | Mapping[str, object]) -> str:
    """What was found, one a line and complete: a failing test is a list of what to mend."""
    lines = [f"{where}: {what}" for where, what in found.items()] if isinstance(found, Mapping) else map(str, found)
    return "\n" + "\n".join(lines)
