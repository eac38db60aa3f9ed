"""Findings for programs: one function per format, from findings to text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from tenuto._lint.finding import Finding


def as_json(findings: Iterable[Finding]) -> str:
    """Return a JSON list of findings with `path`, `line`, `column`, `rule`, `message`, `fix` and more.

    All columns count from 1, those of a fix's edits too.
    """
    values: list[dict[str, Any]] = [msgspec.to_builtins(one) for one in findings]
    for value in values:
        for edit in value["fix"]["edits"] if value["fix"] else ():
            edit["column"] += 1
            edit["end_column"] += 1
    # Escapes, so that it is JSON in whatever encoding it is written.
    return json.dumps(values, indent=2)
