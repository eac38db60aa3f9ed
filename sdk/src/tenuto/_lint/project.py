"""Modules of a project, found by file, and qualified names of what their code names.

A module is read when something names it: a path to lint, an import that a workflow's code follows. What an import
leads to is sought as Python would, from the folder where the importing package begins, then from the project's root
and its `src`; what is not found there is not the project's, and its name is its qualified name.
"""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from tenuto._lint.extract import extract
from tenuto._lint.facts import ClassFacts, FunctionFacts, ModuleFacts
from tenuto._lint.names import ATTRIBUTES, RETURNS, tidy
from tenuto._lint.parse import ParsedModule, parse_module

_ROOT_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", ".git")
_DEEPEST = 32
_MOST_FOUND = 16


class Sources(Protocol):
    """Where source files come from: the disk, standard input, a revision."""

    def read(self, path: Path) -> bytes:
        """Return a file's bytes.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def is_file(self, path: Path) -> bool:
        """Whether there is such a file."""
        ...

    def is_folder(self, path: Path) -> bool:
        """Whether there is such a folder."""
        ...


class DiskSources:
    """Files on disk, some of them replaced by other content."""

    def __init__(self, replaced: Mapping[Path, bytes] | None = None) -> None:
        self._replaced = dict(replaced or {})
        self._folders: dict[Path, bool] = {}
        self._files: dict[Path, bool] = {}

    def read(self, path: Path) -> bytes:
        return self._replaced[path] if path in self._replaced else path.read_bytes()

    def is_file(self, path: Path) -> bool:
        known = self._files.get(path)
        if known is None:
            known = self._files[path] = path in self._replaced or path.is_file()
        return known

    def is_folder(self, path: Path) -> bool:
        known = self._folders.get(path)
        if known is None:
            known = self._folders[path] = path.is_dir()
        return known


class FactsCache(Protocol):
    """Keeps what was found out about a file, by its path and content."""

    def facts(self, path: Path, digest: str) -> ModuleFacts | None: ...

    def keep_facts(self, path: Path, digest: str, facts: ModuleFacts) -> None: ...


@dataclass(frozen=True)
class Problem:
    """A file that could not be analysed, and why, in a sentence."""

    path: Path
    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a name leads to.

    Attributes:
        kind: `function`, `class`, `instance` (of a class), `module`, `folder` (of modules) or `external`.
        name: the qualified name: `requests.get`, `shop.prices.look_up`.
        module: where it is defined; None outside the project.
        local: its name within that module.
    """

    kind: str
    name: str
    module: Module | None = None
    local: str = ""

    @property
    def function(self) -> FunctionFacts | None:
        """The function, where it is one of the project."""
        return self.module.facts.functions.get(self.local) if self.kind == "function" and self.module else None

    @property
    def class_facts(self) -> ClassFacts | None:
        """The class that it is or is an instance of, where it is one of the project."""
        return self.module.facts.classes.get(self.local) if self.kind in ("class", "instance") and self.module else None


