"""Source code to the shape of a workflow, through the helpers that it calls.

What the names in the code mean (which function a call reaches, under which name an activity is registered) is asked of
a `Resolver`; everything else is read off the syntax. Nothing is imported or run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tenuto._lint.drift.shape import Arm, Block, BlockKind, End, EndKind, Node, Operation, Place, Wait, ends, trim
from tenuto._lint.project import Module

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_Loop = ast.For | ast.AsyncFor | ast.While
_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp

# How deep helpers are followed; a chain this long is a recursion that changes its functions.
_DEEPEST = 40
_HEADER_LENGTH = 60

# Methods of the context that replay holds against history, and the argument that names their target.
_KINDS: dict[str, tuple[str, int | None, str]] = {
    "call_activity": ("activity", 0, "activity"),
    "call_child_workflow": ("child workflow", 0, "workflow"),
    "create_timer": ("timer", None, ""),
    "wait_for_external_event": ("event", 0, "name"),
    "raise_event": ("event to another instance", 1, "name"),
}
_NAMED_BY_FUNCTION = ("activity", "child workflow")
_EXECUTION_ENDS = frozenset({EndKind.RETURN, EndKind.RAISE})


@dataclass(frozen=True)
class Scope:
    """A function and where it stands.

    Attributes:
        module: its module.
        qualname: its name within the module, as facts call it.
        node: the function.
        context: names under which it knows the workflow's context.
    """

    module: Module
    qualname: str
    node: FunctionNode
    context: frozenset[str]

    @property
    def path(self) -> str:
        """Its file."""
        return str(self.module.path)


class Resolver(Protocol):
    """What names mean in one revision of a project."""

    def callee(self, call: ast.Call, scope: Scope) -> Scope | None:
        """The function of the project that a call runs; None where it is none, or not certain."""
        ...

    def registered_name(self, target: ast.expr, scope: Scope) -> str | None:
        """The name of an activity, workflow or event that an expression stands for; None where it is computed."""
        ...


def read_shape(scope: Scope, resolver: Resolver) -> tuple[Node, ...]:
    """The shape of a workflow."""
    reader = _Reader(scope, resolver, ())
    return trim(reader.sequence(scope.node.body), _EXECUTION_ENDS)


def parameters(node: FunctionNode) -> list[str]:
    """Names of a function's parameters that can be given by position."""
    return [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]


def context_names(node: FunctionNode, first: frozenset[str]) -> frozenset[str]:
    """`first`, and what the function assigns them to (`c = ctx`)."""
    names = set(first)
    for part in ast.walk(node):
        if isinstance(part, ast.Assign) and isinstance(part.value, ast.Name) and part.value.id in names:
            names |= {target.id for target in part.targets if isinstance(target, ast.Name)}
    return frozenset(names)


def enter(callee: Scope, call: ast.Call, caller: Scope) -> Scope | None:
    """The callee with the names by which it knows the caller's context; None where it does not receive it."""
    names = parameters(callee.node)
    if names and names[0] in ("self", "cls") and isinstance(call.func, ast.Attribute):
        names = names[1:]
    given: set[str] = set()
    for name, argument in zip(names, call.args, strict=False):
        if isinstance(argument, ast.Name) and argument.id in caller.context:
            given.add(name)
    for keyword in call.keywords:
        if keyword.arg and isinstance(keyword.value, ast.Name) and keyword.value.id in caller.context:
            given.add(keyword.arg)
    if not given:
        return None
    context = context_names(callee.node, frozenset(given))
    return replace(callee, context=context)


