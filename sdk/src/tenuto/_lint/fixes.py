"""Applies fixes to source text: edits that do not overlap, and the imports they need.

A fixed file is written only if it parses. Line ends, byte order mark and encoding stay as they were.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Sequence

from tenuto._lint.finding import Edit, Finding, Fix
from tenuto._lint.names import STANDARD
from tenuto._lint.project import decode


def safe_fixes(findings: Iterable[Finding]) -> list[Fix]:
    """Return the fixes that may be applied unasked."""
    return [one.fix for one in findings if one.fix is not None and one.fix.is_safe and one.fix.edits]


def fix_source(source: bytes, fixes: Sequence[Fix]) -> tuple[bytes, int]:
    """Return a file's bytes with fixes applied, and how many were.

    A fix whose edits overlap those of an earlier one is left for another pass. Where the result would be no Python,
    nothing is applied.
    """
    text = decode(source)
    taken: list[Fix] = []
    edits: list[Edit] = []
    for fix in fixes:
        if fix in taken or any(_overlap(one, other) for one in fix.edits for other in edits):
            continue
        taken.append(fix)
        edits += fix.edits
    fixed = add_imports(apply_edits(text, edits), dict.fromkeys(one for fix in taken for one in fix.imports))
    try:
        ast.parse(fixed)
    except SyntaxError:
        return source, 0
    return _encode(fixed, source), len(taken)


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return text with edits applied; they must not overlap."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    places = [(starts[one.line - 1] + one.column, starts[one.end_line - 1] + one.end_column, one.text) for one in edits]
    for first, last, new in sorted(places, reverse=True):
        text = text[:first] + new + text[last:]
    return text


def _overlap(one: Edit, other: Edit) -> bool:
    first, last = (one.line, one.column), (one.end_line, one.end_column)
    other_first, other_last = (other.line, other.column), (other.end_line, other.end_column)
    return (first < other_last and other_first < last) or first == other_first


def _encode(text: str, source: bytes) -> bytes:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    if b"\r\n" in source:
        text = text.replace("\n", "\r\n")
    return text.encode(encoding)


def add_imports(text: str, imports: Iterable[tuple[str, str]]) -> str:
    """Return text in which names can be used: `("datetime", "timedelta")`, or `("zlib", "")` for the module itself.

    A name joins an import of its module where there is one; else a line is added in the order that sorters keep.
    """
    for module, name in imports:
        tree = ast.parse(text)
        found = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        if not _has_import(found, module, name):
            text = _joined(text, found, module, name) or _inserted(text, tree, module, name)
    return text


def _has_import(found: Iterable[ast.Import | ast.ImportFrom], module: str, name: str) -> bool:
    for node in found:
        is_from = isinstance(node, ast.ImportFrom) and node.module == module and not node.level
        wanted = name if is_from else module
        fits = is_from if name else isinstance(node, ast.Import)
        if fits and any(alias.name == wanted and alias.asname is None for alias in node.names):
            return True
    return False


def _joined(text: str, found: Iterable[ast.Import | ast.ImportFrom], module: str, name: str) -> str | None:
    """The text with the name added to a one-line import of its module; None where there is none."""
    for node in found:
        is_one = isinstance(node, ast.ImportFrom) and node.module == module and not node.level
        if not name or not is_one or node.lineno != node.end_lineno or any(alias.name == "*" for alias in node.names):
            continue
        shown = [alias.name if alias.asname is None else f"{alias.name} as {alias.asname}" for alias in node.names]
        names = sorted([*shown, name], key=_sorter)
        edit = Edit(node.lineno, node.col_offset, node.lineno, node.end_col_offset or 0, "")
        joined = f"from {module} import {', '.join(names)}"
        line = text.split("\n")[node.lineno - 1]
        if line.isascii() and "(" not in line[: edit.end_column]:
            return apply_edits(text, [Edit(edit.line, edit.column, edit.end_line, edit.end_column, joined)])
    return None


def _sorter(name: str) -> tuple[int, str]:
    """Constants, classes, the rest: as sorters of imports order names."""
    first = name.partition(" ")[0]
    return (0 if first.isupper() else 1 if first[0].isupper() else 2), first


def _inserted(text: str, tree: ast.Module, module: str, name: str) -> str:
    """The text with an import of its own line: in the block of the standard library's imports, or above all others."""
    line = f"from {module} import {name}" if name else f"import {module}"
    block = _standard_block(tree.body)
    if block:
        key = (bool(name), module)
        after = [one for one in block if _key(one) < key]
        at = (after[-1].end_lineno or 0) if after else block[0].lineno - 1
        return _with_lines(text, at, [line])
    at = _head(tree.body)
    following = text.split("\n")[at] if at < text.count("\n") + 1 else ""
    before = [""] if at and text.split("\n")[at - 1].strip() else []
    return _with_lines(text, at, [*before, line, *([""] if following.strip() else [])])


def _key(node: ast.Import | ast.ImportFrom) -> tuple[bool, str]:
    return (True, node.module or "") if isinstance(node, ast.ImportFrom) else (False, node.names[0].name)


def _standard_block(body: Sequence[ast.stmt]) -> list[ast.Import | ast.ImportFrom]:
    """The first run of imports of the standard library at the top of a module, `__future__` left out."""
    block: list[ast.Import | ast.ImportFrom] = []
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            root = _key(node)[1].partition(".")[0]
            if root in STANDARD and root != "__future__" and not (isinstance(node, ast.ImportFrom) and node.level):
                block.append(node)
                continue
        if block:
            break
    return block


def _head(body: Sequence[ast.stmt]) -> int:
    """How many lines the docstring and `__future__` imports take, blank lines after them included."""
    at = 0
    for number, node in enumerate(body):
        is_docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not is_docstring and not is_future:
            return node.lineno - 1 if not at else max(at, _first_line(node) - 1)
        at = node.end_lineno or at
    return at


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def _with_lines(text: str, at: int, lines: Sequence[str]) -> str:
    before = text.split("\n")
    return "\n".join([*before[:at], *lines, *before[at:]])
