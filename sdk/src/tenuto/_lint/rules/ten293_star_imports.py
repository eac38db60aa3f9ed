"""TEN293: star imports in modules of workflows."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto._lint.finding import Severity
from tenuto._lint.rule import Hit, Profile, Rule
from tenuto._lint.view import ModuleView


def _check(module: ModuleView) -> Iterator[Hit]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield module.hit(node, f"names of {'.' * node.level}{node.module or ''} are imported without being named")


RULE = Rule(
    id="TEN293",
    name="star-imports",
    message="names are imported without being named",
    why="Where a name comes from is then a guess, for people as for the linter.",
    breaks="A clock or a random number that came with the star may be overlooked.",
    instead="Import the names that are used.",
    severity=Severity.INFO,
    profile=Profile.PEDANTIC,
    check_module=_check,
)
