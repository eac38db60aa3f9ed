"""A report as SARIF 2.1.0, for code scanning: GitHub's security tab, GitLab, editors.

Source: Static Analysis Results Interchange Format Version 2.1.0, OASIS.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tenuto._lint.finding import Edit, Finding, Severity
from tenuto._lint.registry import all_rules, page_path
from tenuto._lint.rule import Rule

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_ROOT = "%SRCROOT%"


def as_sarif(findings: Sequence[Finding], faults: Iterable[str] = ()) -> str:
    """Return a log with one run, as JSON.

    Args:
        findings: in the order to show.
        faults: rules that failed, each as a sentence: the run then counts as not successful.
    """
    ids = sorted({finding.rule for finding in findings})
    failed = [{"level": "error", "message": {"text": one}} for one in faults]
    invocation: dict[str, Any] = {"executionSuccessful": not failed}
    if failed:
        invocation["toolExecutionNotifications"] = failed
    names = {finding.rule: finding.name for finding in findings}
    log = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "tenuto lint",
                        "semanticVersion": version("tenuto"),
                        "rules": [_descriptor(one, names[one], all_rules().get(one)) for one in ids],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [invocation],
                "results": [_result(finding, ids.index(finding.rule)) for finding in findings],
            }
        ],
    }
    return json.dumps(log, indent=2)


def _descriptor(rule_id: str, name: str, rule: Rule | None) -> dict[str, Any]:
    """What is said of a rule; of a file that is no Python, which no rule finds, only its name."""
    descriptor: dict[str, Any] = {"id": rule_id, "name": name}
    if rule is not None:
        page = page_path(rule).read_text(encoding="utf-8")
        title = page.partition("\n")[0].partition(": ")[2]
        descriptor |= {
            "shortDescription": {"text": title},
            "fullDescription": {"text": f"{rule.why} {rule.breaks}"},
            "help": {"text": rule.instead, "markdown": page},
            "defaultConfiguration": {"level": _LEVELS[rule.severity]},
            "properties": {"tags": ["determinism", rule.profile.value]},
        }
    return descriptor


def _result(finding: Finding, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": message_of(finding)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(finding.path),
                    "region": {
                        "startLine": finding.line,
                        "startColumn": finding.column,
                        "endLine": finding.end_line,
                        "endColumn": finding.end_column,
                    },
                }
            }
        ],
        "partialFingerprints": {"tenuto/v1": _fingerprint(finding)},
    }
    if finding.function:
        logical = {"fullyQualifiedName": finding.function, "kind": "function"}
        result["locations"][0]["logicalLocations"] = [logical]
    if len(finding.chain) > 1:
        result["relatedLocations"] = [_hop(i, hop) for i, hop in enumerate(finding.chain, 1)]
    if finding.fix is not None and finding.fix.edits and not finding.fix.imports:
        # A fix that needs an import is not whole as edits of this place alone.
        replacements = [_replacement(edit) for edit in finding.fix.edits]
        change = {"artifactLocation": _artifact(finding.path), "replacements": replacements}
        result["fixes"] = [{"description": {"text": finding.fix.title}, "artifactChanges": [change]}]
    return result


def message_of(finding: Finding) -> str:
    """All that a finding says, as paragraphs."""
    word = finding.message.partition(" ")[0]
    # A word may open the sentence; a name in code, such as `time.time()`, stays as it is written.
    first = (finding.message[:1].upper() + finding.message[1:] if word.isalpha() else finding.message) + "."
    return "\n\n".join(part for part in (first, finding.why, finding.breaks, finding.instead) if part)


def _artifact(path: str) -> dict[str, str]:
    file = Path(path)
    return {"uri": file.as_uri()} if file.is_absolute() else {"uri": quote(file.as_posix()), "uriBaseId": _ROOT}


def _hop(number: int, hop: str) -> dict[str, Any]:
    """One entry of a chain, `file:line function`."""
    where, _, function = hop.rpartition(" ")
    path, _, line = where.rpartition(":")
    return {
        "id": number,
        "message": {"text": f"in {function}"},
        "physicalLocation": {"artifactLocation": _artifact(path), "region": {"startLine": int(line)}},
    }


def _replacement(edit: Edit) -> dict[str, Any]:
    region = {
        "startLine": edit.line,
        "startColumn": edit.column + 1,
        "endLine": edit.end_line,
        "endColumn": edit.end_column + 1,
    }
    return {"deletedRegion": region, "insertedContent": {"text": edit.text}}


def _fingerprint(finding: Finding) -> str:
    """The same for a finding whose line moved, so that a dismissed one stays dismissed."""
    text = "\0".join((finding.rule, finding.path, finding.function, finding.message))
    return blake2b(text.encode(), digest_size=16).hexdigest()
