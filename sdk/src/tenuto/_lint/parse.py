"""One pass over a module's syntax tree: scopes, and per function what it calls, reads, yields and returns."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from tenuto._lint.implicit import ENTERED, implicit_calls
from tenuto._lint.names import CONTEXT_NAMES, REGISTRATIONS, TELLING
from tenuto._lint.scopes import Binding, Function, Resolver, Scope


@dataclass(slots=True)
class Body:
    """One function, or the code at module level: what runs when it is called, nested functions not included.

    Attributes:
        name: qualified within the module; empty at module level.
        node: its definition; the module itself at module level.
        scope: of its body.
        owner: the class it is a method of; empty for none.
        calls: with the scope each stands in, in textual order.
        loads: names and chains of attributes that are read and not called, in textual order.
        used: objects of which Python calls methods by itself, with these: what `with` enters, what `len` is asked of.
        returns: what it returns.
        inner: its lambdas and comprehensions with the scope of each.
        unreplayed: first and last line of each block that runs only while nothing is replayed.
        is_generator: it yields.
        uses_context: it calls an operation on its first parameter, and nothing says that this is no context.
    """

    name: str
    node: Function | ast.Module
    scope: Scope
    owner: str = ""
    calls: list[tuple[ast.Call, Scope]] = field(default_factory=list["tuple[ast.Call, Scope]"])
    loads: list[tuple[ast.expr, Scope]] = field(default_factory=list["tuple[ast.expr, Scope]"])
    used: list[tuple[ast.expr, Scope, tuple[str, ...]]] = field(
        default_factory=list["tuple[ast.expr, Scope, tuple[str, ...]]"]
    )
    returns: list[ast.expr] = field(default_factory=list[ast.expr])
    inner: dict[ast.AST, Scope] = field(default_factory=dict[ast.AST, Scope])
    unreplayed: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    is_generator: bool = False
    uses_context: bool = False

    @property
    def parameters(self) -> list[ast.arg]:
        """Parameters by position, self and cls not counted."""
        if isinstance(self.node, ast.Module):
            return []
        arguments = [*self.node.args.posonlyargs, *self.node.args.args]
        return arguments[1:] if self.owner and not is_static(self.node) else arguments

    def is_replayed(self, node: ast.expr) -> bool:
        """Whether an expression runs in replays, too: it is not in the body of `if not ctx.is_replaying:`."""
        return not any(first <= node.lineno <= last for first, last in self.unreplayed)


@dataclass(slots=True)
class ClassBody:
    """One class: what its attributes are bound to, in its body or by `self.x = ...` in its methods."""

    name: str
    node: ast.ClassDef
    scope: Scope
    attributes: dict[str, list[tuple[str, ast.expr, Scope]]] = field(
        default_factory=dict[str, "list[tuple[str, ast.expr, Scope]]"]
    )


@dataclass(slots=True)
class ParsedModule:
    """A module's syntax tree with its scopes.

    Attributes:
        tree: the syntax tree.
        scope: of the module.
        bodies: by qualified name, the code at module level under the empty name.
        classes: by qualified name.
        stars: modules of `from m import *`, as absolute names.
        imports: modules imported anywhere, as absolute names.
        resolver: what names mean here.
    """

    tree: ast.Module
    scope: Scope
    bodies: dict[str, Body]
    classes: dict[str, ClassBody]
    stars: tuple[str, ...]
    imports: tuple[str, ...]
    resolver: Resolver


def parse_module(source: bytes, package: str) -> ParsedModule:
    """Parse a module and build its scopes.

    Args:
        source: its bytes; a declared encoding is obeyed.
        package: the package that relative imports start from; empty at the top.

    Raises:
        SyntaxError: it is no Python.
        ValueError: it holds null bytes, or bytes that its encoding does not know.
        RecursionError: it is nested too deeply.
    """
    _refuse_undecodable(source)
    return _Builder(ast.parse(source), package).build()


def _refuse_undecodable(source: bytes) -> None:
    """Refuse bytes that a file's encoding does not know, as an import does; `ast.parse` overlooks them in comments."""
    if source.isascii():
        return
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    except SyntaxError:
        encoding = "utf-8"
    try:
        source.decode(encoding)
    except UnicodeDecodeError as error:
        before = source[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        message = f"byte 0x{source[error.start]:02x} is no {encoding}; save it as UTF-8, or declare its encoding"
        raise SyntaxError(message, (None, line, column, None)) from error


def is_static(node: Function) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list)


