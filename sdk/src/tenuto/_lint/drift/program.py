"""A project at one revision, as drift sees it: its workflows by name, and what names in their code mean."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from tenuto._lint.drift.reading import Scope, context_names, parameters
from tenuto._lint.extract import keyword
from tenuto._lint.facts import FunctionFacts
from tenuto._lint.graph import Graph, Key
from tenuto._lint.project import Found, Module, Project
from tenuto._lint.scopes import Function, literal
from tenuto._lint.scopes import Scope as NameScope


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
    """The workflows of a project. As `Resolver`, it answers what names in its functions mean."""

    def __init__(self, project: Project, graph: Graph) -> None:
        self.project = project
        self.graph = graph
        self._names: dict[Key, str] = {}
        self._registered: set[Key] = set()
        self._scopes: dict[Key, dict[int, NameScope]] = {}
        for module in project.modules:
            self._read_registrations(module)
        found = (self._workflow(module, local) for module, local in graph.workflows)
        self.workflows = [one for one in found if one is not None]

    def _read_registrations(self, module: Module) -> None:
        for one in module.facts.registrations:
            for found in self.project.resolve_all(one.names, module):
                if found.kind == "function" and found.module is not None and not one.by_call:
                    self._registered.add((found.module, found.local))
                    if one.registered_as:
                        self._names[found.module, found.local] = one.registered_as
        for local, facts in module.facts.functions.items():
            if facts.marks:
                self._registered.add((module, local))
            if facts.registered_as:
                self._names[module, local] = facts.registered_as

    def _workflow(self, module: Module, local: str) -> Workflow | None:
        node = self._function(module, local)
        names = parameters(node) if node is not None else []
        if node is None or not names:
            return None
        facts = module.facts.functions[local]
        own = names[1:] if facts.owner and names[0] in ("self", "cls") else names
        scope = Scope(module, local, node, context_names(node, frozenset(own[:1])))
        name = self._names.get((module, local)) or declared_name(node) or node.name
        return Workflow(name, _variant(node), (module, local) in self._registered, scope, facts)

    def _function(self, module: Module, local: str) -> Function | None:
        body = module.parsed.bodies.get(local)
        return None if body is None or isinstance(body.node, ast.Module) else body.node

    # -- as Resolver

    def callee(self, call: ast.Call, scope: Scope) -> Scope | None:
        """As `Resolver`."""
        found = self._found(call.func, scope, call)
        if found is None or found.module is None or (found.module, found.local) in self.graph.activities:
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
            return self.name_of(found.module, found.local)
        return self._constant(target, scope) or self._imported(target, scope)

    def name_of(self, module: Module, local: str) -> str:
        """The name under which a function is registered, else its own."""
        node = self._function(module, local)
        given = self._names.get((module, local)) or (node and declared_name(node))
        return given or local.rpartition(".")[2]

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
        known = self._scopes.get((scope.module, scope.qualname))
        if known is None:
            known = {id(call): where for call, where in body.calls}
            known |= {id(read): where for read, where in body.loads}
            self._scopes[scope.module, scope.qualname] = known
        return known.get(id(node), body.scope)


def _variant(node: Function) -> str:
    """Which version of a versioned workflow a function is; empty where it is none."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
            given = keyword(decorator, "version_name")
            if decorator.func.attr == "versioned_workflow":
                return node.name if given is None else literal(given)
    return ""


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