@dataclass(eq=False)
class Module:
    """One module of the project.

    Attributes:
        path: its file.
        name: its dotted name, as seen from the folder where its package begins.
        root: that folder.
        digest: of its bytes.
        facts: what is known of it.
        resolved: what its raw names lead to, as far as somebody asked.
        used: modules that these answers came from directly.
    """

    path: Path
    name: str
    root: Path
    digest: str
    facts: ModuleFacts
    _source: bytes
    _parsed: ParsedModule | None
    _project: Project
    _text: str | None = None
    resolved: dict[str, tuple[Found, ...]] = field(default_factory=dict[str, "tuple[Found, ...]"])
    used: set[Module] = field(default_factory=set["Module"])

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def package(self) -> str:
        """What relative imports start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def text(self) -> str:
        """Its source."""
        if self._text is None:
            self._text = decode(self._source)
        return self._text

    def keep(self, parsed: ParsedModule) -> None:
        """Hold the syntax tree that the facts came from."""
        self._parsed = parsed

    @property
    def parsed(self) -> ParsedModule:
        """Its syntax tree; parsed now where the facts came from the cache."""
        if self._parsed is None:
            self._parsed = self._project.parse(self.path, self._source, self.package)
        return self._parsed


class Project:
    """All modules seen in one run.

    Args:
        sources: where files come from.
        cache: keeps facts of files. None: nothing is kept.
    """

    def __init__(self, sources: Sources | None = None, cache: FactsCache | None = None) -> None:
        self.sources: Sources = sources or DiskSources()
        self.problems: list[Problem] = []
        self.parsed_paths: list[Path] = []
        self._cache = cache
        self._modules: dict[Path, Module | None] = {}
        self._located: dict[tuple[Path, str], Module | Path | None] = {}
        self._roots: dict[Path, tuple[Path, ...]] = {}
        self._resolving: set[tuple[int, str]] = set()

    @property
    def modules(self) -> list[Module]:
        """All modules that were read, in the order of reading."""
        return [module for module in self._modules.values() if module is not None]

    def module_at(self, path: Path) -> Module | None:
        """Return the module of a file; None where it is no Python, which `problems` then tells."""
        if path not in self._modules:
            # An import cycle finds the entry below and sees the module once it is there.
            self._modules[path] = None
            self._modules[path] = self._read(path)
        return self._modules[path]

    def parse(self, path: Path, source: bytes, package: str) -> ParsedModule:
        """Parse a file and remember that it was."""
        self.parsed_paths.append(path)
        return parse_module(source, package)

    def _read(self, path: Path) -> Module | None:
        try:
            source = self.sources.read(path)
        except OSError as error:
            self.problems.append(Problem(path, 1, 0, f"the file cannot be read: {error.strerror or error}"))
            return None
        root, name = self._place(path)
        digest = digest_of(source)
        facts = self._cache.facts(path, digest) if self._cache is not None else None
        module = Module(path, name, root, digest, facts or _NOTHING, source, None, self)
        if facts is None:
            try:
                parsed = self.parse(path, source, module.package)
                module.keep(parsed)
                module.facts = extract(parsed, module.text)
            except SyntaxError as error:
                message = f"the file is no Python: {error.msg}"
                self.problems.append(Problem(path, error.lineno or 1, max(0, (error.offset or 1) - 1), message))
                return None
            except ValueError as error:
                self.problems.append(Problem(path, 1, 0, f"the file is no Python: {error}"))
                return None
            except RecursionError:
                self.problems.append(Problem(path, 1, 0, "the file is nested too deeply to be analysed"))
                return None
            if self._cache is not None:
                self._cache.keep_facts(path, digest, module.facts)
        return module

    # -- finding modules

    def _place(self, path: Path) -> tuple[Path, str]:
        """The folder where a file's package begins, and the dotted name from there."""
        parts = [] if path.name == "__init__.py" else [path.stem]
        folder = path.parent
        while self.sources.is_file(folder / "__init__.py") and folder.parent != folder:
            parts.insert(0, folder.name)
            folder = folder.parent
        return folder, ".".join(parts)

    def _search(self, root: Path) -> tuple[Path, ...]:
        """Folders in which imports of a package that begins at `root` are sought."""
        known = self._roots.get(root)
        if known is None:
            folders = [root]
            for folder in (root, *root.parents):
                if any(
                    self.sources.is_file(folder / mark) or self.sources.is_folder(folder / mark) for mark in _ROOT_MARKS
                ):
                    folders += [*reversed([one for one in root.parents if folder in (one, *one.parents)])]
                    folders += [folder, folder / "src"]
                    break
            known = self._roots[root] = tuple(dict.fromkeys(folders))
        return known

    def find_module(self, name: str, importer: Module) -> Module | Path | None:
        """Return the module of an absolute name, as its importer sees it; a folder for a package without a file."""
        key = (importer.root, name)
        if key not in self._located:
            self._located[key] = self._find(name, importer)
        found = self._located[key]
        if isinstance(found, Module):
            importer.used.add(found)
        return found

    def _find(self, name: str, importer: Module) -> Module | Path | None:
        place = self.locate(name, importer)
        return self.module_at(place) if place is not None and place.suffix == ".py" else place

    def locate(self, name: str, importer: Module) -> Path | None:
        """Return the file of an absolute name as its importer sees it, or the folder of a package without one."""
        relative = Path(*name.split("."))
        folder: Path | None = None
        for root in self._search(importer.root):
            base = root / relative
            for path in (base / "__init__.py", base.with_name(base.name + ".py")):
                if self.sources.is_file(path):
                    return path
            if folder is None and self.sources.is_folder(base):
                folder = base
        return folder

    def digest_at(self, path: Path) -> str:
        """Return what tells the content of a file from others, without parsing it; empty where it cannot be read."""
        module = self._modules.get(path)
        if module is not None:
            return module.digest
        try:
            return digest_of(self.sources.read(path))
        except OSError:
            return ""

    def dependencies(self, module: Module) -> list[Module]:
        """Return the other modules that what was asked about a module so far was answered from."""
        found: dict[Module, None] = {module: None}
        stack = [module]
        while stack:
            for other in stack.pop().used:
                if other not in found:
                    found[other] = None
                    stack.append(other)
        return list(found)[1:]

    # -- what names lead to

    def resolve(self, raw: str, module: Module) -> tuple[Found, ...]:
        """Return what a raw name of a module leads to; several where it may be several things."""
        found = module.resolved.get(raw)
        if found is None:
            key = (id(module), raw)
            if key in self._resolving or len(self._resolving) > _DEEPEST:
                return ()
            self._resolving.add(key)
            try:
                found = self._resolve(raw, module)
            finally:
                self._resolving.discard(key)
            module.resolved[raw] = found
        return found

    def resolve_all(self, raws: Iterable[str], module: Module) -> tuple[Found, ...]:
        """Return what several raw names lead to, each thing once."""
        found: dict[Found, None] = {}
        for raw in raws:
            found.update(dict.fromkeys(self.resolve(raw, module)))
        return tuple(found)[:_MOST_FOUND]

    def _resolve(self, raw: str, module: Module) -> tuple[Found, ...]:
        head, *rest = _tokens(raw)
        if head[0] == "&":
            current = self._local(module, head[1:].replace("/", "."))
        elif head[0] in "?@":
            current = (Found("external", head.removeprefix("?")),)
        else:
            current = self._imported(head, module)
        for token in rest:
            following: dict[Found, None] = {}
            for one in current:
                following.update(dict.fromkeys(self._step(one, token)))
            current = tuple(following)[:_MOST_FOUND]
        return tuple(Found("external", tidy(one.name)) if one.kind == "external" else one for one in current)

    def _imported(self, head: str, module: Module) -> tuple[Found, ...]:
        found = self.find_module(head, module)
        if found is None or found is module:
            # A module that imports the name of its own file means another one.
            return (Found("external", head),)
        return (
            Found(
                "folder" if isinstance(found, Path) else "module",
                head,
                found if isinstance(found, Module) else module,
                head,
            ),
        )

    def _local(self, module: Module, name: str) -> tuple[Found, ...]:
        qualified = f"{module.name}.{name}"
        if name in module.facts.functions:
            return (Found("function", qualified, module, name),)
        if name in module.facts.classes:
            return (Found("class", qualified, module, name),)
        return (Found("external", qualified),)

    def _step(self, one: Found, token: str) -> tuple[Found, ...]:
        """What an attribute of something is, or its call gives."""
        if token == "()":
            return self._called(one)
        match one.kind:
            case "module" if one.module is not None:
                return self._of_module(one.module, one.name, token)
            case "folder" if one.module is not None:
                name = f"{one.local}.{token}"
                found = self.find_module(name, one.module)
                if isinstance(found, Path):
                    return (Found("folder", name, one.module, name),)
                return (Found("external", name) if found is None else Found("module", name, found),)
            case "class" | "instance" if one.module is not None:
                return self._of_class(one, token)
            case _:
                name = f"{one.name}.{token}"
                return (Found("external", ATTRIBUTES.get(name, name)),)

    def _called(self, one: Found) -> tuple[Found, ...]:
        match one.kind:
            case "class":
                return (Found("instance", one.name, one.module, one.local),)
            case "function":
                facts, module = one.function, one.module
                if facts is not None and module is not None and facts.returns:
                    return self.resolve_all(facts.returns, module)
                return (Found("external", one.name),)
            case _:
                return (Found("external", RETURNS.get(one.name, one.name)),)

    def _of_module(self, module: Module, name: str, token: str) -> tuple[Found, ...]:
        facts = module.facts
        if token in facts.names:
            raws = facts.names[token]
            return self.resolve_all(raws, module) or (Found("external", f"{name}.{token}"),)
        full = f"{module.name}.{token}"
        found = self.find_module(full, module) if module.is_package else None
        if isinstance(found, Module):
            return (Found("module", f"{name}.{token}", found),)
        if found is not None:
            return (Found("folder", full, module, full),)
        outside: list[Found] = []
        for star in facts.stars:
            other = self.find_module(star, module)
            if not isinstance(other, Module):
                outside.append(Found("external", f"{star}.{token}"))
            elif other is not module and _may_export(other, token):
                return self._of_module(other, star, token)
        return tuple(outside) or (Found("external", f"{name}.{token}"),)

    def method(self, instance: Found, name: str) -> tuple[Found, ...]:
        """Return what an attribute of an instance is, properties as the functions that they are."""
        return self._of_class(instance, name, read=False)

    def _of_class(self, one: Found, token: str, depth: int = 0, *, read: bool = True) -> tuple[Found, ...]:
        module, facts = one.module, one.class_facts
        if module is None or facts is None or depth > _DEEPEST:
            return ()
        local = f"{one.local}.{token}"
        if token == "@super":
            bases = self.resolve_all(facts.bases, module)
            return tuple(
                Found("instance" if base.kind == "class" else base.kind, base.name, base.module, base.local)
                for base in bases
            )
        function = module.facts.functions.get(local)
        if function is not None:
            found = Found("function", f"{one.name}.{token}", module, local)
            is_read = read and function.is_property and one.kind == "instance"
            return self._called(found) if is_read and function.returns else (found,)
        if local in module.facts.classes:
            return (Found("class", f"{one.name}.{token}", module, local),)
        if token in facts.attributes:
            return self.resolve_all(facts.attributes[token], module)
        inherited: dict[Found, None] = {}
        for base in self.resolve_all(facts.bases, module):
            if base.kind == "class":
                of_base = Found(one.kind, base.name, base.module, base.local)
                inherited.update(dict.fromkeys(self._of_class(of_base, token, depth + 1, read=read)))
            elif base.kind == "external" and base.name != "builtins.object":
                inherited[Found("external", f"{base.name}.{token}")] = None
        return tuple(inherited)


def _may_export(module: Module, name: str) -> bool:
    return name in module.facts.names or bool(module.facts.stars)


_NOTHING = ModuleFacts({}, {}, {}, (), (), (), (), 0)


def _tokens(raw: str) -> list[str]:
    """`a.b().c` as `a`, `b`, `()`, `c`."""
    found: list[str] = []
    for part in raw.split("."):
        name = part.rstrip("()") if part.endswith(")") else part
        if name:
            found.append(name)
        found += ["()"] * ((len(part) - len(name)) // 2)
    return found


def decode(source: bytes) -> str:
    """Return a file's text by its declared encoding; bytes it does not know are replaced."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    except SyntaxError:
        encoding = "utf-8"
    return source.decode(encoding, errors="replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def digest_of(source: bytes) -> str:
    """Return what tells one content of a file from another."""
    return blake2b(source, digest_size=16).hexdigest()
