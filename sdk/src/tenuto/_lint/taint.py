"""Values from outside, as other rules find them, followed through the variables of one function."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tenuto._lint.memo import remembered
from tenuto._lint.registry import all_rules
from tenuto._lint.rule import Rule, Scope
from tenuto._lint.tables import Table
from tenuto._lint.view import Call, FunctionView, Read

# Rules whose findings are values: clocks, randomness and identity, input from outside, orders, what processes share.
_SOURCES = ("TEN10", "TEN12", "TEN14", "TEN150", "TEN18", "TEN202", "TEN206")
# What these find gives nothing to branch on, or judges a branch itself.
_NO_VALUES = frozenset({"TEN106", "TEN107", "TEN128", "TEN202"})
# Those whose values are no clients or files, which would be asked again each time.
_PLAIN = ("TEN10", "TEN12", "TEN148", "TEN149")
_DEEPEST = 12


class _Sources:
    """The tables and checks of the rules that find values."""

    def __init__(self) -> None:
        self.rules = [
            rule
            for rule in all_rules().values()
            if rule.id.startswith(_SOURCES) and rule.id not in _NO_VALUES and rule.scope is Scope.WORKFLOW
        ]
        self.calls, self.reads = Table(), Table()
        for rule in self.rules:
            self.calls.add(rule, rule.calls)
            self.reads.add(rule, rule.reads)


_made: list[_Sources] = []


def _sources() -> _Sources:
    if not _made:
        _made.append(_Sources())
    return _made[0]


@remembered
def tainted_nodes(function: FunctionView) -> dict[ast.AST, str]:
    """Return the expressions of a function that rules find as values from outside: node -> id of the rule."""
    sources = _sources()
    found: dict[ast.AST, str] = {}
    for call in function.calls:
        found |= _looked_up(sources.calls, call)
    for read in function.reads:
        found |= _looked_up(sources.reads, read)
    for rule in sources.rules:
        found |= {node: rule.id for node in _checked(rule, function) if node not in found}
    return found


def is_source(names: Iterable[str], *, is_call: bool) -> bool:
    """Whether what is called, or read, gives a plain value from outside: of a clock, by chance, of the environment."""
    table = _sources().calls if is_call else _sources().reads
    return any(rule.id.startswith(_PLAIN) for name in names for rule, _ in table.look_up(name))


def _looked_up(table: Table, one: Call | Read) -> dict[ast.AST, str]:
    uses = [entry for name in one.names for entry in table.look_up(name)]
    counted = [rule.id for rule, use in uses if use.when is None or use.when(one)]
    return {one.node: counted[0]} if counted else {}


def _checked(rule: Rule, function: FunctionView) -> Iterator[ast.AST]:
    if rule.check is None:
        return
    try:
        hits = list(rule.check(function))
    except Exception:  # the run itself reports a rule that raises; here it finds nothing
        return
    yield from (hit.node for hit in hits if isinstance(hit.node, ast.expr))


def taint_of(function: FunctionView, node: ast.expr, depth: int = 0) -> tuple[str, ...]:
    """Return the way by which a value from outside comes into an expression.

    Returns:
        The source first, as `text (rule)`, then the variables that it passed through; empty where there is none. What
        an operation gives is recorded, whatever went into it.
    """
    if depth > _DEEPEST:
        return ()
    tainted = tainted_nodes(function)
    for one in _parts(function, node):
        if one in tainted:
            return (f"{function.text_of(one)} ({tainted[one]})",)
        if isinstance(one, ast.Call):
            way = _way_through(function, one, depth)
            if way:
                return way
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load):
            for value in _values(function, one):
                way = taint_of(function, value, depth + 1)
                if way:
                    return (*way, one.id)
    return ()


def _way_through(function: FunctionView, call: ast.Call, depth: int) -> tuple[str, ...]:
    """The way into the result of a helper of the project, which then is a part of the whole way."""
    for found in function.found(call.func, function.scope_of(call)):
        view = function.view_of(found)
        if view is None or view is function or view.is_activity or view.body.is_generator or view.is_async:
            continue
        for value in view.body.returns:
            way = taint_of(view, value, depth + _DEEPEST // 3)
            if way:
                return (*way, f"{function.text_of(call.func)}()")
    return ()


def _values(function: FunctionView, name: ast.Name) -> list[ast.expr]:
    """What a local variable may hold here; of a loop's variable, what the loop goes through."""
    resolver = function.module.parsed.resolver
    where, bindings = resolver.located(name.id, function.scope_of(name), (name.lineno, name.col_offset))
    if where.kind == "module":
        return []
    return [
        one.node
        for one in bindings
        if one.kind in ("value", "element", "enter")
        and one.node is not None
        and (one.line, one.column) <= (name.lineno, name.col_offset)
    ]


def _parts(function: FunctionView, node: ast.AST) -> Iterator[ast.AST]:
    """An expression and what its value is made of: not what a wait or an operation was given."""
    yield node
    if isinstance(node, ast.Yield | ast.YieldFrom | ast.Await | ast.Lambda):
        return
    if isinstance(node, ast.Call) and any(
        name.startswith("@ctx.") for name in function.names(node.func, function.scope_of(node))
    ):
        return
    for child in ast.iter_child_nodes(node):
        yield from _parts(function, child)
