"""What rules see: functions, modules and the project, with names resolved."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

from tenuto._lint.extract import keyword, operation_of, subject_of
from tenuto._lint.facts import Operation, Suppression
from tenuto._lint.finding import Edit, Fix, Severity
from tenuto._lint.graph import Graph
from tenuto._lint.names import HIGHER_ORDER
from tenuto._lint.parse import Body, ParsedModule
from tenuto._lint.project import Found, Module, Project
from tenuto._lint.rule import Hit
from tenuto._lint.scopes import Binding, Function, Scope

N = TypeVar("N", bound=ast.AST)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """One call, or a function handed to one that calls it (`map(hash, xs)`: then `node` is the mere name).

    Attributes:
        node: the call; the name or attribute where it is handed on.
        names: the qualified names of what it may call; empty where unknown.
        found: the same, with what of them is the project's.
        function: what holds it.
    """

    node: ast.Call | ast.expr
    names: tuple[str, ...]
    found: tuple[Found, ...]
    function: FunctionView
    scope: Scope

    @property
    def name(self) -> str:
        """The first of `names`; empty where unknown."""
        return self.names[0] if self.names else ""

    @property
    def is_handed_on(self) -> bool:
        return not isinstance(self.node, ast.Call)

    @property
    def target(self) -> ast.expr:
        """The expression that is called."""
        return self.node.func if isinstance(self.node, ast.Call) else self.node

    @property
    def text(self) -> str:
        """The source of what is called: `datetime.now`."""
        return self.function.text_of(self.target)

    @property
    def args(self) -> list[ast.expr]:
        """Arguments by position; none where it is handed on."""
        return self.node.args if isinstance(self.node, ast.Call) else []

    def argument(self, position: int, name: str = "") -> ast.expr | None:
        """Return an argument by position or keyword; None where it is not given, or hidden in `*args`."""
        if isinstance(self.node, ast.Call):
            before = self.node.args[: position + 1]
            if len(before) > position >= 0 and not any(isinstance(one, ast.Starred) for one in before):
                return before[position]
            return keyword(self.node, name) if name else None
        return None

    @property
    def has_arguments(self) -> bool:
        return isinstance(self.node, ast.Call) and bool(self.node.args or self.node.keywords)


@dataclass(frozen=True, eq=False, slots=True)
class Read:
    """One name or chain of attributes that is read, not called: `os.environ`."""

    node: ast.expr
    names: tuple[str, ...]
    function: FunctionView
    scope: Scope

    @property
    def name(self) -> str:
        return self.names[0] if self.names else ""

    @property
    def text(self) -> str:
        return self.function.text_of(self.node)


@dataclass(frozen=True, eq=False, slots=True)
class ContextCall:
    """One operation on the context.

    Attributes:
        method: `call_activity`, `create_timer` ...
        call: the call.
        facts: the literal it names, or raw names of its subject.
        subject: the expression of the activity, child, event or patch; None where it has none.
        found: what the subject is, where it is a function.
    """

    method: str
    call: Call
    facts: Operation
    subject: ast.expr | None
    found: tuple[Found, ...]


class ModuleView:
    """One module.

    Attributes:
        module: its facts.
        project: all modules.
    """

    def __init__(self, module: Module, project: ProjectView) -> None:
        self.module = module
        self.project = project

    @property
    def path(self) -> str:
        return self.project.path_of(self.module)

    @property
    def parsed(self) -> ParsedModule:
        return self.module.parsed

    @property
    def tree(self) -> ast.Module:
        return self.module.parsed.tree

    @cached_property
    def lines(self) -> list[str]:
        """Its lines, without ends."""
        return self.module.text.split("\n")

    @cached_property
    def functions(self) -> list[FunctionView]:
        """Those of its functions that run inside a workflow, in the order of the text."""
        return [
            self.function(name)
            for name in self.module.facts.functions
            if (self.module, name) in self.project.graph.reached
        ]

    @cached_property
    def activities(self) -> list[FunctionView]:
        """Its activities, in the order of the text."""
        return [
            self.function(name)
            for name in self.module.facts.functions
            if (self.module, name) in self.project.graph.activities
        ]

    def function(self, name: str) -> FunctionView:
        """Return a function by its name within the module; the code at module level by the empty name."""
        return self.project.function(self.module, name)

    def names(self, node: ast.expr, scope: Scope | None = None) -> tuple[str, ...]:
        """Return the qualified names of what an expression at module level may be."""
        raws = self.parsed.resolver.names(node, scope or self.parsed.scope)
        return tuple(one.name for one in self.project.project.resolve_all(raws, self.module))

    def hit(
        self, node: ast.AST, message: str | None = None, *, instead: str | None = None, fix: Fix | None = None
    ) -> Hit:
        """Return a hit at a node of this module."""
        return Hit(node=node, message=message, instead=instead, fix=fix)

    def text_of(self, node: ast.AST) -> str:
        """Return a node's source text."""
        return self.text_between(*self.span(node))

    def text_between(self, line: int, column: int, end_line: int, end_column: int) -> str:
        """Return the text of a stretch; lines from 1, columns from 0 in characters."""
        if line == end_line:
            return self.lines[line - 1][column:end_column]
        middle = self.lines[line : end_line - 1]
        return "\n".join([self.lines[line - 1][column:], *middle, self.lines[end_line - 1][:end_column]])

    def span(self, node: ast.AST) -> tuple[int, int, int, int]:
        """Return where a node begins and ends: line from 1 and column from 0, in characters."""
        line = getattr(node, "lineno", 1)
        column = getattr(node, "col_offset", 0)
        end_line = getattr(node, "end_lineno", None) or line
        end_column = getattr(node, "end_col_offset", None) or column
        return line, self._characters(line, column), end_line, self._characters(end_line, end_column)

    def _characters(self, line: int, column: int) -> int:
        """A column of the syntax tree, which counts bytes of UTF-8, in characters."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return column if text.isascii() else len(text.encode()[:column].decode(errors="replace"))


class FunctionView:
    """One function that runs inside a workflow, or an activity.

    Attributes:
        module: where it is.
        body: what the parser found in it.
    """

    def __init__(self, module: ModuleView, body: Body) -> None:
        self.module = module
        self.body = body

    # -- what it is

    @property
    def node(self) -> Function | ast.Module:
        """Its definition; the module for code at module level."""
        return self.body.node

    @property
    def name(self) -> str:
        """Qualified within the module: `C.run`."""
        return self.body.name

    @property
    def project(self) -> ProjectView:
        return self.module.project

    @property
    def is_workflow(self) -> bool:
        """Whether it is a workflow itself, and not only called by one."""
        return (self.module.module, self.name) in self.project.graph.workflows

    @property
    def is_activity(self) -> bool:
        return (self.module.module, self.name) in self.project.graph.activities

    @property
    def is_async(self) -> bool:
        return isinstance(self.node, ast.AsyncFunctionDef)

    @property
    def is_generator(self) -> bool:
        return self.body.is_generator and not self.is_async

    @property
    def wait(self) -> str:
        """The word that waits for a task here: `await`, `yield`, or empty in a function that cannot wait."""
        return "await" if self.is_async else "yield" if self.is_generator else ""

    @cached_property
    def ctx(self) -> str | None:
        """The name of the workflow's context here, be it a parameter or one of an enclosing function; None: none."""
        scope: Scope | None = self.body.scope
        while scope is not None:
            for name, bindings in scope.bindings.items():
                if scope.kind == "function" and any(one.text == "@ctx" for one in bindings) and len(bindings) == 1:
                    return name
            scope = scope.parent
        return None

    # -- what it does

    @cached_property
    def calls(self) -> list[Call]:
        """Its calls in the order of the text, those in lambdas and comprehensions included, nested functions not."""
        found: list[Call] = []
        for node, scope in self.body.calls:
            found.append(self._call(node, node.func, scope))
            if found[-1].name in HIGHER_ORDER:
                for one in (*node.args, *(part.value for part in node.keywords)):
                    if isinstance(one, ast.Name | ast.Attribute):
                        found.append(self._call(one, one, scope))
        return found

    def _call(self, node: ast.expr, target: ast.expr, scope: Scope) -> Call:
        found = self.found(target, scope)
        return Call(node, tuple(dict.fromkeys(one.name for one in found)), found, self, scope)

    @cached_property
    def reads(self) -> list[Read]:
        """Names and chains of attributes that it reads, in the order of the text."""
        return [
            Read(node, tuple(dict.fromkeys(one.name for one in self.found(node, scope))), self, scope)
            for node, scope in self.body.loads
        ]

    @cached_property
    def operations(self) -> list[ContextCall]:
        """Operations on the context, in the order of the text."""
        operations: list[ContextCall] = []
        for call in self.calls:
            if not isinstance(call.node, ast.Call):
                continue
            facts = operation_of(self.module.parsed, call.node, call.scope)
            if facts is not None and facts.on_context:
                found = self.project.project.resolve_all(facts.names, self.module.module)
                operations.append(ContextCall(facts.method, call, facts, subject_of(call.node), found))
        return operations

    # -- what things are

    def found(self, node: ast.expr, scope: Scope | None = None) -> tuple[Found, ...]:
        """Return what an expression may be, with what of it is the project's."""
        raws = self.module.parsed.resolver.names(node, scope or self.body.scope)
        return self.project.project.resolve_all(raws, self.module.module)

    def names(self, node: ast.expr, scope: Scope | None = None) -> tuple[str, ...]:
        """Return the qualified names of what an expression may be; empty where that is unknown.

        An instance has the name of its class. `scope`: where it stands, if in a lambda or comprehension.
        """
        return tuple(dict.fromkeys(one.name for one in self.found(node, scope)))

    def scope_of(self, node: ast.AST) -> Scope:
        """Return the scope that a node of this function stands in: a lambda's, a comprehension's, or the function's."""
        inner, child = self.body.inner, node
        for around in self.parents(node):
            scope = inner.get(around)
            # The first iterable of a comprehension is evaluated outside of it.
            if scope is not None and not (isinstance(around, _COMPREHENSIONS) and around.generators[0].iter is node):
                return scope
            if isinstance(around, ast.comprehension) and around.iter is child:
                outer = self.parent(around)
                if isinstance(outer, _COMPREHENSIONS) and outer.generators[0] is around:
                    node = around.iter
            child = around
        return self.body.scope

    def bindings(self, node: ast.Name, scope: Scope | None = None) -> list[Binding]:
        """Return the bindings of a name that can reach a place, innermost scope first; see `scopes.Binding`."""
        resolver = self.module.parsed.resolver
        return resolver.bindings(node.id, scope or self.body.scope, (node.lineno, node.col_offset))

    def values(self, node: ast.expr) -> list[ast.expr]:
        """Return the expressions that a name was assigned and may hold here; for anything else, the expression."""
        if not isinstance(node, ast.Name):
            return [node]
        return [one.node for one in self.bindings(node) if one.kind == "value" and one.node is not None]

    def role(self, found: Found) -> str:
        """Return `workflow`, `activity` or empty for what an expression was found to be."""
        key = (found.module, found.local)
        if found.kind != "function" or found.module is None:
            return ""
        graph = self.project.graph
        return "activity" if key in graph.activities else "workflow" if key in graph.workflows else ""

    def view_of(self, found: Found) -> FunctionView | None:
        """Return the view of a function of the project; None for anything else."""
        if found.function is None or found.module is None:
            return None
        return self.project.function(found.module, found.local)

    # -- the tree

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """The nodes of its body in the order of the text, nested functions and classes left out."""
        return list(_walk(self.node.body))

    @cached_property
    def _by_kind(self) -> dict[type[ast.AST], list[ast.AST]]:
        found: dict[type[ast.AST], list[ast.AST]] = {}
        for node in self.nodes:
            found.setdefault(type(node), []).append(node)
        return found

    def walk(self) -> Iterator[ast.AST]:
        """Return the nodes of its body in the order of the text, nested functions and classes left out."""
        return iter(self.nodes)

    def nodes_of(self, kind: type[N]) -> list[N]:
        """Return its nodes of one kind, in the order of the text; cheaper than to look for them."""
        return [node for node in self._by_kind.get(kind, ()) if isinstance(node, kind)]

    @cached_property
    def _parents(self) -> dict[ast.AST, ast.AST]:
        parents: dict[ast.AST, ast.AST] = {}
        stack: list[ast.AST] = [self.node]
        while stack:
            node = stack.pop()
            inner = _children(node)
            parents.update(dict.fromkeys(inner, node))
            stack += inner
        return parents

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Return the node around a node; None at the function itself."""
        return self._parents.get(node)

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """Return the nodes around a node, innermost first, up to the function itself."""
        at = self._parents.get(node)
        while at is not None:
            yield at
            at = self._parents.get(at)

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """Return the statement that a node is in, or is."""
        return next((one for one in (node, *self.parents(node)) if isinstance(one, ast.stmt)), None)

    def text_of(self, node: ast.AST) -> str:
        """Return a node's source text."""
        return self.module.text_of(node)

    # -- hits and fixes

    def hit(
        self,
        node: ast.AST,
        message: str | None = None,
        *,
        why: str | None = None,
        breaks: str | None = None,
        instead: str | None = None,
        severity: Severity | None = None,
        fix: Fix | None = None,
    ) -> Hit:
        """Return a hit at a node; what is left out comes from the rule."""
        return Hit(node=node, message=message, why=why, breaks=breaks, instead=instead, severity=severity, fix=fix)

    def replace(self, node: ast.AST, text: str) -> Edit:
        """Return the edit that replaces a node."""
        return Edit(*self.module.span(node), text)

    def insert_before(self, node: ast.AST, text: str) -> Edit:
        """Return the edit that inserts text before a node."""
        line, column, _, _ = self.module.span(node)
        return Edit(line, column, line, column, text)

    def insert_after(self, node: ast.AST, text: str) -> Edit:
        """Return the edit that inserts text after a node."""
        _, _, line, column = self.module.span(node)
        return Edit(line, column, line, column, text)

    def name_for(self, module: str, name: str = "") -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return what to write for `module.name` (or the module) here, and the import to add, if it needs one."""
        wanted = f"{module}.{name}" if name else module
        scope = self.module.parsed.scope
        for known, bindings in scope.bindings.items():
            if self._shadows(known) or not all(one.kind == "name" and not one.first for one in bindings):
                continue
            if bindings[-1].text == wanted:
                return known, ()
            if name and bindings[-1].text == module:
                return f"{known}.{name}", ()
        taken = name or module
        if taken in scope.bindings or self._shadows(taken):
            return wanted, ((module, ""),)
        return taken, ((module, name),)

    def _shadows(self, name: str) -> bool:
        """Whether a name of the module means something else inside this function."""
        scope: Scope | None = self.body.scope
        while scope is not None and scope.kind != "module":
            if name in scope.bindings:
                return True
            scope = scope.parent
        return False


def _walk(nodes: Sequence[ast.AST]) -> Iterator[ast.AST]:
    stack = list(reversed(nodes))
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, Function | ast.ClassDef):
            stack += reversed(_children(node))


def _children(node: ast.AST) -> list[ast.AST]:
    """The nodes directly inside a node, without its `ctx`: half of all nodes are such marks, which no rule looks at."""
    found: list[ast.AST] = []
    for name in node._fields:
        if name == "ctx":
            continue
        value: object = getattr(node, name, None)
        if isinstance(value, ast.AST):
            found.append(value)
        elif isinstance(value, list):
            found += [one for one in cast("list[object]", value) if isinstance(one, ast.AST)]
    return found


class ProjectView:
    """All modules of a run.

    Attributes:
        project: the modules read.
        graph: workflows, activities, and what runs inside workflows.
    """

    def __init__(self, project: Project, graph: Graph, base: str = "") -> None:
        self.project = project
        self.graph = graph
        self._base = base
        self._modules: dict[Module, ModuleView] = {}
        self._functions: dict[tuple[Module, str], FunctionView] = {}

    @property
    def modules(self) -> list[Module]:
        """All modules read, with their facts; no syntax trees are needed for these."""
        return self.project.modules

    @property
    def activity_names(self) -> set[str]:
        """Names that activities have, or are registered by, as far as the code says."""
        return self.graph.names["activity"]

    @property
    def workflow_names(self) -> set[str]:
        """Names that workflows have, or are registered by, as far as the code says."""
        return self.graph.names["workflow"]

    def path_of(self, module: Module) -> str:
        """Return a module's path as findings show it."""
        text = module.path.as_posix()
        return text.removeprefix(self._base) if self._base else text

    def module(self, module: Module) -> ModuleView:
        """Return the view of a module."""
        view = self._modules.get(module)
        if view is None:
            view = self._modules[module] = ModuleView(module, self)
        return view

    def function(self, module: Module, name: str) -> FunctionView:
        """Return the view of a function."""
        view = self._functions.get((module, name))
        if view is None:
            body = module.parsed.bodies[name]
            view = self._functions[module, name] = FunctionView(self.module(module), body)
        return view


@dataclass(frozen=True)
class SuppressionsView:
    """The suppressions of one module after a run.

    Attributes:
        module: the module.
        suppressions: each with the ids of the rules whose findings it suppressed.
        active: ids of the rules that ran.
        known: ids of all rules.
    """

    module: Module
    suppressions: tuple[tuple[Suppression, frozenset[str]], ...]
    active: frozenset[str]
    known: frozenset[str]
