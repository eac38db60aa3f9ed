"""TEN155: imports inside a workflow."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.names import STANDARD
from tenuto._lint.rule import Hit, Profile, Rule, Use
from tenuto._lint.view import FunctionView


def check(function: FunctionView) -> Iterator[Hit]:
    """Find import statements of what is not the standard library's; a namesake of the project's costs little either."""
    for node in function.walk():
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        else:
            continue
        late = next((name for name in names if name.partition(".")[0] not in STANDARD), None)
        if late is not None:
            yield function.hit(node, f"{late} is imported while the workflow runs")


RULE = Rule(
    id="TEN155",
    name="late-import",
    message="{text}() imports while the workflow runs",
    why="An import reads files and runs the module's code, the first time in each process.",
    breaks="The first turn in a process is slow, in a large library beyond its timeout; and what the module does "
    "when it is imported, it does within this workflow.",
    instead="Import at the top of the module.",
    severity=Severity.WARNING,
    profile=Profile.STRICT,
    calls={
        "builtins.__import__": Use(),
        "importlib.import_module": Use(),
        "importlib.reload": Use(message="{text}() runs a module again for the whole process"),
        "pkgutil.*": Use(),
        "runpy.*": Use(),
    },
    check=check,
)
