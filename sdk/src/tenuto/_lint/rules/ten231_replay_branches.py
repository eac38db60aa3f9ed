"""TEN231: code that does something else while it is replayed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tenuto._lint.project import Found
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.shared import MUTATORS
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked, asked_at, waits_in, walk_here

# No operation: a replay that sets none leaves the one that was set.
_STATUS = "set_custom_status"


def _check(function: FunctionView) -> Iterator[Hit]:
    if not function.is_workflow and _only_logs(function):
        return
    for node in function.walk():
        match node:
            case ast.If() if _asks(function, node.test):
                if not _are_harmless(function, (*node.body, *node.orelse)):
                    yield function.hit(node.test, f"a branch on {function.text_of(node.test)} does more than log")
            case ast.While() if _asks(function, node.test):
                yield function.hit(node.test, f"a loop on {function.text_of(node.test)}")
            case ast.IfExp() if _asks(function, node.test) and not _is_logged(function, node):
                yield function.hit(node, f"a value that depends on {function.text_of(node.test)}")
            case _:
                pass
    for one in asked(function):
        for given in (*one.node.args, *(part.value for part in one.node.keywords)):
            if not isinstance(given, ast.IfExp) and _asks(function, given):
                yield function.hit(given, f"{function.text_of(given)} is given to {one.method}")


def _asks(function: FunctionView, node: ast.expr) -> bool:
    """Whether an expression asks if the code is replayed, itself or by a variable."""
    for one in walk_here(node):
        if isinstance(one, ast.Attribute) and _is_question(function, one):
            return True
        if isinstance(one, ast.Call) and any(_tells(function, found) for found in function.found(one.func)):
            return True
        if isinstance(one, ast.Name):
            values = function.values(one)
            if values and all(isinstance(value, ast.Attribute) and _is_question(function, value) for value in values):
                return True
    return False


def _tells(function: FunctionView, found: Found) -> bool:
    """Whether a helper returns whether the code is replayed."""
    view = function.view_of(found)
    return (
        view is not None
        and view is not function
        and any(
            isinstance(one, ast.Attribute) and _is_question(view, one)
            for value in view.body.returns
            for one in walk_here(value)
        )
    )


def _is_question(function: FunctionView, node: ast.Attribute) -> bool:
    return node.attr == "is_replaying" and "@ctx.is_replaying" in function.names(node, function.scope_of(node))


def _only_logs(function: FunctionView) -> bool:
    """Whether a helper does nothing but log, so that it may as well leave early in a replay."""
    return all(
        _is_harmless(function, one) or (isinstance(one, ast.Return) and one.value is None)
        for statement in function.node.body
        for one in ([*statement.body, *statement.orelse] if isinstance(statement, ast.If) else [statement])
    )


def _is_harmless(function: FunctionView, node: ast.stmt) -> bool:
    """Whether a statement only logs, measures, shows a status, or groups such statements."""
    operations = [one.method for node in walk_here(node) if (one := asked_at(function, node)) is not None]
    if waits_in(function, node) or any(method != _STATUS for method in operations):
        return False
    match node:
        case ast.Pass():
            return True
        case ast.Expr():
            return not _changes_something(node.value)
        case ast.If():
            return _are_harmless(function, (*node.body, *node.orelse))
        case ast.For() | ast.With():
            return _are_harmless(function, node.body)
        case ast.Try():
            handled = [one for handler in node.handlers for one in handler.body]
            return _are_harmless(function, (*node.body, *handled, *node.orelse, *node.finalbody))
        case ast.Assign(targets=[ast.Name() as target]):
            return _is_used_inside(function, node, target)
        case _:
            return False


def _are_harmless(function: FunctionView, nodes: Iterable[ast.stmt]) -> bool:
    return all(_is_harmless(function, one) for one in nodes)


def _is_used_inside(function: FunctionView, node: ast.stmt, target: ast.Name) -> bool:
    """Whether a variable is read only in the branch that sets it."""
    branch = next((one for one in function.parents(node) if isinstance(one, ast.If)), None)
    if branch is None or target.id in function.body.scope.outer:
        return False
    inside = {id(one) for one in ast.walk(branch)}
    return all(
        id(one) in inside for one in ast.walk(function.node) if isinstance(one, ast.Name) and one.id == target.id
    )


def _changes_something(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS


def _is_logged(function: FunctionView, node: ast.IfExp) -> bool:
    """Whether a value goes into a statement that only calls something, such as a logger."""
    return isinstance(function.statement(node), ast.Expr) and not any(
        asked_at(function, one) or isinstance(one, ast.Yield | ast.Await | ast.YieldFrom)
        for one in function.parents(node)
    )


RULE = Rule(
    id="TEN231",
    name="replay-branches",
    message="code does something else while it is replayed",
    why="A replay must do what the first run did, and a branch on is_replaying does something else.",
    breaks="What the first run asked for and recorded is not asked for in the replay, and the instance stalls.",
    instead="Leave the question out: an activity runs once however often the workflow is replayed, and ctx.logger is "
    "silent in replays. A change of code is ctx.is_patched(...).",
    check=_check,
)
