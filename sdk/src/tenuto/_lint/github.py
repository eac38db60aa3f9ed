"""Findings as workflow commands of GitHub Actions, which shows them at the lines of a pull request."""

from __future__ import annotations

from collections.abc import Iterable

from tenuto._lint.finding import Finding, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def as_github(findings: Iterable[Finding]) -> list[str]:
    """Return one line for each finding. NB: GitHub shows at most ten of a kind for each step."""
    return [_command(finding) for finding in findings]


def _command(finding: Finding) -> str:
    properties = {"file": finding.path, "line": str(finding.line), "endLine": str(finding.end_line)}
    if finding.line == finding.end_line:
        # Columns are refused for a stretch of several lines.
        properties |= {"col": str(finding.column), "endColumn": str(max(finding.column, finding.end_column - 1))}
    properties["title"] = f"{finding.rule} {finding.name}"
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    text = "\n\n".join(part for part in (finding.message, finding.breaks, finding.instead) if part)
    return f"::{_COMMANDS[finding.severity]} {given}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
