"""TEN259: payloads that are whole files or tables."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.calls import payloads
from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView

_LONGEST = 16 * 1024
_WHOLE = frozenset({"base64.b64encode", "base64.standard_b64encode", "base64.urlsafe_b64encode", "zlib.compress"})
_TABLES = frozenset({"to_json", "to_csv", "to_dict", "to_records", "to_parquet"})


def _check(function: FunctionView) -> Iterator[Hit]:
    for what, payload in payloads(function):
        for node in ast.walk(payload):
            problem = _problem(function, node)
            if problem:
                yield function.hit(node, f"the {what} holds {problem}")
                break


def _problem(function: FunctionView, node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and len(node.value) > _LONGEST:
        return f"a text of {len(node.value):,} characters"
    if isinstance(node, ast.Call):
        names = function.names(node.func)
        if _WHOLE.intersection(names):
            return f"what {function.text_of(node.func)}() gives: a whole file, perhaps"
        if any(name.startswith(("pandas.", "polars.")) and name.rpartition(".")[2] in _TABLES for name in names):
            return "a whole table"
    return ""


RULE = Rule(
    id="TEN259",
    name="large-payloads",
    message="the payload holds much",
    why="A payload is part of history: stored, sent and decoded with each replay. One may have 2 MiB, a history 64.",
    breaks="Nothing differs in a replay; but replays become slow, and a payload above the limit is refused.",
    instead="Store it elsewhere in an activity, and pass a reference.",
    severity=Severity.WARNING,
    profile=Profile.PEDANTIC,
    check=_check,
)
