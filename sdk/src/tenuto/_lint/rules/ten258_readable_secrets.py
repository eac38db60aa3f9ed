"""TEN258: payloads that seem to hold secrets, which are recorded as they are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tenuto._lint.calls import payloads
from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import FunctionView

_SECRET = re.compile(
    r"(^|_)(password|passwd|secret|api_?key|private_?key|access_?token|credentials?)($|_)", re.IGNORECASE
)


def _check(function: FunctionView) -> Iterator[Hit]:
    for what, payload in payloads(function):
        for node in ast.walk(payload):
            name = _name(node)
            if name and _SECRET.search(name):
                yield function.hit(node, f"the {what} seems to hold a secret, '{name}'")
                break


def _name(node: ast.AST) -> str:
    match node:
        case ast.Dict():
            keys = [one.value for one in node.keys if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            return next((key for key in keys if _SECRET.search(key)), "")
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
        case ast.keyword(arg=str(name)):
            return name
        case _:
            return ""


RULE = Rule(
    id="TEN258",
    name="readable-secrets",
    message="the payload seems to hold a secret",
    why="Payloads are recorded as they are, and shown by the command line, traces and exported histories.",
    breaks="Nothing differs in a replay; but whoever reads the state store reads the secret.",
    instead="Read the secret in the activity that needs it; or give runtime and clients a payload_codec that encrypts.",
    severity=Severity.WARNING,
    profile=Profile.PEDANTIC,
    check=_check,
)
