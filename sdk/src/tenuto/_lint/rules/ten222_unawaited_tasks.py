"""TEN222: operations that nobody waits for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Fix
from tenuto._lint.memo import remembered
from tenuto._lint.rule import Hit, Rule
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import asked, asked_at, is_combiner, is_task_holder, with_wait

_ENDS = {
    "call_activity": "the workflow goes on at once, and its failure is never seen",
    "call_child_workflow": "the workflow goes on at once, and its failure is never seen",
    "create_timer": "the timer delays nothing",
    "wait_for_external_event": "the workflow does not wait for the event",
}


def _check(function: FunctionView) -> Iterator[Hit]:
    for one in asked(function):
        if one.makes_task:
            yield from _judge(function, one.node, _ENDS[one.method])
    for call in function.calls:
        node = call.node
        if isinstance(node, ast.Call) and asked_at(function, node) is None and is_combiner(function, node):
            yield from _judge(function, node, "the workflow does not wait for the tasks")


def _judge(function: FunctionView, node: ast.Call, end: str) -> Iterator[Hit]:
    text = f"{function.text_of(node.func)}(...)"
    match _fate(function, node):
        case ast.Expr():
            yield function.hit(node, f"nobody waits for {text}: {end}", fix=_fix(function, node))
        case ast.Return() if function.is_workflow:
            message = f"the task of {text} is returned, and a result must be a value"
            yield function.hit(node, message, fix=_fix(function, node))
        case ast.Assign(targets=[ast.Name() as name]) | ast.AnnAssign(target=ast.Name() as name):
            if _is_unread(function, name.id):
                yield function.hit(node, f"nothing reads {name.id}, so nobody waits for {text}: {end}")
            elif _is_taken_for_value(function, name.id, node):
                yield function.hit(
                    node,
                    f"{name.id} is the task of {text}, and is used as if it were its result",
                    fix=_fix(function, node),
                )
        case _:
            pass


def _fate(function: FunctionView, node: ast.expr) -> ast.stmt | None:
    """The statement that the task itself ends in, be it through a condition or a list; None where it is used."""
    at: ast.AST = node
    for parent in function.parents(node):
        match parent:
            case ast.IfExp() if at is not parent.test:
                pass
            case ast.BoolOp() if at is parent.values[-1]:
                pass
            case ast.List() | ast.Tuple() | ast.ListComp() | ast.comprehension() if _is_statement(function, parent):
                pass
            case ast.Expr() | ast.Return():
                return parent
            case ast.Assign() | ast.AnnAssign():
                return parent if at is node else None
            case _:
                return None
        at = parent
    return None


def _is_statement(function: FunctionView, node: ast.AST) -> bool:
    return is_task_holder(function, node) and isinstance(function.parent(node), ast.Expr)


def _is_taken_for_value(function: FunctionView, name: str, node: ast.expr) -> bool:
    """Whether a variable that certainly holds a task is asked for a member, or for its truth."""
    for use in function.nodes_of(ast.Name):
        if use.id == name and isinstance(use.ctx, ast.Load) and function.values(use) == [node]:
            parent = function.parent(use)
            negated = isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not)
            around = function.parent(parent) if negated and parent is not None else parent
            if isinstance(around, ast.If | ast.While | ast.IfExp) and around.test in (use, parent):
                return True
            if isinstance(parent, ast.Subscript | ast.BinOp | ast.FormattedValue):
                return True
    return False


def _is_unread(function: FunctionView, name: str) -> bool:
    if name.startswith("_") or name in function.body.scope.outer:
        return False
    return name in function.body.scope.bindings and name not in _read_names(function)


@remembered
def _read_names(function: FunctionView) -> frozenset[str]:
    """Names that a function, or one nested in it, reads or deletes; `locals()` reads them all."""
    found: set[str] = set()
    for node in ast.walk(function.node):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            found.add(node.id)
    if found & {"locals", "eval", "exec"}:
        found.update(function.body.scope.bindings)
    return frozenset(found)


def _fix(function: FunctionView, node: ast.Call) -> Fix | None:
    if not isinstance(function.parent(node), ast.Expr | ast.Return | ast.Assign | ast.AnnAssign):
        return None
    text = with_wait(function, node, function.text_of(node))
    if text is None:
        return None
    found = asked_at(function, node)
    # A child may well be begun and left to itself.
    is_meant = found is None or found.method != "call_child_workflow"
    return Fix(f"add {function.wait}", (function.replace(node, text),), is_safe=is_meant)


RULE = Rule(
    id="TEN222",
    name="unawaited-tasks",
    message="an operation is asked for and nobody waits for it",
    why="Calling an operation of the context only asks for it; its result comes to the yield or await of its task.",
    breaks="What depends on it comes too early, its failure is never seen, and it is given up when the workflow ends. "
    "Waiting for it later is a change of history for running instances.",
    instead="Write yield or await before it. To leave a task open on purpose, put it into a name that begins with _.",
    check=_check,
)