class _Reader:
    """Reads one function. `stack` holds the functions that led here, the workflow first."""

    def __init__(self, scope: Scope, resolver: Resolver, stack: tuple[str, ...]) -> None:
        self._scope = scope
        self._resolver = resolver
        self._stack = (*stack, f"{scope.path}:{scope.qualname}")
        self._is_helper = bool(stack)
        self._locals = _local_names(scope.node)
        self._nested = {node.name: node for node in ast.walk(scope.node) if isinstance(node, FunctionNode)}
        self._nested.pop(scope.node.name, None)
        self._first_of: set[str] = set()
        self._all_of: set[str] = set()
        self._gates: dict[str, ast.Call] = {}

    # -- statements

    def sequence(self, statements: Sequence[ast.stmt]) -> tuple[Node, ...]:
        """The nodes of a body. What follows an `if` that one arm leaves belongs to the other arm."""
        nodes: list[Node] = []
        for i, statement in enumerate(statements):
            if isinstance(statement, ast.If):
                found, is_rest_taken = self._if(statement, statements[i + 1 :])
                nodes += found
                if is_rest_taken:
                    break
            else:
                nodes += self._statement(statement)
            if ends(nodes):
                break
        return tuple(nodes)

    def _if(self, statement: ast.If, rest: Sequence[ast.stmt]) -> tuple[list[Node], bool]:
        taken, other = self.sequence(statement.body), self.sequence(statement.orelse)
        is_rest_taken = ends(taken) != ends(other)
        if is_rest_taken and ends(taken):
            other = (*other, *self.sequence(rest))
        elif is_rest_taken:
            taken = (*taken, *self.sequence(rest))
        return self._branch(statement.test, taken, other), is_rest_taken

    def _branch(self, test: ast.expr, taken: tuple[Node, ...], other: tuple[Node, ...]) -> list[Node]:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self._branch(test.operand, other, taken)
        gate = self._gate(test)
        before = [] if gate is not None else self.expression(test)
        if not taken and not other:
            return before
        if gate is not None:
            return [self._patch(gate, taken, other)]
        place = self._place(test)
        arms = (Arm(f"if {_short(test)}:", f"if {self._key(test)}", taken, place), Arm("else:", "else", other, place))
        return [*before, Block(BlockKind.IF, arms)]

    def _patch(self, gate: ast.Call, taken: tuple[Node, ...], other: tuple[Node, ...]) -> Node:
        argument = gate.args[0] if gate.args else gate.keywords[0].value if gate.keywords else None
        name = None if argument is None else self._resolver.registered_name(argument, self._scope)
        place = self._place(gate)
        header = f"if {_short(gate)}:"
        arms = (Arm(header, f"patch {name}", taken, place), Arm("else:", "else", other, place))
        return Block(BlockKind.PATCH, arms, patch=name)

    def _gate(self, test: ast.expr) -> ast.Call | None:
        """The call of `is_patched` that a condition is."""
        match test:
            case ast.Name():
                return self._gates.get(test.id)
            case ast.NamedExpr():
                return self._gate(test.value)
            case ast.Call():
                return test if self._method(test) == "is_patched" else None
            case _:
                return None

    def _statement(self, statement: ast.stmt) -> list[Node]:
        match statement:
            case ast.For() | ast.AsyncFor() | ast.While():
                return self._loop(statement)
            case ast.Try() | ast.TryStar():
                return self._try(statement)
            case ast.Match():
                return self._match(statement)
            case ast.With() | ast.AsyncWith():
                items = [node for item in statement.items for node in self.expression(item.context_expr)]
                return [*items, *self.sequence(statement.body)]
            case ast.Return():
                kind = EndKind.LEAVE if self._is_helper else EndKind.RETURN
                return [*self.expression(statement.value), End(kind, self._place(statement))]
            case ast.Raise():
                return [*self.expression(statement.exc), End(EndKind.RAISE, self._place(statement))]
            case ast.Break() | ast.Continue():
                kind = EndKind.BREAK if isinstance(statement, ast.Break) else EndKind.CONTINUE
                return [End(kind, self._place(statement))]
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return []
            case ast.Assign() | ast.AnnAssign():
                return self._assign(statement)
            case _:
                return self._children(statement)

    def _assign(self, statement: ast.Assign | ast.AnnAssign) -> list[Node]:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        gate = None if statement.value is None else self._gate(statement.value)
        if gate is not None:
            self._gates |= dict.fromkeys(names, gate)
        if _is_call_of(statement.value, "when_any"):
            self._first_of |= names
        if _is_call_of(statement.value, "when_all"):
            self._all_of |= names
        return self.expression(statement.value)

    def _loop(self, statement: _Loop) -> list[Node]:
        if isinstance(statement, ast.While):
            before: list[Node] = []
            header, key = f"while {_short(statement.test)}:", f"while {self._key(statement.test)}"
            inside = self.expression(statement.test)
        else:
            before = self.expression(statement.iter)
            header = f"for {_short(statement.target)} in {_short(statement.iter)}:"
            key, inside = f"for {self._key(statement.iter)}", []
        body = (*inside, *trim(self.sequence(statement.body), frozenset({EndKind.CONTINUE})))
        after = self.sequence(statement.orelse)
        decides = statement.test if isinstance(statement, ast.While) else statement.iter
        return [*before, *self._repeated(header, key, body, decides), *after]

    def _try(self, statement: ast.Try | ast.TryStar) -> list[Node]:
        body = self.sequence([*statement.body, *statement.orelse])
        if statement.handlers:
            body = tuple(trim(body, frozenset({EndKind.RAISE})))  # Perhaps caught below.
        arms = [Arm("try:", "try", body, self._place(_word(statement, "try")))]
        for handler in statement.handlers:
            caught = "" if handler.type is None else f" {_short(handler.type)}"
            nodes = self.sequence(handler.body)
            arms.append(Arm(f"except{caught}:", f"except{caught}", nodes, self._place(_word(handler, "except"))))
        finally_nodes = self.sequence(statement.finalbody)
        if not statement.handlers or not any(arm.nodes for arm in arms):
            return [*body, *finally_nodes]
        return [Block(BlockKind.TRY, tuple(arms)), *finally_nodes]

    def _match(self, statement: ast.Match) -> list[Node]:
        before = self.expression(statement.subject)
        arms: list[Arm] = []
        for i, case in enumerate(statement.cases):
            guard = "" if case.guard is None else f" if {ast.unparse(case.guard)}"
            text = f"case {ast.unparse(case.pattern)}{guard}:"
            header = f"match {_short(statement.subject)}: {text}" if i == 0 else text
            arms.append(Arm(header, text, self.sequence(case.body), self._place(case.pattern)))
        return [*before, Block(BlockKind.MATCH, tuple(arms))] if any(arm.nodes for arm in arms) else before

    # -- expressions, in the order in which Python evaluates them

    def expression(self, node: ast.expr | None) -> list[Node]:
        """The nodes of an expression."""
        match node:
            case None:
                return []
            case ast.Call():
                return self._call(node)
            case ast.Yield() | ast.Await() | ast.YieldFrom():
                return self._wait(node)
            case ast.IfExp():
                return self._branch(node.test, tuple(self.expression(node.body)), tuple(self.expression(node.orelse)))
            case ast.BoolOp():
                return self._short_circuit(node)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return self._comprehension(node)
            case ast.Lambda():
                return self._repeated("lambda:", "lambda", tuple(self.expression(node.body)), node)
            case _:
                return self._children(node)

    def _children(self, node: ast.AST) -> list[Node]:
        nodes: list[Node] = []
        for child in ast.iter_child_nodes(node):
            nodes += self.expression(child) if isinstance(child, ast.expr) else self._children(child)
        return nodes

    def _short_circuit(self, node: ast.BoolOp) -> list[Node]:
        nodes = self.expression(node.values[0])
        rest = tuple(found for value in node.values[1:] for found in self.expression(value))
        if not rest:
            return nodes
        word = "and" if isinstance(node.op, ast.And) else "or"
        place = self._place(node)
        first = node.values[0]
        arm = Arm(f"{_short(first)} {word} ...", f"{word} {self._key(first)}", rest, place)
        return [*nodes, Block(BlockKind.IF, (arm, Arm("else:", "else", (), place)))]

    def _comprehension(self, node: _Comprehension) -> list[Node]:
        first = node.generators[0]
        inside: list[Node] = []
        for i, generator in enumerate(node.generators):
            inside += self.expression(generator.iter) if i else []
            inside += [found for test in generator.ifs for found in self.expression(test)]
        values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        inside += [found for value in values for found in self.expression(value)]
        tests = "".join(f" if {self._key(test)}" for generator in node.generators for test in generator.ifs)
        header = f"for {_short(first.target)} in {_short(first.iter)}:"
        return [
            *self.expression(first.iter),
            *self._repeated(header, f"for {self._key(first.iter)}{tests}", inside, node),
        ]

    def _repeated(self, header: str, key: str, nodes: Sequence[Node], node: ast.expr) -> list[Node]:
        if all(isinstance(one, Wait) and not one.is_any for one in nodes):
            # Waiting for each is waiting for all.
            return [replace(one, is_single=False) for one in nodes[:1] if isinstance(one, Wait)]
        return [Block(BlockKind.LOOP, (Arm(header, key, tuple(nodes), self._place(node)),))]

    def _wait(self, node: ast.Yield | ast.Await | ast.YieldFrom) -> list[Node]:
        value = node.value
        before = self.expression(value)
        if isinstance(value, ast.Call) and not isinstance(node, ast.Yield) and self._entered(value) is not None:
            return before  # A helper: it waits for itself.
        is_any = _is_call_of(value, "when_any") or (isinstance(value, ast.Name) and value.id in self._first_of)
        is_all = _is_call_of(value, "when_all") or (isinstance(value, ast.Name) and value.id in self._all_of)
        return [*before, Wait(is_any, self._place(node), is_single=not is_any and not is_all)]

    def _call(self, node: ast.Call) -> list[Node]:
        before = self._children(node)
        method = self._method(node)
        if method in _KINDS:
            return [*before, self._operation(node, method)]
        entered = self._entered(node)
        if entered is None:
            return before
        reader = _Reader(entered, self._resolver, self._stack)
        return [*before, *trim(reader.sequence(entered.node.body), frozenset({EndKind.LEAVE}))]

    def _entered(self, call: ast.Call) -> Scope | None:
        """The helper that a call runs with the context, unless it runs already."""
        if isinstance(call.func, ast.Name) and call.func.id in self._nested:
            callee: Scope | None = self._nested_scope(self._nested[call.func.id], call)
        else:
            found = self._resolver.callee(call, self._scope)
            callee = None if found is None else enter(found, call, self._scope)
        if callee is None or len(self._stack) > _DEEPEST or f"{callee.path}:{callee.qualname}" in self._stack:
            return None
        return callee

    def _nested_scope(self, node: FunctionNode, call: ast.Call) -> Scope:
        """A function defined inside this one: it sees the context as this one does, or is given it."""
        scope = self._scope
        seen = context_names(node, scope.context - set(parameters(node)))
        local = Scope(scope.module, f"{scope.qualname}.<locals>.{node.name}", node, seen)
        given = enter(local, call, scope)
        return local if given is None else replace(given, context=seen | given.context)

    def _operation(self, call: ast.Call, method: str) -> Operation:
        kind, position, keyword = _KINDS[method]
        place = self._place(call)
        if method == "wait_for_external_event" and _has_timeout(call):
            kind = "event with timeout"
        if position is None:
            return Operation(kind, None, place)
        argument = _argument(call, position, keyword)
        if argument is None:
            return Operation(kind, "?", place, is_computed=True)
        if isinstance(argument, ast.Constant):
            name = argument.value if isinstance(argument.value, str) else None
        else:
            name = self._resolver.registered_name(argument, self._scope)
        if name is None:
            return Operation(kind, _short(argument), place, is_computed=True)
        # Events are matched without regard to case.
        return Operation(kind, name if kind in _NAMED_BY_FUNCTION else name.casefold(), place)

    def _method(self, node: ast.expr) -> str | None:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        owner = node.func.value
        return node.func.attr if isinstance(owner, ast.Name) and owner.id in self._scope.context else None

    def _key(self, node: ast.expr) -> str:
        """A condition without the names of local variables, which may change freely."""
        return ast.unparse(_Anonymous(self._locals).visit(ast.parse(ast.unparse(node), mode="eval")))

    def _place(self, node: ast.AST) -> Place:
        return Place(self._scope.module, self._scope.qualname, node)


