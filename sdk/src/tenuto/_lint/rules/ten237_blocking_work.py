"""TEN237: work that holds up the other instances of a worker."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule, Use
from tenuto._lint.sizes import is_bounded
from tenuto._lint.view import FunctionView
from tenuto._lint.waits import waits_in

_HEAVY = (
    "PIL.*",
    "argon2.*",
    "bcrypt.*",
    "bz2.compress",
    "bz2.decompress",
    "cv2.*",
    "gzip.compress",
    "gzip.decompress",
    "hashlib.pbkdf2_hmac",
    "hashlib.scrypt",
    "itertools.combinations",
    "itertools.combinations_with_replacement",
    "itertools.permutations",
    "itertools.product",
    "lzma.compress",
    "lzma.decompress",
    "numpy.linalg.*",
    "pandas.*",
    "passlib.*",
    "polars.*",
    "scipy.*",
    "sklearn.*",
    "zlib.compress",
    "zlib.decompress",
)
# Objects of pandas, once made, are not reported again at each method.
_MADE = ("pandas.DataFrame.*", "pandas.Series.*", "polars.DataFrame.*", "polars.Series.*", "pandas.Timestamp.*")
_LOOPS = (ast.For, ast.While, ast.AsyncFor)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_DEEP = 3


def _check(function: FunctionView) -> Iterator[Hit]:
    for node in function.walk():
        if not _is_inside(function, node) and _depth(function, node) >= _DEEP and not waits_in(function, node):
            at = node.generators[0].iter if isinstance(node, _COMPREHENSIONS) else node
            line, column, _, _ = function.module.span(at)
            yield Hit(line=line, column=column, message="three nested loops over data run without a wait")


def _depth(function: FunctionView, node: ast.AST) -> int:
    """How many loops over data of unknown size are nested in a node, itself counted."""
    own = 0
    if isinstance(node, ast.For):
        own = 0 if is_bounded(function, node.iter) else 1
    elif isinstance(node, _COMPREHENSIONS):
        own = sum(not is_bounded(function, one.iter) for one in node.generators)
    elif not isinstance(
        node, ast.stmt | ast.expr | ast.excepthandler | ast.match_case | ast.comprehension | ast.withitem
    ):
        return 0
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return 0
    return own + max((_depth(function, child) for child in ast.iter_child_nodes(node)), default=0)


def _is_inside(function: FunctionView, node: ast.AST) -> bool:
    """Whether a node is no loop itself, or a loop within one."""
    return not isinstance(node, (*_LOOPS, *_COMPREHENSIONS)) or any(
        isinstance(one, (*_LOOPS, *_COMPREHENSIONS)) for one in function.parents(node)
    )


RULE = Rule(
    id="TEN237",
    name="blocking-work",
    message="{text}() may compute for long in a turn",
    why="A turn runs to its next wait without interruption, a worker runs one turn at a time, and each replay computes "
    "it again.",
    breaks="No other instance of the worker goes on meanwhile; a turn without an answer for 60 s counts as failed, and "
    "after five in a row the instance is stalled.",
    instead="Compute it in an activity, which runs in a thread, once.",
    severity=Severity.WARNING,
    profile=Profile.PEDANTIC,
    calls={**{name: Use() for name in _HEAVY}, **dict.fromkeys(_MADE)},
    check=_check,
)
