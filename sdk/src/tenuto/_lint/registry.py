"""All rules, found in the folder `rules`: a rule exists by being a file there."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path

from tenuto._lint.rule import Rule

FOLDER = Path(__file__).parent / "rules"
_FILE = re.compile(r"(ten\d{3})_([a-z0-9_]+)\.py")


@cache
def all_rules() -> dict[str, Rule]:
    """Return all rules by id, in order.

    Raises:
        ValueError: a rule's id or name is not that of its file.
    """
    rules: dict[str, Rule] = {}
    for path in sorted(FOLDER.iterdir()):
        match = _FILE.fullmatch(path.name)
        if match is None:
            continue
        rule: Rule = importlib.import_module(f"tenuto._lint.rules.{path.stem}").RULE
        if (rule.id, rule.name) != (match[1].upper(), match[2].replace("_", "-")):
            raise ValueError(f"{path.name} holds rule {rule.id} {rule.name}, which belongs in another file")
        rules[rule.id] = rule
    return rules


def page_path(rule: Rule) -> Path:
    """Return the file of a rule's page."""
    return FOLDER / f"{rule.id.lower()}_{rule.name.replace('-', '_')}.md"
