"""Size budgets: code that outgrows them is split, not excused."""

from __future__ import annotations

import ast
import re
from math import ceil

from architecture.tree import Function, Module, functions, listed, sources

MODULE_MEDIAN, MODULE_P90, MODULE_CAP = 160, 500, 600
FUNCTION_P90, FUNCTION_CAP = 30, 70
NESTING_CAP = 4
POSITIONAL_CAP = 4
LINES_PER_BROAD_EXCEPT = 1000
BLOCKS = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def percentile(values: list[int], share: float) -> int:
    """The smallest value that at least `share` of all values do not exceed."""
    return sorted(values)[ceil(share * len(values)) - 1]


def body_lines(function: Function) -> int:
    """Lines of a function's body, its docstring not counted."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def depth(body: list[ast.stmt], inside: int = 0) -> int:
    """How many blocks enclose the most deeply nested statement; functions and classes inside count for themselves."""
    deepest = inside
    for statement in body:
        if isinstance(statement, BLOCKS):
            deepest = max(deepest, *(depth(part, inside + step) for part, step in parts(statement)))
    return deepest


def parts(statement: ast.stmt) -> list[tuple[list[ast.stmt], int]]:
    """The bodies of a block, each with the depth it adds: an `elif` is no deeper than its `if`."""
    if isinstance(statement, ast.Match):
        return [(case.body, 1) for case in statement.cases]
    bodies: list[tuple[list[ast.stmt], int]] = []
    for name in ("body", "orelse", "finalbody"):
        body: list[ast.stmt] = getattr(statement, name, [])
        is_elif = name == "orelse" and isinstance(statement, ast.If) and [type(part) for part in body] == [ast.If]
        bodies.append((body, 0 if is_elif else 1))
    handlers: list[ast.ExceptHandler] = getattr(statement, "handlers", [])
    return [part for part in bodies if part[0]] + [(handler.body, 1) for handler in handlers]


def positional(function: Function) -> int:
    """Parameters that a caller may give by position, without self or cls."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (1 if names and names[0] in ("self", "cls") else 0)


def broad_handlers(module: Module) -> list[ast.ExceptHandler]:
    """Handlers that catch everything; those that clean up and raise again let it pass."""
    handlers = [node for node in ast.walk(module.tree) if isinstance(node, ast.ExceptHandler)]
    broad = [node for node in handlers if node.type is None or broad_names(node.type)]
    return [node for node in broad if ast.unparse(node.body[-1]) != "raise"]


def broad_names(caught: ast.expr) -> bool:
    """Whether Exception or BaseException is among the classes caught."""
    classes = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(cls, ast.Name) and cls.id in ("Exception", "BaseException") for cls in classes)


def test_measures_measure() -> None:
    """The measures of this file answer what a reader would count."""
    source = """
def f(self, a, b, /, c, *, d):
    \"\"\"Not counted.\"\"\"
    if a:
        pass
    elif b:
        for _ in c:
            with d:
                pass
    else:
        pass
"""
    function = ast.parse(source).body[0]
    assert isinstance(function, Function)
    assert (body_lines(function), depth(function.body), positional(function)) == (8, 3, 3)
    assert percentile([5, 1, 4, 2, 3], 0.5) == 3


def test_modules_stay_small() -> None:
    """Half of all modules fit on a few screens, and none exceeds 600 lines."""
    lines = {module.where: module.text.count("\n") for module in sources()}
    substantial = [count for count in lines.values() if count > 10]
    over = {where: count for where, count in lines.items() if count > MODULE_CAP}
    assert not over, listed(over)
    assert percentile(substantial, 0.9) <= MODULE_P90
    assert percentile(substantial, 0.5) <= MODULE_MEDIAN


def test_functions_stay_small() -> None:
    """Nine of ten function bodies take at most 30 lines, and none more than 70."""
    sizes = {found.where: body_lines(found.node) for module in sources() for found in functions(module)}
    over = {where: size for where, size in sizes.items() if size > FUNCTION_CAP}
    assert not over, listed(over)
    assert percentile(list(sizes.values()), 0.9) <= FUNCTION_P90


def test_nesting_stays_shallow() -> None:
    """No statement stands inside more than four blocks."""
    depths = {found.where: depth(found.node.body) for module in sources() for found in functions(module)}
    over = {where: found for where, found in depths.items() if found > NESTING_CAP}
    assert not over, listed(over)


def test_calls_name_their_arguments() -> None:
    """No function takes more than four arguments by position."""
    counts = {found.where: positional(found.node) for module in sources() for found in functions(module)}
    over = {where: count for where, count in counts.items() if count > POSITIONAL_CAP}
    assert not over, listed(over)


def test_broad_handlers_are_rare_and_say_why() -> None:
    """Catching everything happens at most once per thousand lines, each time with its reason beside it."""
    unexplained: list[str] = []
    handlers = 0
    for module in sources():
        lines = module.text.splitlines()
        for handler in broad_handlers(module):
            handlers += 1
            near = lines[max(0, handler.lineno - 2) : handler.body[0].lineno]
            if not any(re.search(r"#\s*(?!noqa|type:|pyright:)\S", line) for line in near):
                unexplained.append(f"{module.where}:{handler.lineno}")
    total = sum(module.text.count("\n") for module in sources())
    assert not unexplained, listed(unexplained)
    assert handlers <= ceil(total / LINES_PER_BROAD_EXCEPT)