def marks_of(node: Function) -> list[tuple[str, ast.expr]]:
    """Return `workflow` or `activity` for each decorator of a function that registers it, with the decorator."""
    found: list[tuple[str, ast.expr]] = []
    for decorator in node.decorator_list:
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(named, ast.Attribute) and named.attr in REGISTRATIONS:
            found.append((REGISTRATIONS[named.attr], decorator))
    return found


def last_name(annotation: ast.expr | None) -> str:
    """Return the last part of an annotation's name: `WorkflowContext` of `wf.WorkflowContext | None`."""
    match annotation:
        case ast.Name():
            return annotation.id
        case ast.Attribute():
            return annotation.attr
        case ast.Constant(value=str(text)):
            return text.partition("[")[0].rpartition(".")[2].strip()
        case ast.BinOp():
            return last_name(annotation.left)
        case ast.Subscript():
            return last_name(annotation.value)
        case _:
            return ""


# Annotations that do not say that a parameter is something else than a context.
_ANYTHING = frozenset({"Any", "object"})


class _Builder:
    """Walks the tree once, in textual order."""

    def __init__(self, tree: ast.Module, package: str) -> None:
        self._tree = tree
        self._package = package
        self._scope = Scope("module", "", None)
        self._module = self._scope
        self._body = Body("", tree, self._scope)
        self._bodies = {"": self._body}
        self._classes: dict[str, ClassBody] = {}
        self._stars: list[str] = []
        self._imports: list[str] = []
        self._block: tuple[int, int] = (0, 0)
        self._handlers: dict[type[ast.AST], Callable[[Any], None]] = {
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.ClassDef: self._class,
            ast.Lambda: self._lambda,
            ast.ListComp: self._comprehension,
            ast.SetComp: self._comprehension,
            ast.GeneratorExp: self._comprehension,
            ast.DictComp: self._comprehension,
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.Assign: self._assign,
            ast.AnnAssign: self._annotated_assign,
            ast.AugAssign: self._augmented_assign,
            ast.NamedExpr: self._named,
            ast.For: self._for,
            ast.AsyncFor: self._for,
            ast.With: self._with,
            ast.AsyncWith: self._with,
            ast.If: self._if,
            ast.While: self._branches,
            ast.Try: self._branches,
            ast.TryStar: self._branches,
            ast.Match: self._branches,
            ast.match_case: self._match_case,
            ast.ExceptHandler: self._handler,
            ast.Global: self._global,
            ast.Nonlocal: self._nonlocal,
            ast.Return: self._return,
            ast.Yield: self._yield,
            ast.YieldFrom: self._yield,
            ast.Call: self._call,
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.BinOp: self._operator,
            ast.Compare: self._operator,
            ast.Subscript: self._operator,
            ast.FormattedValue: self._operator,
        }

    def build(self) -> ParsedModule:
        self._all(self._tree.body)
        stars = tuple(dict.fromkeys(self._stars))
        return ParsedModule(
            tree=self._tree,
            scope=self._module,
            bodies=self._bodies,
            classes=self._classes,
            stars=stars,
            imports=tuple(dict.fromkeys(self._imports)),
            resolver=Resolver(self._module, stars),
        )

    # -- walking

    def _visit(self, node: ast.AST) -> None:
        handler = self._handlers.get(type(node))
        if handler is not None:
            handler(node)
        else:
            self._children(node)

    def _children(self, node: ast.AST) -> None:
        for name in node._fields:
            value: ast.AST | list[object] | object = getattr(node, name, None)
            if isinstance(value, ast.AST):
                self._visit(value)
            elif isinstance(value, list):
                self._all(cast("list[object]", value))

    def _all(self, nodes: Sequence[object]) -> None:
        for node in nodes:
            if isinstance(node, ast.AST):
                self._visit(node)

    def _operator(self, node: ast.AST) -> None:
        self._uses(node)
        self._children(node)

    def _uses(self, node: ast.AST) -> None:
        self._body.used += [(value, self._scope, methods) for value, methods in implicit_calls(node)]

    def _block_of(self, nodes: Sequence[ast.stmt]) -> None:
        """Statements that run only sometimes."""
        if not nodes:
            return
        before, self._block = self._block, (nodes[0].lineno, nodes[-1].end_lineno or nodes[-1].lineno)
        self._all(nodes)
        self._block = before

    def _bind(self, name: str, at: ast.AST, kind: str, *, text: str = "", node: ast.expr | None = None) -> None:
        line, column = getattr(at, "end_lineno", 0), getattr(at, "end_col_offset", 0)
        first, last = self._block
        self._scope.bind(name, Binding(kind, line, column, text, node, first, last))

    # -- definitions

    def _qualified(self, name: str) -> str:
        scope = self._scope.nearest_function if self._scope.kind == "inner" else self._scope
        if scope.kind == "module":
            return name
        return f"{scope.name}.{name}" if scope.kind == "class" else f"{scope.name}.<locals>.{name}"

    def _if(self, node: ast.If) -> None:
        match node.test:
            case ast.UnaryOp(op=ast.Not(), operand=ast.Attribute(attr="is_replaying")):
                self._body.unreplayed.append((node.body[0].lineno, node.body[-1].end_lineno or node.body[-1].lineno))
            case _:
                pass
        self._branches(node)

    def _define(self, node: Function | ast.ClassDef) -> str:
        """Bind the name of a function or class; return its qualified name, which tells a second one apart."""
        name = self._qualified(node.name)
        if name in self._bodies or name in self._classes:
            name = f"{name}@{node.lineno}"
        start = ast.Pass(end_lineno=node.lineno, end_col_offset=node.col_offset)
        self._bind(node.name, start, "name", text="&" + name.replace(".", "/") if "<" in name else f"&{name}")
        return name

    def _function(self, node: Function) -> None:
        name = self._define(node)
        owner = self._scope.name if self._scope.kind == "class" else ""
        self._all([*node.decorator_list, *node.args.defaults, *(one for one in node.args.kw_defaults if one)])
        before = self._scope, self._body, self._block
        self._scope = Scope("function", name, self._scope, owner=owner)
        self._block = (0, 0)
        self._body = self._bodies[name] = Body(name, node, self._scope, owner)
        self._parameters(node)
        self._all(node.body)
        self._scope, self._body, self._block = before

    def _parameters(self, node: Function) -> None:
        body = self._body
        marks = {mark for mark, _ in marks_of(node)}
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        first = body.parameters[0] if body.parameters else None
        for argument in every:
            if body.owner and argument is every[0] and first is not argument:
                self._bind(argument.arg, argument, "name", text=f"&{body.owner}()")
                continue
            kind = last_name(argument.annotation)
            if kind.endswith("ActivityContext") or (argument is first and "activity" in marks):
                self._bind(argument.arg, argument, "name", text="@activity")
            elif kind.endswith("WorkflowContext") or (
                argument is first and ("workflow" in marks or (not kind and argument.arg in CONTEXT_NAMES))
            ):
                self._bind(argument.arg, argument, "name", text="@ctx")
            else:
                self._bind(argument.arg, argument, "annotation", node=argument.annotation)
        for rest in (node.args.vararg, node.args.kwarg):
            if rest is not None:
                self._bind(rest.arg, rest, "unknown")

    def _class(self, node: ast.ClassDef) -> None:
        name = self._define(node)
        self._all([*node.decorator_list, *node.bases, *node.keywords])
        before, self._scope = self._scope, Scope("class", name, self._scope)
        self._classes[name] = ClassBody(name, node, self._scope)
        self._all(node.body)
        self._scope = before

    def _lambda(self, node: ast.Lambda) -> None:
        self._all([*node.args.defaults, *(one for one in node.args.kw_defaults if one)])
        before, self._scope = self._scope, Scope("inner", self._scope.nearest_function.name, self._scope)
        self._body.inner[node] = self._scope
        arguments = node.args
        rest = [one for one in (arguments.vararg, arguments.kwarg) if one]
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest):
            self._bind(argument.arg, argument, "unknown")
        self._visit(node.body)
        self._scope = before

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self._visit(node.generators[0].iter)
        before, self._scope = self._scope, Scope("inner", self._scope.nearest_function.name, self._scope)
        self._body.inner[node] = self._scope
        for number, generator in enumerate(node.generators):
            if number:
                self._visit(generator.iter)
            self._uses(generator)
            self._element(generator.target, generator.target, generator.iter)
            self._all(generator.ifs)
        self._all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self._scope = before

    # -- bindings

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._imports.append(alias.name)
            name = alias.asname or alias.name.partition(".")[0]
            self._bind(name, node, "name", text=alias.name if alias.asname else name)

    def _import_from(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parts = self._package.split(".") if self._package else []
            kept = parts[: len(parts) - node.level + 1]
            base = ".".join([*kept, base] if base else kept)
        self._imports.append(base)
        for alias in node.names:
            if alias.name == "*":
                self._stars.append(base)
            else:
                full = f"{base}.{alias.name}" if base else alias.name
                self._imports.append(full)
                self._bind(alias.asname or alias.name, node, "name", text=full)

    def _assign(self, node: ast.Assign) -> None:
        self._visit(node.value)
        for target in node.targets:
            self._target(target, node, node.value)

    def _annotated_assign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._visit(node.value)
            self._target(node.target, node, node.value)
            if isinstance(node.target, ast.Name):
                binding = self._scope.outer.get(node.target.id, self._scope).bindings[node.target.id][-1]
                binding.annotation = node.annotation
        elif isinstance(node.target, ast.Name) and self._scope.kind != "class":
            self._bind(node.target.id, node, "annotation", node=node.annotation)
        if self._scope.kind == "class" and isinstance(node.target, ast.Name):
            self._attribute_of(self._scope.name, node.target.id, "annotation", node.annotation)

    def _augmented_assign(self, node: ast.AugAssign) -> None:
        self._visit(node.value)
        if isinstance(node.target, ast.Name):
            self._bind(node.target.id, node, "unknown")
        else:
            self._visit(node.target)

    def _named(self, node: ast.NamedExpr) -> None:
        self._visit(node.value)
        # It binds in the function around a comprehension.
        before, self._scope = self._scope, self._scope.nearest_function
        self._bind(node.target.id, node, "value", node=node.value)
        self._scope = before

    def _target(self, target: ast.expr, at: ast.AST, value: ast.expr | None) -> None:
        """Bind the target of an assignment; None: to something unknown."""
        match target:
            case ast.Name():
                self._bind(target.id, at, "unknown" if value is None else "value", node=value)
                if self._scope.kind == "class" and value is not None:
                    self._attribute_of(self._scope.name, target.id, "value", value)
            case ast.Tuple() | ast.List():
                parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
                same = len(parts) == len(target.elts) and not any(
                    isinstance(one, ast.Starred) for one in (*parts, *target.elts)
                )
                for number, one in enumerate(target.elts):
                    self._target(one, at, parts[number] if same else None)
            case ast.Starred():
                self._target(target.value, at, None)
            case ast.Attribute(value=ast.Name()) if value is not None and self._body.owner and self._is_self(target):
                self._attribute_of(self._body.owner, target.attr, "value", value)
            case _:
                self._visit(target)

    def _is_self(self, target: ast.Attribute) -> bool:
        node = self._body.node
        return (
            isinstance(node, Function)
            and bool(node.args.args)
            and isinstance(target.value, ast.Name)
            and target.value.id == node.args.args[0].arg
        )

    def _attribute_of(self, owner: str, name: str, kind: str, value: ast.expr) -> None:
        self._classes[owner].attributes.setdefault(name, []).append((kind, value, self._scope))

    def _element(self, target: ast.expr, at: ast.AST, container: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, at, "element", node=container)
        else:
            self._target(target, at, None)

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        self._visit(node.iter)
        self._uses(node)
        self._element(node.target, node.target, node.iter)
        self._block_of(node.body)
        self._block_of(node.orelse)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self._visit(item.context_expr)
            self._body.used.append((item.context_expr, self._scope, ENTERED))
            match item.optional_vars:
                case None:
                    pass
                case ast.Name():
                    self._bind(item.optional_vars.id, item.optional_vars, "enter", node=item.context_expr)
                case other:
                    self._target(other, other, None)
        self._all(node.body)

    def _branches(self, node: ast.If | ast.While | ast.Try | ast.TryStar | ast.Match) -> None:
        if isinstance(node, ast.Match):
            self._visit(node.subject)
            self._all(node.cases)
            return
        if isinstance(node, ast.If | ast.While):
            self._visit(node.test)
        else:
            self._block_of(node.body)
            self._all(node.handlers)
            self._block_of(node.orelse)
            self._all(node.finalbody)
            return
        self._block_of(node.body)
        self._block_of(node.orelse)

    def _match_case(self, node: ast.match_case) -> None:
        for part in ast.walk(node.pattern):
            name = getattr(part, "name", None) or getattr(part, "rest", None)
            if isinstance(name, str):
                self._bind(name, part, "unknown")
        if node.guard is not None:
            self._visit(node.guard)
        self._block_of(node.body)

    def _handler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self._visit(node.type)
        if node.name:
            self._bind(node.name, node.type or node, "unknown")
        self._block_of(node.body)

    def _global(self, node: ast.Global) -> None:
        self._scope.outer.update(dict.fromkeys(node.names, self._module))

    def _nonlocal(self, node: ast.Nonlocal) -> None:
        for name in node.names:
            at = self._scope.parent
            while at is not None and not (at.kind == "function" and name in at.bindings):
                at = at.parent
            if at is not None:
                self._scope.outer[name] = at

    # -- what a function does

    def _return(self, node: ast.Return) -> None:
        if node.value is not None:
            self._body.returns.append(node.value)
            self._visit(node.value)

    def _yield(self, node: ast.Yield | ast.YieldFrom) -> None:
        self._body.is_generator = True
        self._children(node)

    def _call(self, node: ast.Call) -> None:
        self._body.calls.append((node, self._scope))
        self._uses(node)
        function = node.func
        if isinstance(function, ast.Attribute):
            # The chain's own name is the call's; what it starts from may be a call.
            inner = function.value
            if function.attr in TELLING and isinstance(inner, ast.Name):
                self._mark_context(inner.id)
            while isinstance(inner, ast.Attribute):
                inner = inner.value
            self._visit_base(function, inner)
        elif not isinstance(function, ast.Name):
            self._visit(function)
        self._all(node.args)
        self._all(node.keywords)

    def _visit_base(self, function: ast.Attribute, inner: ast.expr) -> None:
        """What a called chain starts from: `os.environ` is read in `os.environ.get()`, a mere name is not."""
        if not isinstance(inner, ast.Name):
            self._visit(inner)
        elif isinstance(function.value, ast.Attribute):
            self._body.loads.append((function.value, self._scope))

    def _mark_context(self, name: str) -> None:
        scope: Scope | None = self._scope
        while scope is not None and name not in scope.bindings:
            scope = scope.parent
        body = self._bodies.get(scope.name) if scope is not None and scope.kind == "function" else None
        if body is None or not body.parameters or body.parameters[0].arg != name:
            return
        kind = last_name(body.parameters[0].annotation)
        if kind and kind not in _ANYTHING and not kind.endswith("Context"):
            return
        body.uses_context = True
        binding = body.scope.bindings[name][0]
        if binding.kind == "annotation":
            binding.kind, binding.text = "name", "@ctx"

    def _name(self, node: ast.Name) -> None:
        match node.ctx:
            case ast.Load():
                self._body.loads.append((node, self._scope))
            case ast.Store():
                self._bind(node.id, node, "unknown")
            case _:
                pass

    def _attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            self._body.loads.append((node, self._scope))
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            inner = inner.value
        if not isinstance(inner, ast.Name):
            self._visit(inner)
