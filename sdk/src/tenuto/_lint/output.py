"""Findings for programs: one function per format, from findings to text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from tenuto._lint.finding import Finding


def as_json(findings: Iterable[Finding]) -> str:
    """Return a JSON list of findings with `path`, `line`, `column`, `rule`, `message`, `fix` and more."""
    values: list[Any] = [msgspec.to_builtins(one) for one in findings]
    # Escapes, so that it is JSON in whatever encoding it is written.
    return json.dumps(values, indent=2)
