"""TEN101: the wall clock as a `datetime` or `date`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Fix
from tenuto._lint.rule import Rule, Use
from tenuto._lint.view import Call, FunctionView


def _moment(call: Call) -> Fix | None:
    """The context's time is aware and in UTC, whatever the call gave."""
    function = call.function
    if function.ctx is None or call.is_handed_on:
        return None
    text = f"{function.ctx}.current_utc_datetime"
    zone = call.argument(0, "tz")
    if isinstance(zone, ast.Constant):
        zone = None
    if call.name == "datetime.date.today":
        text += ".date()"
    elif zone is not None and not _UTC.intersection(function.names(zone, call.scope)):
        text += f".astimezone({function.text_of(zone)})"
    is_safe = zone is not None or call.name == "datetime.date.today" or not _meets_another(function, call.node)
    return Fix(f"replace by {text}", (function.replace(call.node, text),), is_safe=is_safe)


def _meets_another(function: FunctionView, node: ast.expr, *, is_followed: bool = True) -> bool:
    """Whether a naive time is compared with or subtracted from another moment: an aware one then raises TypeError.

    It is followed through one name: `now = datetime.now()`.
    """
    for parent in function.parents(node):
        match parent:
            case ast.Compare() | ast.Call(func=ast.Name(id="max" | "min")):
                return True
            case ast.BinOp():
                if _is_difference(function, parent):
                    return True
            case ast.Attribute(attr="replace") | ast.Call(func=ast.Attribute(attr="replace")):
                pass  # It keeps the time zone, or the lack of one.
            case ast.IfExp() | ast.NamedExpr():
                pass
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                reads = _reads(function, name) if is_followed else ()
                return any(_meets_another(function, one, is_followed=False) for one in reads)
            case _:
                return False
    return False


def _is_difference(function: FunctionView, node: ast.BinOp) -> bool:
    """Whether something other than a duration is subtracted."""
    right = node.right.func if isinstance(node.right, ast.Call) else node.right
    return isinstance(node.op, ast.Sub) and "datetime.timedelta" not in function.names(right)


def _reads(function: FunctionView, name: str) -> Iterator[ast.Name]:
    for one in ast.walk(function.node):
        if isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Load):
            yield one


_UTC = frozenset({"datetime.UTC", "datetime.timezone.utc", "zoneinfo.UTC", "pytz.UTC", "pytz.utc"})
_USE = Use(fix=_moment)

RULE = Rule(
    id="TEN101",
    name="wall-clock",
    message="{text}() reads the clock of the machine",
    why="It answers something else each time it is asked, and a workflow's code is run again from its first line.",
    breaks="A replay sees a later time than the first run: a branch on it goes the other way, and what is passed on or "
    "returned differs from what history records.",
    instead="Use ctx.current_utc_datetime: the time of the turn, aware and in UTC, the same in every replay.",
    calls={
        "datetime.datetime.now": _USE,
        "datetime.datetime.utcnow": _USE,
        "datetime.datetime.today": _USE,
        "datetime.date.today": _USE,
    },
    extensible=True,
)