def _word(node: ast.stmt | ast.ExceptHandler, word: str) -> ast.expr:
    """The word that a block begins with, as something to point at."""
    end = node.col_offset + len(word)
    return ast.Name(
        word, ast.Load(), lineno=node.lineno, col_offset=node.col_offset, end_lineno=node.lineno, end_col_offset=end
    )


class _Anonymous(ast.NodeTransformer):
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name("_", node.ctx) if node.id in self._names else node


def _local_names(node: FunctionNode) -> frozenset[str]:
    names = {argument.arg for argument in _all_arguments(node.args)}
    names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    return frozenset(names)


def _all_arguments(arguments: ast.arguments) -> Iterator[ast.arg]:
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    yield from (one for one in (arguments.vararg, arguments.kwarg) if one is not None)


def _argument(call: ast.Call, position: int, keyword: str) -> ast.expr | None:
    if len(call.args) > position:
        return call.args[position]
    return next((one.value for one in call.keywords if one.arg == keyword), None)


def _has_timeout(call: ast.Call) -> bool:
    given = next((one.value for one in call.keywords if one.arg == "timeout"), None)
    return given is not None and not (isinstance(given, ast.Constant) and given.value is None)


def _is_call_of(node: ast.expr | None, function: str) -> bool:
    if not isinstance(node, ast.Call):
        return False
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name == function
        case _:
            return False


def _short(node: ast.expr) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _HEADER_LENGTH else f"{text[: _HEADER_LENGTH - 3]}..."
