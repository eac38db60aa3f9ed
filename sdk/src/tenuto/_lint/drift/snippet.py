"""The patch that keeps running instances going: which statements changed, and the branch that holds both."""

from __future__ import annotations

import ast
import builtins
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import cast

from tenuto._lint.drift.reading import FunctionNode

_INDENT = "    "
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)
_DEFINITIONS = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
    ast.Global,
    ast.Nonlocal,
)


@dataclass(frozen=True)
class Side:
    """One revision's function.

    Attributes:
        source: text of its file.
        node: the function.
        lines: lines of the operations that changed, or stand beside what changed.
        names: names known at the top of its module.
    """

    source: str
    node: FunctionNode
    lines: frozenset[int]
    names: frozenset[str]


@dataclass(frozen=True)
class Patch:
    """The branch for one change.

    Attributes:
        text: for people: both sides, without the indentation around them.
        line: first line of today's code that it replaces, from 1; with `end_line` before it, where it is inserted.
        end_line: last line.
        replacement: the text that replaces these lines, indented.
        is_complete: whether both sides use only names that exist, and leave the same names behind.
    """

    text: str
    line: int
    end_line: int
    replacement: str
    is_complete: bool


@dataclass(frozen=True)
class _Region:
    """Neighbouring statements of one body on either side, either of which may be empty, and where today's begin."""

    base: Sequence[ast.stmt]
    current: Sequence[ast.stmt]
    before_line: int
    column: int


def make_patch(base: Side, current: Side, *, context: str, patch: str) -> Patch | None:
    """The patch for a change in one function; None where its statements cannot be told apart."""
    region = _region(base.node.body, current.node.body, base, current)
    if region is None:
        return None
    call = f'{context}.is_patched("{patch}")'
    old = _lines(base.source, region.base)
    new = _lines(current.source, region.current)
    if new and old:
        parts = [f"if {call}:", *_indented(new), "else:", *_indented(old)]
    elif new:
        parts = [f"if {call}:", *_indented(new)]
    else:
        parts = [f"if not {call}:", *_indented(old)]
    text = "\n".join(parts)
    if region.current:
        line, end_line = _first_line(region.current[0]), _last_line(region.current[-1])
    else:
        line, end_line = region.before_line, region.before_line - 1
    return Patch(
        text=text,
        line=line,
        end_line=end_line,
        replacement=textwrap.indent(text, " " * region.column, lambda row: bool(row.strip())),
        is_complete=_is_complete(region, base, current),
    )


# -- which statements


def _region(base: Sequence[ast.stmt], current: Sequence[ast.stmt], old: Side, new: Side) -> _Region | None:
    """The smallest run of statements that holds every change of an operation."""
    matcher = SequenceMatcher(None, [ast.dump(one) for one in base], [ast.dump(one) for one in current], autojunk=False)
    touched = [
        (b0, b1, c0, c1)
        for tag, b0, b1, c0, c1 in matcher.get_opcodes()
        if tag != "equal" and (_holds(base[b0:b1], old.lines) or _holds(current[c0:c1], new.lines))
    ]
    if not touched:
        return None
    b0, b1, c0, c1 = touched[0][0], touched[-1][1], touched[0][2], touched[-1][3]
    if b1 - b0 == 1 and c1 - c0 == 1:
        inner = _inside(base[b0], current[c0])
        if inner is not None:
            return _region(*inner, old, new)
    neighbour = current[c0] if c0 < len(current) else current[-1]
    before_line = _first_line(neighbour) if c0 < len(current) else _last_line(neighbour) + 1
    return _Region(base[b0:b1], current[c0:c1], before_line, neighbour.col_offset)


