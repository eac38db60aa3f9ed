"""A project at one revision, as drift sees it: its workflows by name, and what names in their code mean."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tenuto._lint.drift.reading import Scope, context_names, parameters
from tenuto._lint.drift.revisions import BaseSources
from tenuto._lint.extract import keyword
from tenuto._lint.facts import FunctionFacts
from tenuto._lint.project import DiskSources, Found, Module, Project
from tenuto._lint.scopes import Function, literal
from tenuto._lint.scopes import Scope as NameScope


class RevisionSources:
    """Files as a revision held them; what is no Python file of the repository is read from the disk."""

    def __init__(self, base: BaseSources) -> None:
        self._disk = DiskSources()
        self._root = base.root
        self._paths = base.paths
        self._changed = base.changed
        self._folders = {str(parent) for path in base.paths for parent in Path(path).parents}

    def read(self, path: Path) -> bytes:
        """As `Sources`."""
        inside = self._inside(path)
        if inside is None:
            return self._disk.read(path)
        if inside not in self._paths:
            raise FileNotFoundError(f"{path} did not exist at the base")
        return self._changed[inside] if inside in self._changed else self._disk.read(path)

    def is_file(self, path: Path) -> bool:
        """As `Sources`."""
        inside = self._inside(path)
        return self._disk.is_file(path) if inside is None else inside in self._paths

    def is_folder(self, path: Path) -> bool:
        """As `Sources`."""
        return str(self._relative(path)) in self._folders or self._disk.is_folder(path)

    def _inside(self, path: Path) -> str | None:
        relative = self._relative(path)
        return relative.as_posix() if relative is not None and path.suffix == ".py" else None

    def _relative(self, path: Path) -> Path | None:
        resolved = path.resolve()
        return resolved.relative_to(self._root) if resolved.is_relative_to(self._root) else None


@dataclass(frozen=True)
class Workflow:
    """A workflow of one revision.

    Attributes:
        name: what it is registered as, else the function's name.
        variant: of a versioned workflow, the version's name.
        is_registered: whether the code registers it; else it is one by what it does.
        scope: the function.
        facts: what is known of it.
    """

    name: str
    variant: str
    is_registered: bool
    scope: Scope
    facts: FunctionFacts


class Program:
    """The workflows of a project. As `Resolver`, it answers what names in its functions mean.

    Args:
        project: the modules.
        paths: files whose workflows are looked at; what they import is followed.
    """

    def __init__(self, project: Project, paths: Iterable[Path]) -> None:
        self.project = project
        self._named: dict[tuple[Path, str], str] = {}
        self._scopes: dict[tuple[Path, str], dict[int, NameScope]] = {}
        modules = [module for path in paths if (module := project.module_at(path)) is not None]
        self.workflows = list(self._workflows(modules))

    def _workflows(self, modules: list[Module]) -> Iterator[Workflow]:
        registered: dict[tuple[Path, str], tuple[Module, str, str]] = {}
        for module in modules:
            self._registered_in(module, registered)
        called = {
            (found.module.path, found.local)
            for module in modules
            for facts in module.facts.functions.values()
            for ref in facts.refs
            for found in self.project.resolve(ref.name, module)
            if found.kind == "function" and found.module is not None
        }
        seen: set[tuple[Path, str]] = set()
        for (path, local), (module, name, variant) in registered.items():
            seen.add((path, local))
            workflow = self._workflow(module, local, name, variant)
            if workflow is not None:
                yield workflow
        for module in modules:
            for local, facts in module.facts.functions.items():
                key = (module.path, local)
                is_one = facts.uses_context and (facts.is_generator or facts.is_async) and not facts.first_is_activity
                if is_one and key not in seen and key not in called and "activity" not in facts.marks:
                    workflow = self._workflow(module, local, None, "")
                    if workflow is not None:
                        yield workflow

    def _registered_in(self, module: Module, registered: dict[tuple[Path, str], tuple[Module, str, str]]) -> None:
        for one in module.facts.registrations:
            for found in self.project.resolve_all(one.names, module):
                if found.kind == "function" and found.module is not None:
                    if one.registered_as:
                        self._named[found.module.path, found.local] = one.registered_as
                    if one.kind == "workflow" and not one.by_call:
                        name = one.registered_as or found.local.rpartition(".")[2]
                        registered[found.module.path, found.local] = (found.module, name, "")
        for local, facts in module.facts.functions.items():
            if facts.registered_as:
                self._named[module.path, local] = facts.registered_as
            if "workflow" in facts.marks:
                name = facts.registered_as or local.rpartition(".")[2]
                registered[module.path, local] = (module, name, self._variant(module, local))

    def _variant(self, module: Module, local: str) -> str:
        node = self._function(module, local)
        for decorator in node.decorator_list if node is not None else ():
            if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
                given = keyword(decorator, "version_name")
                if decorator.func.attr == "versioned_workflow":
                    return local.rpartition(".")[2] if given is None else literal(given)
        return ""

    def _workflow(self, module: Module, local: str, name: str | None, variant: str) -> Workflow | None:
        node = self._function(module, local)
        names = parameters(node) if node is not None else []
        if node is None or not names:
            return None
        facts = module.facts.functions[local]
        own = names[1:] if facts.owner and names[0] in ("self", "cls") else names
        context = context_names(node, frozenset(own[:1]))
        scope = Scope(module, local, node, context)
        chosen = name or declared_name(node) or node.name
        return Workflow(chosen, variant, name is not None, scope, facts)

    def _function(self, module: Module, local: str) -> Function | None:
        body = module.parsed.bodies.get(local)
        return None if body is None or isinstance(body.node, ast.Module) else body.node

    # -- as Resolver

    def callee(self, call: ast.Call, scope: Scope) -> Scope | None:
        """As `Resolver`."""
        found = self._found(call.func, scope, call)
        if found is None or found.module is None or self._is_activity(found):
            return None
        node = self._function(found.module, found.local)
        return None if node is None else Scope(found.module, found.local, node, frozenset())

    def registered_name(self, target: ast.expr, scope: Scope) -> str | None:
        """As `Resolver`."""
        text = literal(target)
        if text:
            return text
        found = self._found(target, scope, target)
        if found is not None and found.module is not None:
            node = self._function(found.module, found.local)
            given = self._named.get((found.module.path, found.local)) or (node and declared_name(node))
            return given or found.local.rpartition(".")[2]
        return self._constant(target, scope) or self._imported(target, scope)

    def _found(self, node: ast.expr, scope: Scope, at: ast.expr) -> Found | None:
        """The one function that an expression stands for."""
        module = scope.module
        raws = module.parsed.resolver.names(node, self._scope_at(scope, at))
        found = self.project.resolve_all(raws, module)
        return found[0] if len(found) == 1 and found[0].kind == "function" else None

    def _imported(self, target: ast.expr, scope: Scope) -> str | None:
        """The name of a function that is imported from elsewhere: it is called by its own, unless told otherwise."""
        raws = scope.module.parsed.resolver.names(target, self._scope_at(scope, target))
        if len(raws) != 1 or raws[0][0] in "&?@" or "(" in raws[0] or raws[0].startswith("builtins."):
            return None
        return raws[0].rpartition(".")[2]

    def _constant(self, target: ast.expr, scope: Scope) -> str | None:
        """The text of a name that is bound once, to a literal."""
        if not isinstance(target, ast.Name):
            return None
        at = self._scope_at(scope, target)
        bindings = scope.module.parsed.resolver.bindings(target.id, at, (target.lineno, target.col_offset))
        if len(bindings) != 1 or bindings[0].node is None or bindings[0].kind != "value":
            return None
        return literal(bindings[0].node) or None

    def _scope_at(self, scope: Scope, node: ast.expr) -> NameScope:
        """The scope in which a call or a name stands."""
        parsed = scope.module.parsed
        body = parsed.bodies[scope.qualname]
        known = self._scopes.get((scope.module.path, scope.qualname))
        if known is None:
            known = {id(call): where for call, where in body.calls}
            known |= {id(read): where for read, where in body.loads}
            self._scopes[scope.module.path, scope.qualname] = known
        return known.get(id(node), body.scope)

    def _is_activity(self, found: Found) -> bool:
        facts = found.function
        return facts is not None and ("activity" in facts.marks or facts.first_is_activity)


def declared_name(node: Function) -> str:
    """The name that `@alternate_name("...")` gives a function; empty for none."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call):
            match decorator.func:
                case ast.Attribute(attr=name) | ast.Name(id=name):
                    given = decorator.args[0] if decorator.args else keyword(decorator, "name")
                    if name == "alternate_name" and given is not None:
                        return literal(given)
                case _:
                    pass
    return ""
