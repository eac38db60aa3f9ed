"""TEN126: `hash()` of anything but numbers."""

from __future__ import annotations

import ast

from tenuto._lint.finding import Fix
from tenuto._lint.parse import last_name
from tenuto._lint.rule import Rule, Use
from tenuto._lint.view import Call


def _may_vary(call: Call) -> bool:
    """Numbers hash to themselves; and a class's own `__hash__` may well call it, for sets and dictionaries."""
    if call.function.name.endswith("__hash__"):
        return False
    value = call.argument(0)
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str | bytes)
    return _annotation(call, value) not in ("int", "float", "bool")


def _annotation(call: Call, value: ast.expr | None) -> str:
    """The annotation of a parameter; `str` for a formatted string; empty where unknown."""
    if isinstance(value, ast.JoinedStr):
        return "str"
    if isinstance(value, ast.Name):
        for binding in call.function.bindings(value, call.scope):
            if binding.kind == "annotation":
                return last_name(binding.node)
    return ""


def _checksum(call: Call) -> Fix | None:
    """Certain for text only: what bytes another value is made of is for people to say."""
    value = call.argument(0)
    is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    if value is None or not (is_text or _annotation(call, value) == "str"):
        return None
    name, imports = call.function.name_for("zlib", "crc32")
    text = f"{name}({call.function.text_of(value)}.encode())"
    return Fix(f"replace by {name}", (call.function.replace(call.node, text),), imports)


RULE = Rule(
    id="TEN126",
    name="hash-seed",
    message="{text}() gives another number in each process",
    why="Hashes of text, bytes and what holds them are seeded per process (PYTHONHASHSEED), those of plain "
    "objects made of their address.",
    breaks="A replay in another process gets another number: a bucket, a shard or a branch chosen by it is "
    "another one.",
    instead="Use zlib.crc32(text.encode()) or hashlib.sha256: the same everywhere, for ever.",
    calls={"builtins.hash": Use(when=_may_vary, fix=_checksum)},
)