def _inside(base: ast.stmt, current: ast.stmt) -> tuple[list[ast.stmt], list[ast.stmt]] | None:
    """The bodies of two blocks that differ in one body only."""
    if type(base) is not type(current) or not isinstance(base, _BLOCKS):
        return None
    differing: list[tuple[list[ast.stmt], list[ast.stmt]]] = []
    for name in base._fields:
        one, other = getattr(base, name), getattr(current, name)
        if _dump(one) == _dump(other):
            continue
        if name == "handlers" and len(one) == len(other):
            changed = [(a, b) for a, b in zip(one, other, strict=True) if _dump(a) != _dump(b)]
            if any(_dump(a.type) != _dump(b.type) or a.name != b.name for a, b in changed):
                return None
            differing += [(a.body, b.body) for a, b in changed]
        elif name in ("body", "orelse", "finalbody") and one and other:
            differing.append((one, other))
        else:
            return None
    return differing[0] if len(differing) == 1 else None


def _dump(part: object) -> str:
    if isinstance(part, list):
        return ";".join(_dump(one) for one in cast("list[object]", part))
    return ast.dump(part) if isinstance(part, ast.AST) else repr(part)


def _holds(statements: Sequence[ast.stmt], lines: frozenset[int]) -> bool:
    return any(_first_line(one) <= line <= _last_line(one) for one in statements for line in lines)


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(one.lineno for one in decorators)])


def _last_line(statement: ast.stmt) -> int:
    return statement.end_lineno or statement.lineno


# -- its text


def _lines(source: str, statements: Sequence[ast.stmt]) -> list[str]:
    """Whole lines of neighbouring statements, without the indentation around them."""
    if not statements:
        return []
    rows = source.split("\n")[_first_line(statements[0]) - 1 : _last_line(statements[-1])]
    return textwrap.dedent("\n".join(rows)).split("\n")


def _indented(rows: Sequence[str]) -> list[str]:
    return [f"{_INDENT}{row}" if row.strip() else row for row in rows]


# -- whether it is all


def _is_complete(region: _Region, base: Side, current: Side) -> bool:
    both = [*region.base, *region.current]
    if any(_is_awkward(node) for statement in both for node in ast.walk(statement)):
        return False
    if _shares_lines(region.base, base) or _shares_lines(region.current, current):
        return False
    stored_old, stored_new = set(_names(region.base, ast.Store)), set(_names(region.current, ast.Store))
    inside = {id(node) for statement in region.current for node in ast.walk(statement)}
    outside = [node for node in ast.walk(current.node) if isinstance(node, ast.Name) and id(node) not in inside]
    loaded = {node.id for node in outside if isinstance(node.ctx, ast.Load)}
    if (stored_old ^ stored_new) & loaded:
        return False
    arguments = current.node.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    known = {one.arg for one in every if one is not None}
    known |= {node.id for node in outside if isinstance(node.ctx, ast.Store)}
    known |= stored_old | current.names | set(dir(builtins))
    return set(_names(region.base, ast.Load)) <= known


def _is_awkward(node: ast.AST) -> bool:
    """What cannot be moved into a branch: definitions, patches, text over several lines (indentation is content)."""
    if isinstance(node, _DEFINITIONS):
        return True
    if isinstance(node, ast.Attribute) and node.attr == "is_patched":
        return True
    return isinstance(node, ast.Constant | ast.JoinedStr) and (node.end_lineno or 0) > node.lineno


def _shares_lines(statements: Sequence[ast.stmt], side: Side) -> bool:
    """Whether another statement stands on one of the lines (`a; b`)."""
    if not statements:
        return False
    lines = range(_first_line(statements[0]), _last_line(statements[-1]) + 1)
    own = {id(node) for statement in statements for node in ast.walk(statement)}
    others = [node for node in ast.walk(side.node) if isinstance(node, ast.stmt) and id(node) not in own]
    leaves = [
        node for node in others if node.lineno in lines or (node.end_lineno in lines and not hasattr(node, "body"))
    ]
    overlapping = any(_last_line(one) >= other.lineno for one, other in pairwise(statements))
    return bool(leaves) or overlapping


def _names(statements: Sequence[ast.stmt], context: type[ast.expr_context]) -> Iterator[str]:
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, context):
                yield node.id
