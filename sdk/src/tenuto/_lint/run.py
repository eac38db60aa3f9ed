"""One run: which files, which rules, and findings out of what the rules found."""

from __future__ import annotations

import contextlib
import fnmatch
import gc
import os
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from tenuto._lint.cache import Cache, Result
from tenuto._lint.checks import Checker, Raw, check_suppressions
from tenuto._lint.config import Config
from tenuto._lint.drift.revisions import BaseSources
from tenuto._lint.drift.view import BaseView
from tenuto._lint.facts import Suppression
from tenuto._lint.finding import Finding, Severity
from tenuto._lint.graph import Graph, Key, Reached, build_graph, chain_of
from tenuto._lint.project import DiskSources, Module, Problem, Project, Sources
from tenuto._lint.registry import all_rules
from tenuto._lint.rule import Rule
from tenuto._lint.view import ProjectView, SuppressionsView

NO_PYTHON = "TEN000"
_INSTALLED = frozenset({"__pycache__", "node_modules", "site-packages"})
_BUILT = frozenset({"build", "dist"})
# A file without any of these holds no workflow, and nothing that tells of one.
_MARKS = re.compile(
    rb"call_activity|call_child_workflow|create_timer|wait_for_external_event|continue_as_new|is_patched"
    rb"|set_custom_status|raise_event|raise_workflow_event|schedule_new_workflow|register_workflow"
    rb"|register_versioned_workflow|register_activity|\.workflow\b|\.versioned_workflow\b|\.activity\b|WorkflowContext"
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run found.

    Attributes:
        findings: by path and place; files that are no Python are findings of rule TEN000.
        files: how many files were looked into.
        parsed: how many of them were parsed, in the order of parsing; the others had no workflow, or were known.
        faults: rules that failed, each as a sentence; a fault of the linter, not of the code.
    """

    findings: list[Finding]
    files: int
    parsed: list[Path]
    faults: list[str]


def active_rules(config: Config) -> dict[str, Rule]:
    """Return the rules that a configuration runs."""
    active: dict[str, Rule] = {}
    for rule in all_rules().values():
        wanted = rule.profile.rank <= config.profile.rank or _is_among(rule.id, config.select)
        if wanted and not _is_among(rule.id, config.ignore):
            active[rule.id] = rule
    return active


def _is_among(rule: str, selectors: Iterable[str]) -> bool:
    return any(rule.startswith(one) for one in selectors)


def source_files(paths: Iterable[Path], config: Config) -> Iterator[tuple[Path, bool]]:
    """Yield the Python files below paths, each once, with whether it was named itself.

    Left out are hidden and made folders, and what the configuration excludes, be it named or found: hooks name files.
    """
    seen: set[Path] = set()
    for path in paths:
        for file in _below(path) if path.is_dir() else [path]:
            if file not in seen and not is_excluded(file, config):
                seen.add(file)
                yield file, file == path


def _below(path: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and not _is_made(Path(folder, one)))
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def _is_made(folder: Path) -> bool:
    """Whether a folder holds what was installed or built; a package may be called `build` too."""
    if folder.name in _BUILT:
        return not (folder / "__init__.py").exists()
    return folder.name in _INSTALLED or (folder / "pyvenv.cfg").exists()


def is_excluded(path: Path, config: Config) -> bool:
    """Whether the configuration excludes a file."""
    return _matches(path, config.exclude, config.root)


def _matches(path: Path, globs: Iterable[str], root: Path | None) -> bool:
    """Whether a file, or a folder that it is in, is one of some globs, as seen from a folder."""
    root = root or Path.cwd()
    text = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    return any(
        fnmatch.fnmatch(text, one) or fnmatch.fnmatch(text, f"*/{one}") or f"/{one.strip('/')}/" in f"/{text}"
        for one in globs
    )


@contextlib.contextmanager
def _without_collector() -> Generator[None, None, None]:
    """Syntax trees are many objects that live until the end: looking for garbage among them costs a third of a run."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def is_marked(sources: Sources, path: Path) -> bool:
    """Whether a file may hold a workflow, or something that tells of one."""
    try:
        return _MARKS.search(sources.read(path)) is not None
    except OSError:
        # Reading it as a module reports it.
        return True


class Run:
    """Lints files of one project.

    Args:
        config: which rules, where.
        sources: where files come from. None: the disk.
        base: folder that paths of findings are relative to, where they are below it.
        revision: what to compare with. None: nothing.
        use_cache: whether to keep what was found out for the next run.
    """

    def __init__(
        self,
        config: Config,
        *,
        sources: Sources | None = None,
        base: Path | None = None,
        revision: BaseSources | None = None,
        use_cache: bool = False,
    ) -> None:
        self._config = config
        self._sources = sources or DiskSources()
        self._base = (base or Path.cwd()).as_posix().rstrip("/") + "/"
        self._revision = revision
        self._rules = active_rules(config)
        self._checker = Checker(self._rules.values(), config.names)
        self._cache = Cache(config.root or Path.cwd()) if use_cache else None
        self.project = Project(self._sources, self._cache)

    def lint(self, paths: Iterable[Path]) -> Report:
        """Lint files and folders."""
        files = 0
        given = [path.absolute() for path in paths]
        with _without_collector():
            for path, is_named in source_files(given, self._config):
                files += 1
                if is_named or is_marked(self._sources, path):
                    self.project.module_at(path)
            return self._report(build_graph(self.project), files, given)

    def lint_function(self, path: Path, name: str) -> Report:
        """Lint one function as a workflow, with what it calls."""
        module = self.project.module_at(path.absolute())
        extra: list[Key] = [(module, name)] if module is not None and name in module.facts.functions else []
        return self._report(build_graph(self.project, extra, only_extra=True), 1)

    def _report(self, graph: Graph, files: int, given: Sequence[Path] = ()) -> Report:
        view = ProjectView(self.project, graph, self._base)
        raws = [(module, raw) for module in self._concerned(graph) for raw in self._hits(module, view)]
        if self._cache is not None:
            self._cache.save()
        modules = {view.path_of(module): module for module in self.project.modules}
        raws += [(modules[path], raw) for path, raw in self._checker.check_project(view) if path in modules]
        raws += [(modules[path], raw) for path, raw in self._beside_base(view, given) if path in modules]
        findings = _Judge(self._config, view).findings(raws, self._checker.rules)
        findings += [self._no_python(problem) for problem in self.project.problems]
        findings.sort(key=lambda one: (one.path, one.line, one.column, one.rule))
        return Report(
            findings=findings,
            files=max(files, len(self.project.modules)),
            parsed=list(self.project.parsed_paths),
            faults=list(self._checker.broken.values()),
        )

    def _beside_base(self, view: ProjectView, given: Sequence[Path]) -> Iterator[tuple[str, Raw]]:
        """What rules find beside the base, whose files are sought below the same paths."""
        revision = self._revision
        if revision is None or not any(rule.check_base for rule in self._rules.values()):
            return
        project = revision.project(view.modules)
        for path in revision.files(given):
            if not is_excluded(path, self._config) and is_marked(project.sources, path):
                project.module_at(path)
        yield from self._checker.check_base(BaseView(view, project, revision.name))

    def _hits(self, module: Module, view: ProjectView) -> Iterable[Raw]:
        """What the rules find in a module, from the cache where nothing that it depends on has changed."""
        if self._cache is None:
            return self._checker.check_module(view.module(module))
        context = self._context(module, view.graph)
        for result in self._cache.results(module.path, module.digest, context):
            if all(self._state(Path(path), view.graph) == state for path, state in result.depends):
                return result.hits
        hits = tuple(self._checker.check_module(view.module(module)))
        others = self.project.dependencies(module)
        depends = tuple((str(one.path), self._state(one.path, view.graph)) for one in others)
        if not self._checker.broken:
            self._cache.keep_result(module.path, Result(context, depends, hits))
        return hits

    def _context(self, module: Module, graph: Graph) -> str:
        """Everything but contents that hits in a module depend on: rules, roles of functions, where imports lead."""
        digest = blake2b(repr((list(self._rules), self._config.names)).encode(), digest_size=16)
        digest.update(repr(sorted(name for where, name in graph.reached if where is module)).encode())
        digest.update(graph.roles_in(module.path).encode())
        digest.update(repr([sorted(names) for names in graph.names.values()]).encode())
        for name in module.facts.imports:
            digest.update(f"{name}={self.project.locate(name, module)};".encode() if name else b";")
        return digest.hexdigest()

    def _state(self, path: Path, graph: Graph) -> str:
        """What others depend on of a module: its content, and which of its functions are workflows or activities."""
        return f"{self.project.digest_at(path)} {graph.roles_in(path)}"

    def _concerned(self, graph: Graph) -> list[Module]:
        """Modules that hold something of a workflow, or an activity."""
        return list(dict.fromkeys([key[0] for key in (*graph.reached, *graph.activities)]))

    def _no_python(self, problem: Problem) -> Finding:
        return Finding(
            path=problem.path.as_posix().removeprefix(self._base),
            line=problem.line,
            column=problem.column + 1,
            end_line=problem.line,
            end_column=problem.column + 1,
            rule=NO_PYTHON,
            name="no-python",
            severity=Severity.ERROR,
            message=problem.message,
            instead="Mend the file, or leave it out with exclude in [tool.tenuto.lint].",
        )


class _Judge:
    """Makes findings of what rules found: chains, suppressions, configured severities."""

    def __init__(self, config: Config, view: ProjectView) -> None:
        self._config = config
        self._view = view
        self._used: dict[tuple[Module, Suppression], set[str]] = {}

    def findings(self, raws: Iterable[tuple[Module, Raw]], rules: list[Rule]) -> list[Finding]:
        found: dict[tuple[str, int, int, str], Finding] = {}
        self._take(raws, found)
        self._take(self._of_suppressions(rules), found)
        return list(found.values())

    def _take(self, raws: Iterable[tuple[Module, Raw]], found: dict[tuple[str, int, int, str], Finding]) -> None:
        for module, raw in raws:
            if not self._is_suppressed(module, raw):
                finding = self._finding(module, raw)
                found.setdefault((finding.path, finding.line, finding.column, finding.rule), finding)

    def _of_suppressions(self, rules: list[Rule]) -> Iterator[tuple[Module, Raw]]:
        checks = [rule for rule in rules if rule.check_suppressions]
        for module in self._view.modules if checks else ():
            if not module.facts.suppressions:
                continue
            view = SuppressionsView(
                module=module,
                suppressions=tuple(
                    (one, frozenset(self._used.get((module, one), ()))) for one in module.facts.suppressions
                ),
                active=frozenset(rule.id for rule in rules),
                known=frozenset(all_rules()),
            )
            yield from ((module, raw) for raw in check_suppressions(checks, view))

    def _is_suppressed(self, module: Module, raw: Raw) -> bool:
        for pattern, rules in self._config.per_file_ignores.items():
            if _is_among(raw.rule, rules) and _matches(module.path, (pattern,), self._config.root):
                return True
        for one in module.facts.suppressions:
            if raw.rule in one.rules and one.first <= raw.line <= one.last:
                self._used.setdefault((module, one), set()).add(raw.rule)
                return True
        return False

    def _finding(self, module: Module, raw: Raw) -> Finding:
        reached = self._view.graph.reached.get((module, raw.function))
        return Finding(
            path=self._view.path_of(module),
            line=raw.line,
            column=raw.column + 1,
            end_line=raw.end_line,
            end_column=raw.end_column + 1,
            rule=raw.rule,
            name=all_rules()[raw.rule].name,
            severity=self._config.severities.get(raw.rule, raw.severity),
            message=raw.message,
            why=raw.why,
            breaks=raw.breaks,
            instead=raw.instead,
            fix=raw.fix,
            chain=self._chain(reached, raw.line) if reached is not None else (),
            others=max(0, reached.workflows - 1) if reached is not None else 0,
            function=raw.function,
        )

    def _chain(self, reached: Reached, last: int) -> tuple[str, ...]:
        """The hops, each with the line of the call that leads on; the last with the line of what was found."""
        hops = [(module, line, name) for module, line, name in chain_of(reached)]
        hops[-1] = (hops[-1][0], last, hops[-1][2])
        return tuple(f"{self._view.path_of(module)}:{line} {name}" for module, line, name in hops)
